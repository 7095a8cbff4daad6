"""Activations as functions, by torch.nn.functional's names, arguments and defaults.

Any shape in, the same shape out. With `inplace=True` the result also replaces the values of an input that is not being
recorded for a gradient; one that is recorded keeps its values, since the tape may need them.
"""

from __future__ import annotations

import math

from ..kernels.scalar import KERNELS
from .doors import absent, call, empty
from .mode import is_grad_enabled
from .rng import next_state
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]


class Activation(Function):
    """One of kernels/ref/activation.py; backward takes as many of its numbers as it wants."""

    @staticmethod
    def forward(ctx, x, kernel, *numbers):
        y = empty(x.shape, x.dtype, ctx.device)
        call(f"activation.{kernel}_forward", y, x, *numbers)
        _, wanted, kept = KERNELS[kernel]
        ctx.save(y if kept == "y" else x)
        ctx.kernel, ctx.numbers, ctx.arguments = kernel, numbers[: len(wanted)], 2 + len(numbers)
        return y

    @staticmethod
    def backward(ctx, dy):
        (kept,) = ctx.saved
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call(f"activation.{ctx.kernel}_backward", dx, dy, kept, *ctx.numbers)
        return dx, *(None,) * (ctx.arguments - 1)


def _apply(input, inplace, kernel, *numbers) -> Tensor:
    x = as_tensor(input)
    return _in_place(x, Activation.apply(x, kernel, *map(float, numbers)), inplace)


def _in_place(x, y, inplace):
    recorded = is_grad_enabled() and x.requires_grad
    return x.copy_(y) if inplace and not recorded else y


def relu(input, inplace: bool = False) -> Tensor:
    """max(x, 0)"""
    return _apply(input, inplace, "relu")


def leaky_relu(input, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope x"""
    return _apply(input, inplace, "leaky_relu", negative_slope)


def threshold(input, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value"""
    return _apply(input, inplace, "threshold", threshold, value)


def hardtanh(input, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """min(max(x, min_val), max_val)"""
    if min_val > max_val:
        raise ValueError(f"hardtanh: expected min_val <= max_val, got {min_val} and {max_val}")
    return _apply(input, inplace, "hardtanh", min_val, max_val)


def relu6(input, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)"""
    return _apply(input, inplace, "hardtanh", 0.0, 6.0)


def hardsigmoid(input, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6) / 6"""
    return _apply(input, inplace, "hardsigmoid")


def hardswish(input, inplace: bool = False) -> Tensor:
    """x min(max(x + 3, 0), 6) / 6"""
    return _apply(input, inplace, "hardswish")


def hardshrink(input, lambd: float = 0.5) -> Tensor:
    """0 where -lambd <= x <= lambd, else x"""
    return _apply(input, False, "hardshrink", lambd)


def softshrink(input, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, and 0 where it would pass it"""
    if lambd < 0:
        raise ValueError(f"softshrink: expected lambd >= 0, got {lambd}")
    return _apply(input, False, "softshrink", lambd)


def elu(input, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (exp(x) - 1)"""
    return _apply(input, inplace, "elu", alpha)


def celu(input, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (exp(x / alpha) - 1)"""
    if alpha == 0:
        raise ValueError("celu: expected alpha other than 0")
    return _apply(input, inplace, "celu", alpha)


def selu(input, inplace: bool = False) -> Tensor:
    """1.0507 x where x > 0, else 1.0507 * 1.6733 (exp(x) - 1)"""
    return _apply(input, inplace, "selu")


def sigmoid(input) -> Tensor:
    """1 / (1 + exp(-x))"""
    return _apply(input, False, "sigmoid")


def tanh(input) -> Tensor:
    """The hyperbolic tangent."""
    return _apply(input, False, "tanh")


def tanhshrink(input) -> Tensor:
    """x - tanh(x)"""
    return _apply(input, False, "tanhshrink")


def logsigmoid(input) -> Tensor:
    """log(sigmoid(x)), right where sigmoid(x) is 0"""
    return _apply(input, False, "log_sigmoid")


def softplus(input, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold"""
    return _apply(input, False, "softplus", beta, threshold)


def softsign(input) -> Tensor:
    """x / (1 + |x|)"""
    return _apply(input, False, "softsign")


def silu(input, inplace: bool = False) -> Tensor:
    """x sigmoid(x)"""
    return _apply(input, inplace, "silu")


def mish(input, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x))"""
    return _apply(input, inplace, "mish")


GELU_KERNELS = {"none": "gelu", "tanh": "gelu_tanh"}


def gelu(input, approximate: str = "none") -> Tensor:
    """x P(x), P the normal distribution function, or with approximate="tanh" its approximation by a tanh"""
    if approximate not in GELU_KERNELS:
        raise ValueError(f"gelu: expected approximate of 'none' or 'tanh', got {approximate!r}")
    return _apply(input, False, GELU_KERNELS[approximate])


class PReLUFunction(Function):
    @staticmethod
    def forward(ctx, x, w):
        if w.ndim != 1 or (w.size != 1 and (x.ndim == 0 or w.size != (x.shape[1] if x.ndim > 1 else 1))):
            raise ValueError(f"prelu: expected a weight for each channel of {x.shape} or for all, got {w.shape}")
        if w.size == 1:
            lines = (1, 1, x.size)
        else:
            lines = (x.shape[0], x.shape[1], math.prod(x.shape[2:]))
        y = empty(x.shape, x.dtype, ctx.device)
        call("prelu.prelu_forward", y.reshape(lines), x.reshape(lines), w)
        ctx.save(x.reshape(lines), w)
        ctx.shape = x.shape
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved
        dx = empty(x.shape, x.dtype, ctx.device) if ctx.needs[0] else absent(x.dtype)
        dw, accumulate = ctx.grad_into(1)
        call("prelu.prelu_backward", dx, dw, dy.reshape(x.shape), x, w, accumulate)
        return dx.reshape(ctx.shape) if ctx.needs[0] else None, dw


def prelu(input, weight) -> Tensor:
    """x where x > 0, else weight x: one weight, or one for each channel (dimension 1)"""
    return PReLUFunction.apply(as_tensor(input), weight)


class RReLUFunction(Function):
    @staticmethod
    def forward(ctx, x, lower, upper):
        slope = empty(x.shape, x.dtype, ctx.device)
        call("random.uniform_forward", slope, next_state(x.size, ctx.device), lower, upper)
        y = empty(x.shape, x.dtype, ctx.device)
        call("prelu.rrelu_forward", y, x, slope)
        ctx.save(x, slope)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, slope = ctx.saved
        dx = empty(x.shape, x.dtype, ctx.device)
        call("prelu.rrelu_backward", dx, dy, x, slope)
        return dx, None, None


def rrelu(input, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False) -> Tensor:
    """x where x > 0, else x by a slope drawn from [lower, upper), or, when not training, by their mean"""
    if not lower <= upper:
        raise ValueError(f"rrelu: expected lower <= upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    x = as_tensor(input)
    return _in_place(x, RReLUFunction.apply(x, float(lower), float(upper)), inplace)


class GLUFunction(Function):
    @staticmethod
    def forward(ctx, x, dim):
        if not -x.ndim <= dim < x.ndim:
            raise IndexError(f"glu: expected a dim of -{x.ndim} .. {x.ndim - 1}, got {dim}")
        at = dim % x.ndim
        if x.shape[at] % 2:
            raise ValueError(f"glu: expected an even size in dimension {dim}, got {x.shape}")
        outer, half, inner = math.prod(x.shape[:at]), x.shape[at] // 2, math.prod(x.shape[at + 1 :])
        y = empty((*x.shape[:at], half, *x.shape[at + 1 :]), x.dtype, ctx.device)
        lines = x.reshape(outer, 2 * half, inner)
        call("glu.glu_forward", y.reshape(outer, half, inner), lines)
        ctx.save(lines)
        ctx.shape = x.shape
        return y

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved
        dx = empty(x.shape, x.dtype, ctx.device)
        call("glu.glu_backward", dx, dy.reshape(x.shape[0], x.shape[1] // 2, x.shape[2]), x)
        return dx.reshape(ctx.shape), None


def glu(input, dim: int = -1) -> Tensor:
    """a sigmoid(b), where a and b are the halves of x along dim"""
    return GLUFunction.apply(as_tensor(input), int(dim))
