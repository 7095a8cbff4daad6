"""Activations on a piece of a row, for kernels that have it in cache: one loop for each, chosen outside the loop."""

from .. import scalar
from ..jit import compiled, inlined
from .vecmath import erf, exp, expm1, log1p, sigmoid, tanh

_formulas = scalar.bind(inlined, exp=exp, expm1=expm1, log1p=log1p, tanh=tanh, erf=erf, sigmoid=sigmoid)
_activate, _activate_grad = _formulas["activate"], _formulas["activate_grad"]


@compiled
def activate_row(code, values, begin, end):
    """values[begin:end] = activation(values[begin:end]); code as in scalar.ACTIVATIONS."""
    if code == scalar.RELU:
        for i in range(begin, end):
            values[i] = _activate(scalar.RELU, values[i])
    elif code == scalar.TANH:
        for i in range(begin, end):
            values[i] = _activate(scalar.TANH, values[i])
    elif code == scalar.SIGMOID:
        for i in range(begin, end):
            values[i] = _activate(scalar.SIGMOID, values[i])
    elif code == scalar.GELU:
        for i in range(begin, end):
            values[i] = _activate(scalar.GELU, values[i])
    elif code == scalar.GELU_TANH:
        for i in range(begin, end):
            values[i] = _activate(scalar.GELU_TANH, values[i])
    elif code == scalar.SILU:
        for i in range(begin, end):
            values[i] = _activate(scalar.SILU, values[i])
    elif code == scalar.LEAKY_RELU:
        for i in range(begin, end):
            values[i] = _activate(scalar.LEAKY_RELU, values[i])
    elif code == scalar.ELU:
        for i in range(begin, end):
            values[i] = _activate(scalar.ELU, values[i])


@compiled
def activate_grad_row(code, dz, dy, y, z, begin, end):
    """dz = dy * activation'(z) over [begin, end) of flat arrays; z is looked at only for scalar.NEEDS_INPUT."""
    if code == scalar.RELU:
        for i in range(begin, end):
            dz[i] = dy[i] * _activate_grad(scalar.RELU, y[i], y[i])
    elif code == scalar.TANH:
        for i in range(begin, end):
            dz[i] = dy[i] * _activate_grad(scalar.TANH, y[i], y[i])
    elif code == scalar.SIGMOID:
        for i in range(begin, end):
            dz[i] = dy[i] * _activate_grad(scalar.SIGMOID, y[i], y[i])
    elif code == scalar.GELU:
        for i in range(begin, end):
            dz[i] = dy[i] * _activate_grad(scalar.GELU, y[i], z[i])
    elif code == scalar.GELU_TANH:
        for i in range(begin, end):
            dz[i] = dy[i] * _activate_grad(scalar.GELU_TANH, y[i], z[i])
    elif code == scalar.SILU:
        for i in range(begin, end):
            dz[i] = dy[i] * _activate_grad(scalar.SILU, y[i], z[i])
    elif code == scalar.LEAKY_RELU:
        for i in range(begin, end):
            dz[i] = dy[i] * _activate_grad(scalar.LEAKY_RELU, y[i], y[i])
    elif code == scalar.ELU:
        for i in range(begin, end):
            dz[i] = dy[i] * _activate_grad(scalar.ELU, y[i], y[i])
