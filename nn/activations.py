"""Activation layers, by torch.nn's names, arguments and defaults. Input: any shape; output: the same, but for GLU."""

from __future__ import annotations

from . import activation_functions as functions
from . import init
from .factory import new_parameter
from .module import Module
from .tensor import Tensor

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _Plain(Module):
    """An activation without arguments."""

    _function = staticmethod(functions.sigmoid)

    def forward(self, input) -> Tensor:
        return self._function(input)


class _InPlace(Module):
    """An activation whose one argument is `inplace` (see functional)."""

    _function = staticmethod(functions.relu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input) -> Tensor:
        return self._function(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


def _in_words(text: str, inplace: bool) -> str:
    return text + (", inplace=True" if inplace else "")


class ReLU(_InPlace):
    """y = max(x, 0)

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.ReLU()(np.array([-1.0, 0.0, 2.0], np.float32)).numpy()
    array([0., 0., 2.], dtype=float32)
    """


class Hardsigmoid(_InPlace):
    """y = min(max(x + 3, 0), 6) / 6"""

    _function = staticmethod(functions.hardsigmoid)


class Hardswish(_InPlace):
    """y = x min(max(x + 3, 0), 6) / 6"""

    _function = staticmethod(functions.hardswish)


class SELU(_InPlace):
    """y = 1.0507 x where x > 0, else 1.0507 * 1.6733 (exp(x) - 1)"""

    _function = staticmethod(functions.selu)


class SiLU(_InPlace):
    """y = x sigmoid(x)"""

    _function = staticmethod(functions.silu)


class Mish(_InPlace):
    """y = x tanh(log(1 + exp(x)))"""

    _function = staticmethod(functions.mish)


class Sigmoid(_Plain):
    """y = 1 / (1 + exp(-x))"""

    _function = staticmethod(functions.sigmoid)


class Tanh(_Plain):
    """y = tanh(x)"""

    _function = staticmethod(functions.tanh)


class Tanhshrink(_Plain):
    """y = x - tanh(x)"""

    _function = staticmethod(functions.tanhshrink)


class LogSigmoid(_Plain):
    """y = log(1 / (1 + exp(-x)))"""

    _function = staticmethod(functions.logsigmoid)


class Softsign(_Plain):
    """y = x / (1 + |x|)"""

    _function = staticmethod(functions.softsign)


class ELU(Module):
    """y = x where x > 0, else alpha (exp(x) - 1)"""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input) -> Tensor:
        return functions.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return _in_words(f"alpha={self.alpha}", self.inplace)


class CELU(ELU):
    """y = x where x > 0, else alpha (exp(x / alpha) - 1)"""

    def forward(self, input) -> Tensor:
        return functions.celu(input, self.alpha, self.inplace)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope x"""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input) -> Tensor:
        return functions.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return _in_words(f"negative_slope={self.negative_slope}", self.inplace)


class RReLU(Module):
    """y = x where x > 0, else x by a slope drawn from [lower, upper) for each element; in eval mode by their mean"""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input) -> Tensor:
        return functions.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return _in_words(f"lower={self.lower}, upper={self.upper}", self.inplace)


class PReLU(Module):
    """y = x where x > 0, else weight x

    Parameter: weight (num_parameters,), at first `init`: one for all, or one for each channel (dimension 1).
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device=None, dtype=None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = new_parameter((num_parameters,), device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to `init`."""
        init.constant_(self.weight, self.init)

    def forward(self, input) -> Tensor:
        return functions.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Threshold(Module):
    """y = x where x > threshold, else value"""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input) -> Tensor:
        return functions.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return _in_words(f"threshold={self.threshold}, value={self.value}", self.inplace)


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val)"""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if not max_val > min_val:
            raise ValueError(f"Hardtanh: expected max_val > min_val, got {max_val} and {min_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input) -> Tensor:
        return functions.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return _in_words(f"min_val={self.min_val}, max_val={self.max_val}", self.inplace)


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6)"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardshrink(Module):
    """y = 0 where -lambd <= x <= lambd, else x"""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input) -> Tensor:
        return functions.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """y = x moved towards 0 by lambd, and 0 where it would pass it"""

    def forward(self, input) -> Tensor:
        return functions.softshrink(input, self.lambd)


class Softplus(Module):
    """y = log(1 + exp(beta x)) / beta; x itself where beta x > threshold"""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input) -> Tensor:
        return functions.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class GELU(Module):
    """y = x P(x), P the normal distribution function; approximate="tanh": P by a tanh"""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input) -> Tensor:
        return functions.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class GLU(Module):
    """y = a sigmoid(b), where a and b are the halves of x along dim"""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input) -> Tensor:
        return functions.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
