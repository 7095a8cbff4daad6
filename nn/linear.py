"""Linear (with a fused activation, if wanted), LazyLinear and Bilinear, and their functions."""

from __future__ import annotations

import math
from typing import Any

from ..kernels.scalar import ACTIVATIONS, NEEDS_INPUT
from . import init
from .doors import absent, call, empty
from .factory import gradients_into, new_parameter
from .lazy import LazyModule, UninitializedParameter
from .module import Module
from .parameter import Parameter
from .rng import next_state
from .tape import Function

__all__ = ["Bilinear", "LazyLinear", "Linear", "bilinear", "linear"]


class LinearFunction(Function):
    """A chain of layers y = activation(x @ w.T + b), each of them one kernel, whatever dimensions lead x's last one.

    Arguments: x; (the activation's code of each layer, the rate of dropout of each, the name that errors begin with);
    then w and b of each layer. A layer with a rate has no activation's code: ReLU comes with the dropout.
    """

    autocast = "half"

    @staticmethod
    def forward(ctx, x, plan, *parameters):
        codes, rates, layer = plan
        device, recording = ctx.device, True in ctx.needs
        given, shape = x, getattr(x, "shape", ())
        # what each layer was given, and what its activation was given where the derivative is no function of y
        inputs, kept = [], []
        for code, rate, w, b in zip(codes, rates, parameters[::2], parameters[1::2], strict=True):
            wide, dtype = w.shape, w.dtype
            depth = shape[-1:] if x is given else x.shape[1:]
            if len(wide) != 2 or depth != wide[1:] or x.dtype is not dtype or not (b is None or b.shape == wide[:1]):
                _check(x if x is given else x.reshape(*shape[:-1], *depth), w, b, layer)
            if x is given and len(shape) != 2:
                x = x.reshape(math.prod(shape[:-1]), *depth)
            y = empty((x.shape[0], wide[0]), dtype, device)
            z = empty(y.shape, dtype, device) if recording and code in NEEDS_INPUT else absent(dtype, device, 2)
            call("linear.linear_forward", y, z, x, w, absent(dtype) if b is None else b, code)
            if rate:
                call("dropout_fused.relu_dropout_forward", y, y, next_state(y.size, device), rate)
            if recording:
                inputs.append(x)
                kept.append(z)
            x = y
        if len(shape) != 2:
            y = y.reshape(*shape[:-1], *wide[:1])
        if recording:
            ctx.save(given, *parameters[::2], *((y,) if code or rate else ()))
            # the results between the layers are nobody's: they cannot change
            ctx.codes, ctx.rates, ctx.inputs, ctx.kept = codes, rates, inputs, kept
        return y

    @staticmethod
    def backward(ctx, dy):
        codes, rates, kept, needs = ctx.codes, ctx.rates, ctx.kept, ctx.needs
        layers = len(codes)
        given, weights = ctx.saved[0], ctx.saved[1 : layers + 1]
        dtype, device, shape = given.dtype, ctx.device, given.shape
        nothing = absent(dtype, device, 2)
        y = ctx.saved[-1] if codes[-1] or rates[-1] else nothing
        if len(shape) != 2:
            dy = dy.reshape(math.prod(shape[:-1]), dy.shape[-1])
            y = y if y is nothing else y.reshape(dy.shape)
        # in the order of the arguments: of a weight that several layers share, the first writes into its gradient
        places = [gradients_into(ctx, i, i + 1) for i in range(2, len(needs), 2)]
        results = [None] * len(needs)
        for k in range(layers - 1, -1, -1):
            x = ctx.inputs[k]
            wanted = True in needs[: 2 * k + 2]
            dx = empty(x.shape, dtype, device) if wanted else nothing
            dw, db, accumulate = places[k]
            if rates[k]:
                # what the layers behind gave may be overwritten, what backward was given may not
                dz = empty(dy.shape, dtype, device) if k == layers - 1 else dy
                call("dropout_fused.relu_dropout_backward", dz, dy, y, rates[k])
                dy, y = dz, nothing
            call("linear.linear_backward", dx, dw, db, dy, x, weights[k], y, kept[k], codes[k], accumulate)
            results[2 * k + 2], results[2 * k + 3] = dw, db
            if not wanted:
                break
            dy, y = dx, x if k and (codes[k - 1] or rates[k - 1]) else nothing
        if needs[0]:
            results[0] = dy if len(shape) == 2 else dy.reshape(shape)
        if not ctx.retained:
            ctx.inputs = ctx.kept = None
        return tuple(results)


class BilinearFunction(Function):
    """y = x1 @ w[h] @ x2 + b[h] for every h, whatever dimensions lead the last one of x1 and x2."""

    # its kernels know no 16-bit floats
    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x1, x2, w, b, layer):
        _check_weight(w, 3, layer)
        _check_input("input1", x1, w, 1, layer)
        _check_input("input2", x2, w, 2, layer)
        _check_bias(b, w, layer)
        if x1.shape[:-1] != x2.shape[:-1]:
            raise ValueError(
                f"{layer}: expected inputs with the same dimensions but for the last, got {x1.shape} and {x2.shape}"
            )
        rows = math.prod(x1.shape[:-1])
        flat_x1, flat_x2 = x1.reshape(rows, w.shape[1]), x2.reshape(rows, w.shape[2])
        y = empty((rows, w.shape[0]), x1.dtype, ctx.device)
        call("bilinear.bilinear_forward", y, flat_x1, flat_x2, w, absent(x1.dtype) if b is None else b)
        ctx.save(flat_x1, flat_x2, w)
        ctx.shapes = x1.shape, x2.shape
        return y.reshape(*x1.shape[:-1], w.shape[0])

    @staticmethod
    def backward(ctx, dy):
        x1, x2, w = ctx.saved
        dx1, dx2 = (
            empty(x.shape, x.dtype, ctx.device) if needed else absent(x.dtype)
            for x, needed in ((x1, ctx.needs[0]), (x2, ctx.needs[1]))
        )
        dw, db, accumulate = gradients_into(ctx, 2, 3)
        dy = dy.reshape(x1.shape[0], w.shape[0])
        call("bilinear.bilinear_backward", dx1, dx2, dw, db, dy, x1, x2, w, accumulate)
        dx1, dx2 = (
            dx.reshape(shape) if needed else None
            for dx, shape, needed in zip((dx1, dx2), ctx.shapes, ctx.needs, strict=False)
        )
        return dx1, dx2, dw, db, None


def linear(input, weight, bias=None, *, activation: str | None = None):
    """activation(input @ weight.T + bias)

    input (..., in), weight (out, in), bias (out,) or None; gives (..., out). `activation` is one of "relu", "tanh",
    "sigmoid", "gelu", "gelu_tanh", "silu", "leaky_relu", "elu" with torch's defaults, or None.
    """
    return LinearFunction.apply(input, ((_activation_code(activation, "linear"),), (0.0,), "linear"), weight, bias)


def bilinear(input1, input2, weight, bias=None):
    """y[..., h] = input1 @ weight[h] @ input2 + bias[h]

    input1 (..., in1), input2 (..., in2), weight (out, in1, in2), bias (out,) or None; gives (..., out).
    """
    return BilinearFunction.apply(input1, input2, weight, bias, "bilinear")


class Linear(Module):
    """y = activation(x @ weight.T + bias)

    Input (..., in_features), output (..., out_features). Parameters: weight (out_features, in_features) and bias
    (out_features,), both uniform on +-1 / sqrt(in_features) at first, as torch.nn.Linear. The keyword `activation`
    names a function (see `functional.linear`) that is computed while the result is still in registers.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.Linear(20, 30, activation="relu")
    >>> layer
    Linear(in_features=20, out_features=30, bias=True, activation='relu')
    >>> layer(np.ones((128, 20), np.float32)).shape
    (128, 30)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device=None, dtype=None, *, activation=None
    ) -> None:
        super().__init__()
        self._activation = _activation_code(activation, "Linear")
        self.in_features = in_features
        self.out_features = out_features
        self.activation = activation
        self.weight = new_parameter((out_features, in_features), device, dtype)
        self.register_parameter("bias", new_parameter((out_features,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        # kaiming_uniform_ with a = sqrt(5) is uniform on +-1 / sqrt(fan_in), and the bias too
        bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        return LinearFunction.apply(input, ((self._activation,), (0.0,), "Linear"), self.weight, self.bias)

    def extra_repr(self) -> str:
        fused = "" if self.activation is None else f", activation={self.activation!r}"
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}{fused}"


class LazyLinear(LazyModule, Linear):
    """A Linear that takes in_features from its first input, and is a Linear from then on.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.LazyLinear(8)
    >>> layer(np.ones((2, 5), np.float32)).shape
    (2, 8)
    >>> layer
    Linear(in_features=5, out_features=8, bias=True)
    """

    cls_to_become = Linear
    weight: Any
    bias: Any

    def __init__(self, out_features: int, bias: bool = True, device=None, dtype=None, *, activation=None) -> None:
        Module.__init__(self)
        self._activation = _activation_code(activation, "LazyLinear")
        self.in_features = 0
        self.out_features = out_features
        self.activation = activation
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.register_parameter("bias", UninitializedParameter(device=device, dtype=dtype) if bias else None)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input) -> None:
        if len(input.shape) == 0:
            raise ValueError("LazyLinear: expected an input (..., in_features), got a number")
        if not self.has_uninitialized_params():
            # a loaded state has given the shapes
            self.in_features = self.weight.shape[1]
            return
        self.in_features = input.shape[-1]
        self.weight.materialize((self.out_features, self.in_features))
        if self.bias is not None:
            self.bias.materialize((self.out_features,))
        self.reset_parameters()


class Bilinear(Module):
    """y[..., h] = x1 @ weight[h] @ x2 + bias[h]

    Inputs (..., in1_features) and (..., in2_features), output (..., out_features). Parameters: weight (out_features,
    in1_features, in2_features) and bias (out_features,), uniform on +-1 / sqrt(in1_features) at first, as
    torch.nn.Bilinear.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.Bilinear(20, 30, 40)
    >>> layer(np.ones((128, 20), np.float32), np.ones((128, 30), np.float32)).shape
    (128, 40)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"Bilinear: expected in1_features > 0, got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = new_parameter((out_features, in1_features, in2_features), device, dtype)
        self.register_parameter("bias", new_parameter((out_features,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        return BilinearFunction.apply(input1, input2, self.weight, self.bias, "Bilinear")

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}"
        return f"{sizes}, out_features={self.out_features}, bias={self.bias is not None}"


def _activation_code(activation: str | None, layer: str) -> int:
    if activation not in ACTIVATIONS:
        raise ValueError(f"{layer}: expected activation in {list(ACTIVATIONS)}, got {activation!r}")
    return ACTIVATIONS[activation]


def _check(x, w, b, layer: str) -> None:
    """Say what does not fit; nothing where it is but another object for the same dtype."""
    _check_weight(w, 2, layer)
    _check_input("input", x, w, 1, layer)
    _check_bias(b, w, layer)


def _check_weight(w, dims: int, layer: str) -> None:
    if len(w.shape) != dims:
        shape = "(out, in)" if dims == 2 else "(out, in1, in2)"
        raise ValueError(f"{layer}: expected weight {shape}, got shape {w.shape}")


def _check_input(name: str, x, w, axis: int, layer: str) -> None:
    features = w.shape[axis]
    if not hasattr(x, "shape"):
        raise TypeError(f"{layer}: expected {name} to be a Tensor or an array, got {type(x).__name__}")
    if len(x.shape) == 0 or x.shape[-1] != features:
        raise ValueError(f"{layer}: expected {name} (..., {features}), got shape {x.shape}")
    if x.dtype != w.dtype:
        raise TypeError(
            f"{layer}: expected {name} of the weight's dtype {w.dtype}, got {x.dtype}; convert one of them with "
            f".to({name}.dtype) or .to(weight.dtype)"
        )


def _check_bias(b, w, layer: str) -> None:
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"{layer}: expected bias ({w.shape[0]},), got shape {b.shape}")
    if b is not None and b.dtype != w.dtype:
        raise TypeError(f"{layer}: expected bias of the weight's dtype {w.dtype}, got {b.dtype}")
