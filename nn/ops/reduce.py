"""sum mean prod var std norm logsumexp any all, cumsum: over one dimension, several or all."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import dtypes
from ..doors import call, contiguous, empty
from ..dtypes import is_floating
from ..tape import Function
from ..tensor import Tensor, as_tensor, wrap
from .operands import as_float, dimension, dimensions
from .shape import permute

__all__ = [
    "all",
    "any",
    "count_nonzero",
    "cumsum",
    "logsumexp",
    "mean",
    "norm",
    "prod",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]


class Frame(NamedTuple):
    """A reduction as kernels see it: the middle dimension of (O, R, I), and the shape of the result."""

    x: Tensor
    O: int
    R: int
    I: int
    shape: tuple[int, ...]


def frame(x: Tensor, dim: Any, keepdim: bool, what: str) -> Frame:
    """x, permuted where the dimensions are not neighbours, with its sizes before, in and behind them."""
    shape = x._data.shape
    if dim is None and not keepdim:
        return Frame(x, 1, x._data.size, 1, ())
    dims = dimensions(dim, len(shape), what)
    result = tuple(1 if i in dims else n for i, n in enumerate(shape) if keepdim or i not in dims)
    if not dims:
        return Frame(x, x._data.size, 1, 1, result)
    if dims[-1] - dims[0] + 1 != len(dims):
        kept = [i for i in range(len(shape)) if i not in dims]
        x = permute(x, (*kept, *dims))
        return Frame(x, math.prod(shape[i] for i in kept), math.prod(shape[i] for i in dims), 1, result)
    first, last = dims[0], dims[-1] + 1
    return Frame(x, math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:]), result)


class Reduction(Function):
    """y (O, I) = <op>(x (O, R, I)). Backward gets the saved x and y that the kernel asks for."""

    autocast = "float"
    wide = True

    op: str
    saves: tuple[str, ...] = ()

    @staticmethod
    def forward(ctx, x, O, R, I, shape):
        y = empty((O, I), x.dtype, ctx.device)
        call(f"{ctx.function.op}_forward", y, x.reshape(O, R, I))
        y = y.reshape(shape)
        ctx.sizes, ctx.x_shape = (O, R, I), x.shape
        ctx.save(*({"x": x, "y": y}[name] for name in ctx.function.saves))
        return y

    @staticmethod
    def backward(ctx, dy):
        O, R, I = ctx.sizes
        dx = empty((O, R, I), dy.dtype, ctx.device)
        saved = (
            a.reshape((O, R, I) if name == "x" else (O, I))
            for name, a in zip(ctx.function.saves, ctx.saved, strict=True)
        )
        call(f"{ctx.function.op}_backward", dx, dy.reshape(O, I), *saved)
        return dx.reshape(ctx.x_shape), None, None, None, None


class Sum(Reduction):
    op = "reduce.sum"


class Mean(Reduction):
    op = "reduce.mean"


class Prod(Reduction):
    op, saves = "reduce.prod", ("x",)


class Norm(Reduction):
    op, saves = "moments.norm", ("x", "y")


class LogSumExp(Reduction):
    op, saves = "moments.logsumexp", ("x", "y")


class Var(Function):
    """Variance, or its root; the mean is a second result off the tape's main path."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, O, R, I, shape, correction, root):
        y, mean = empty((O, I), x.dtype, ctx.device), empty((O, I), x.dtype, ctx.device)
        call("moments.var_forward", y, mean, x.reshape(O, R, I), correction)
        if root:
            call("unary.sqrt_forward", y, y)
        ctx.sizes, ctx.correction, ctx.root = (O, R, I), correction, root
        y = y.reshape(shape)
        ctx.save(x, mean, y)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, mean, y = ctx.saved
        O, R, I = ctx.sizes
        if ctx.root:
            dvar = empty(dy.shape, dy.dtype, ctx.device)
            call("moments.std_backward", dvar, dy, y)
            dy = dvar
        dx = empty((O, R, I), dy.dtype, ctx.device)
        call("moments.var_backward", dx, dy.reshape(O, I), x.reshape(O, R, I), mean, ctx.correction)
        return dx.reshape(x.shape), None, None, None, None, None, None


def _summable(x: Any, dtype: Any) -> Tensor:
    """Sums of integers and bools are int64."""
    x = as_tensor(x)
    if dtype is not None:
        return x.to(dtype)
    return x if is_floating(x._data.dtype) else x.to(dtypes.int64)


def sum(x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    return Sum.apply(*frame(_summable(x, dtype), dim, keepdim, "sum"))


def mean(x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    x = as_tensor(x) if dtype is None else as_tensor(x).to(dtype)
    if not is_floating(x._data.dtype):
        raise TypeError(f"mean: expected floats, got {x._data.dtype}; use .float()")
    return Mean.apply(*frame(x, dim, keepdim, "mean"))


def prod(x: Any, dim: int | None = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    return Prod.apply(*frame(_summable(x, dtype), dim, keepdim, "prod"))


def _correction(correction: Any, unbiased: Any) -> float:
    if unbiased is not None:
        return 1.0 if unbiased else 0.0
    return 1.0 if correction is None else float(correction)


def var(x: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction=None) -> Tensor:
    """The variance: squares are divided by their number less `correction` (1; 0 with unbiased=False)."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return Var.apply(*frame(as_float(x), dim, keepdim, "var"), _correction(correction, unbiased), False)


def std(x: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction=None) -> Tensor:
    """The root of the variance."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return Var.apply(*frame(as_float(x), dim, keepdim, "std"), _correction(correction, unbiased), True)


def var_mean(x: Any, dim: Any = None, unbiased=None, keepdim: bool = False, *, correction=None) -> tuple:
    return var(x, dim, unbiased, keepdim, correction=correction), mean(x, dim, keepdim)


def std_mean(x: Any, dim: Any = None, unbiased=None, keepdim: bool = False, *, correction=None) -> tuple:
    return std(x, dim, unbiased, keepdim, correction=correction), mean(x, dim, keepdim)


def norm(x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """(sum of |x|^p)^(1/p); p may be 0 (how many are not 0), inf, -inf, "fro"."""
    x = as_float(x)
    if p == "fro" or p is None or p == 2:
        return Norm.apply(*frame(x, dim, keepdim, "norm"))
    if isinstance(p, str):
        raise ValueError(f"norm: expected a number or 'fro' as p, got {p!r}")
    if p in (math.inf, -math.inf):
        return x.abs().amax(dim, keepdim) if p > 0 else x.abs().amin(dim, keepdim)
    if p == 0:
        return sum(x.ne(0).to(x._data.dtype), dim, keepdim)
    return sum(x.abs(), dim, keepdim) if p == 1 else sum(x.abs() ** p, dim, keepdim) ** (1 / p)


def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Tensor:
    """log of the sum of e^x, without overflow"""
    return LogSumExp.apply(*frame(as_float(x), dim, keepdim, "logsumexp"))


def _truth(op: str, x: Any, dim: Any, keepdim: bool) -> Tensor:
    x = as_tensor(x).detach()
    x, O, R, I, shape = frame(x if x._data.dtype == dtypes.bool_ else x.ne(0), dim, keepdim, op)
    y = empty((O, I), dtypes.bool_, x.device)
    call(f"reduce.{op}_forward", y, contiguous(x._data).reshape(O, R, I))
    return wrap(y.reshape(shape), None, 0)


def any(x: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    return _truth("any", x, dim, keepdim)


def all(x: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    return _truth("all", x, dim, keepdim)


def count_nonzero(x: Any, dim: Any = None) -> Tensor:
    return sum(as_tensor(x).ne(0), dim)


class CumSum(Function):
    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, O, R, I):
        ctx.sizes = O, R, I
        y = empty(x.shape, x.dtype, ctx.device)
        call("reduce.cumsum_forward", y.reshape(O, R, I), x.reshape(O, R, I))
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call("reduce.cumsum_backward", dx.reshape(ctx.sizes), dy.reshape(ctx.sizes))
        return dx, None, None, None


def cumsum(x: Any, dim: int, dtype: Any = None) -> Tensor:
    """Running sums along a dimension"""
    x = _summable(x, dtype)
    dimension(dim, x.ndim, "cumsum")
    return CumSum.apply(*frame(x, dim, False, "cumsum")[:4])


def attach(cls: Any) -> None:
    for function in (sum, mean, prod, var, std, norm, logsumexp, any, all, count_nonzero, cumsum):
        setattr(cls, function.__name__, function)
