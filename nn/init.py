"""Initial values of parameters: every function of torch.nn.init, by the same names, arguments and formulas.

Each fills a Tensor (or an array) in place, outside of the tape, and returns it. Random numbers come from the Philox
kernels and so depend on `manual_seed` alone; they are drawn on the host for every device, so a seed gives one model.
`eye_`, `dirac_`, `orthogonal_`, `sparse_` and the rejections of `trunc_normal_` are NumPy on the host. All of this is
set-up and never a part of a training step.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .doors import call, empty
from .rng import next_state
from .tape import no_grad
from .tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAIN_ONE = {
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity; `param` is leaky_relu's negative slope.

    >>> from hotloop import nn
    >>> round(nn.init.calculate_gain("relu"), 4)
    1.4142
    """
    if nonlinearity in _GAIN_ONE:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "selu":
        # an empirical value, as in torch
        return 3.0 / 4
    if nonlinearity == "leaky_relu":
        if param is None:
            return math.sqrt(2.0 / (1 + 0.01**2))
        if isinstance(param, bool) or not isinstance(param, (int, float)):
            raise ValueError(f"negative_slope {param!r} not a valid number")
        return math.sqrt(2.0 / (1 + param**2))
    raise ValueError(
        f"Unsupported nonlinearity {nonlinearity!r}, expected one of {sorted(_GAIN_ONE)}, 'tanh', "
        "'relu', 'selu', 'leaky_relu'"
    )


def uniform_(tensor, a: float = 0.0, b: float = 1.0):
    """Uniform on [a, b)."""
    if not a <= b:
        raise ValueError(f"uniform_ expects a <= b, got a={a}, b={b}")
    return _fill(tensor, "random.uniform_forward", a, b)


def normal_(tensor, mean: float = 0.0, std: float = 1.0):
    """Normal with the given mean and standard deviation."""
    if not std >= 0:
        raise ValueError(f"normal_ expects std >= 0, got std={std}")
    return _fill(tensor, "random.normal_forward", mean, std)


def constant_(tensor, val: float):
    """Every element `val`."""
    return _write(tensor, lambda array: call("elementwise.fill_forward", array, float(val)))


def ones_(tensor):
    """Every element 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor):
    """Every element 0."""
    return constant_(tensor, 0.0)


def eye_(tensor):
    """The identity, or as much of it as the matrix has."""
    if len(tensor.shape) != 2:
        raise ValueError(f"eye_ expects a tensor with 2 dimensions, got shape {tuple(tensor.shape)}")
    return _copy(tensor, np.eye(*tensor.shape))


def dirac_(tensor, groups: int = 1):
    """A convolution weight (3, 4 or 5 dimensions) that hands its input channels on, group by group."""
    shape = tuple(tensor.shape)
    if len(shape) not in (3, 4, 5):
        raise ValueError(f"dirac_ expects a tensor with 3, 4 or 5 dimensions, got shape {shape}")
    if shape[0] % groups != 0:
        raise ValueError(f"dim 0 must be divisible by groups, got {shape[0]} and groups={groups}")
    out_channels = shape[0] // groups
    values = np.zeros(shape)
    for g in range(groups):
        for d in range(min(out_channels, shape[1])):
            values[(g * out_channels + d, d, *(k // 2 for k in shape[2:]))] = 1
    return _copy(tensor, values)


def xavier_uniform_(tensor, gain: float = 1.0):
    """Uniform on +-gain * sqrt(6 / (fan_in + fan_out)). Source: Glorot & Bengio 2010."""
    fan_in, fan_out = fans(tensor)
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / (fan_in + fan_out)) if fan_in + fan_out else 0.0
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor, gain: float = 1.0):
    """Normal with std gain * sqrt(2 / (fan_in + fan_out)). Source: Glorot & Bengio 2010."""
    fan_in, fan_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)) if fan_in + fan_out else 0.0)


def kaiming_uniform_(tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"):
    """Uniform on +-gain * sqrt(3 / fan). Source: He et al. 2015."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if std is None else uniform_(tensor, -math.sqrt(3.0) * std, math.sqrt(3.0) * std)


def kaiming_normal_(tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"):
    """Normal with std gain / sqrt(fan). Source: He et al. 2015."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0.0, std)


def trunc_normal_(tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0):
    """Normal, with values outside of [a, b] drawn again."""
    if not (a < b and std > 0):
        raise ValueError(f"trunc_normal_ expects a < b and std > 0, got a={a}, b={b}, std={std}")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    # bounds as numbers of the tensor's dtype: rounding must not carry a value over them
    low, high = (np.asarray(v, tensor.dtype) for v in (a, b))
    values = np.empty(math.prod(tensor.shape), tensor.dtype)
    todo = np.arange(values.size)
    # where most of the normal's mass lies inside, draw from it; in its tail, draw uniformly and keep by the density
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    peak = min(max(mean, a), b)
    while todo.size:
        if inside > 0.3:
            drawn = normal_(np.empty(todo.size, tensor.dtype), mean, std)
            kept = (drawn >= low) & (drawn <= high)
        else:
            drawn = uniform_(np.empty(todo.size, tensor.dtype), a, b)
            density = np.exp(((peak - mean) / std) ** 2 / 2 - ((drawn.astype(np.float64) - mean) / std) ** 2 / 2)
            kept = (uniform_(np.empty(todo.size)) < density) & (drawn >= low) & (drawn <= high)
        values[todo[kept]] = drawn[kept]
        todo = todo[~kept]
    return _copy(tensor, values.reshape(tensor.shape))


def orthogonal_(tensor, gain: float = 1):
    """A (semi-)orthogonal matrix times gain; dimensions after the first count as one. Source: Saxe et al. 2013."""
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(f"orthogonal_ expects a tensor with 2 or more dimensions, got shape {shape}")
    rows, columns = shape[0], math.prod(shape[1:])
    if rows * columns == 0:
        return tensor
    normal = normal_(np.empty((rows, columns)))
    q, r = np.linalg.qr(normal if rows >= columns else normal.T)
    # the sign of r's diagonal makes the distribution uniform (Mezzadri 2006)
    q = q * np.sign(np.diag(r))
    return _copy(tensor, gain * (q if rows >= columns else q.T).reshape(shape))


def sparse_(tensor, sparsity: float, std: float = 0.01):
    """A matrix of normal numbers, of which the fraction `sparsity` of every column is zero. Source: Martens 2010."""
    if len(tensor.shape) != 2:
        raise ValueError(f"sparse_ expects a tensor with 2 dimensions, got shape {tuple(tensor.shape)}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_ expects a sparsity of 0 .. 1, got {sparsity}")
    rows, columns = tensor.shape
    values = normal_(np.empty((rows, columns)), 0.0, std)
    order = np.argsort(uniform_(np.empty((rows, columns))), axis=0)
    np.put_along_axis(values, order[: math.ceil(sparsity * rows)], 0.0, axis=0)
    return _copy(tensor, values)


def fans(tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, kernel...)."""
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(f"Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _kaiming_std(tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode!r} not supported, please use one of 'fan_in', 'fan_out'")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans(tensor)[mode == "fan_out"])


def _normal_cdf(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def _fill(tensor: Any, kernel: str, first: float, second: float):
    if not hasattr(tensor, "shape"):
        raise TypeError(f"expected a Tensor or an array to fill, got {type(tensor).__name__}")
    state = next_state(math.prod(tensor.shape))
    return _write(tensor, lambda array: call(kernel, array, state, float(first), float(second)))


def _write(tensor: Any, fill: Callable[[Any], None]):
    """Let `fill` write a C-contiguous host array, outside of the tape, and put it into the tensor or array."""
    if not isinstance(tensor, Tensor):
        fill(tensor)
    elif tensor.device == "cpu" and tensor.is_contiguous():
        with no_grad():
            fill(tensor._writable())
    else:
        values = empty(tensor.shape, tensor.dtype)
        fill(values)
        _copy(tensor, values)
    return tensor


def _copy(tensor: Any, values: np.ndarray):
    if isinstance(tensor, Tensor):
        with no_grad():
            tensor.copy_(Tensor(values))
    else:
        tensor[...] = values
    return tensor
