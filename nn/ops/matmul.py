"""Matrix products on the GEMM core: @, matmul, mm, bmm, mv, dot, addmm, outer, and linear's bare product.

A transposed view costs no copy: the kernel is told to read it so.
"""

from __future__ import annotations

import math
from typing import Any

from ..autocast import cast
from ..doors import call, contiguous, empty
from ..dtypes import is_floating
from ..mode import mode
from ..tape import Function
from ..tensor import Tensor, as_tensor
from .broadcasting import broadcast_shape
from .shape import expand, reshape, unsqueeze

__all__ = ["addmm", "baddbmm", "bmm", "dot", "inner", "matmul", "mm", "mv", "outer"]


def _stored(x: Any) -> tuple[Any, bool]:
    """The contiguous matrix behind x, and whether x is its transpose."""
    if x.flags.c_contiguous:
        return x, False
    turned = x.swapaxes(-1, -2)
    if turned.flags.c_contiguous:
        return turned, True
    return contiguous(x), False


class MatMul(Function):
    """y (M, N) = a (M, K) @ b (K, N); in BatchedMatMul each with a leading batch."""

    autocast = "half"

    strided = True
    kernel = "gemm.matmul_forward"

    @staticmethod
    def forward(ctx, a, b):
        kernel = ctx.function.kernel
        (stored_a, turned_a), (stored_b, turned_b) = _stored(a), _stored(b)
        y = empty((*a.shape[:-1], b.shape[-1]), a.dtype, ctx.device)
        call(kernel, y, stored_a, stored_b, turned_a, turned_b, False)
        ctx.save(stored_a, stored_b)
        ctx.turned = turned_a, turned_b
        return y

    @staticmethod
    def backward(ctx, dy):
        kernel = ctx.function.kernel
        (a, b), (turned_a, turned_b) = ctx.saved, ctx.turned
        da = db = None
        if ctx.needs[0]:
            # da = dy @ b.T
            da, accumulate = ctx.grad_into(0)
            call(kernel, da, dy, b, False, not turned_b, accumulate)
        if ctx.needs[1]:
            # db = a.T @ dy
            db, accumulate = ctx.grad_into(1)
            call(kernel, db, a, dy, not turned_a, False, accumulate)
        return da, db


class BatchedMatMul(MatMul):
    kernel = "gemm.bmm_forward"


def _operands(a: Any, b: Any, what: str) -> tuple[Tensor, Tensor]:
    a, b = as_tensor(a), as_tensor(b)
    if mode.autocast is not None:
        # a product of a softmax, in float32, and of values in 16 bits
        a, b = cast(MatMul, (a, b))
    da, db = a._data.dtype, b._data.dtype
    if da != db:
        raise TypeError(f"{what}: expected operands of one dtype, got {da} and {db}; cast one with .to()")
    if not is_floating(da):
        raise TypeError(f"{what}: expected floats, got {da}; use .float()")
    return a, b


def _refuse(what: str, a: Tensor, b: Tensor) -> ValueError:
    return ValueError(f"{what}: shapes {a.shape} and {b.shape} do not fit: the inner sizes differ, or the dimensions")


def mm(a: Any, b: Any) -> Tensor:
    """The product of two matrices"""
    a, b = _operands(a, b, "mm")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise _refuse("mm", a, b)
    return MatMul.apply(a, b)


def bmm(a: Any, b: Any) -> Tensor:
    """The products of matrices, batch entry by batch entry"""
    a, b = _operands(a, b, "bmm")
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise _refuse("bmm", a, b)
    return BatchedMatMul.apply(a, b)


def matmul(a: Any, b: Any) -> Tensor:
    """a @ b: vectors, matrices, and stacks of matrices, whose leading dimensions broadcast"""
    a, b = _operands(a, b, "matmul")
    if a.ndim == 2 and b.ndim == 2:
        if a.shape[1] != b.shape[0]:
            raise _refuse("matmul", a, b)
        return MatMul.apply(a, b)
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: expected at least one dimension each, got shapes {a.shape} and {b.shape}")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise _refuse("matmul", a, b)
    if a.ndim == 1:
        y = matmul(unsqueeze(a, 0), unsqueeze(b, 1) if b.ndim == 1 else b)
        return reshape(y, *y.shape[:-2], y.shape[-1]) if b.ndim > 1 else reshape(y, ())
    if b.ndim == 1:
        y = matmul(a, unsqueeze(b, 1))
        return reshape(y, y.shape[:-1])
    if b.ndim == 2:
        # one product: the leading dimensions of a are more rows
        y = MatMul.apply(reshape(a, math.prod(a.shape[:-1]), a.shape[-1]), b)
        return reshape(y, *a.shape[:-1], b.shape[1])
    batch = broadcast_shape(a.shape[:-2], b.shape[:-2])
    n = math.prod(batch)
    a, b = expand(a, *batch, *a.shape[-2:]), expand(b, *batch, *b.shape[-2:])
    y = BatchedMatMul.apply(reshape(a, n, *a.shape[-2:]), reshape(b, n, *b.shape[-2:]))
    return reshape(y, *batch, *y.shape[-2:])


def mv(a: Any, b: Any) -> Tensor:
    """A matrix times a vector"""
    a, b = _operands(a, b, "mv")
    if a.ndim != 2 or b.ndim != 1:
        raise _refuse("mv", a, b)
    return matmul(a, b)


def dot(a: Any, b: Any) -> Tensor:
    """The inner product of two vectors"""
    a, b = _operands(a, b, "dot")
    if a.ndim != 1 or b.ndim != 1 or a.shape != b.shape:
        raise _refuse("dot", a, b)
    return (a * b).sum()


def inner(a: Any, b: Any) -> Tensor:
    """Sums of products over the last dimensions"""
    a, b = _operands(a, b, "inner")
    if a.ndim == 1 and b.ndim == 1:
        return dot(a, b)
    flat = matmul(reshape(a, -1, a.shape[-1]), reshape(b, -1, b.shape[-1]).T)
    return reshape(flat, *a.shape[:-1], *b.shape[:-1])


def outer(a: Any, b: Any) -> Tensor:
    """All products of the entries of two vectors"""
    a, b = as_tensor(a), as_tensor(b)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {a.shape} and {b.shape}")
    return unsqueeze(a, 1) * b


def addmm(x: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * x + alpha * (a @ b)"""
    return _added(as_tensor(x), mm(a, b), beta, alpha)


def baddbmm(x: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * x + alpha * bmm(a, b)"""
    return _added(as_tensor(x), bmm(a, b), beta, alpha)


def _added(x: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else product + (x if beta == 1 else x * beta)


def attach(cls: Any) -> None:
    for function in (matmul, mm, bmm, mv, dot, inner, outer, addmm, baddbmm):
        setattr(cls, function.__name__, function)
    cls.__matmul__ = matmul
    cls.__rmatmul__ = lambda self, other: matmul(other, self)
