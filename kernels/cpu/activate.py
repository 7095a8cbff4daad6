"""Activations on a piece of a row, for kernels that have it in cache: one loop for each, chosen outside the loop."""

from ..jit import compiled
from ..scalar import ELU, GELU, GELU_TANH, LEAKY_RELU, RELU, SIGMOID, SILU, TANH
from . import scalar


@compiled
def activate_row(code, values):
    """values = activation(values); code as in scalar.ACTIVATIONS."""
    if code == RELU:
        for i in range(values.size):
            values[i] = scalar.relu(values[i])
    elif code == TANH:
        for i in range(values.size):
            values[i] = scalar.tanh(values[i])
    elif code == SIGMOID:
        for i in range(values.size):
            values[i] = scalar.sigmoid(values[i])
    elif code == GELU:
        for i in range(values.size):
            values[i] = scalar.gelu(values[i])
    elif code == GELU_TANH:
        for i in range(values.size):
            values[i] = scalar.gelu_tanh(values[i])
    elif code == SILU:
        for i in range(values.size):
            values[i] = scalar.silu(values[i])
    elif code == LEAKY_RELU:
        for i in range(values.size):
            values[i] = scalar.leaky_relu(values[i], values.dtype.type(0.01))
    elif code == ELU:
        for i in range(values.size):
            values[i] = scalar.elu(values[i], values.dtype.type(1))


@compiled
def activate_grad_row(code, dz, dy, y, z):
    """dz = dy * activation'(z); z is looked at only for codes in scalar.NEEDS_INPUT."""
    if code == RELU:
        for i in range(dz.size):
            dz[i] = scalar.activate_grad(RELU, dy[i], y[i], y[i])
    elif code == TANH:
        for i in range(dz.size):
            dz[i] = scalar.activate_grad(TANH, dy[i], y[i], y[i])
    elif code == SIGMOID:
        for i in range(dz.size):
            dz[i] = scalar.activate_grad(SIGMOID, dy[i], y[i], y[i])
    elif code == GELU:
        for i in range(dz.size):
            dz[i] = scalar.activate_grad(GELU, dy[i], y[i], z[i])
    elif code == GELU_TANH:
        for i in range(dz.size):
            dz[i] = scalar.activate_grad(GELU_TANH, dy[i], y[i], z[i])
    elif code == SILU:
        for i in range(dz.size):
            dz[i] = scalar.activate_grad(SILU, dy[i], y[i], z[i])
    elif code == LEAKY_RELU:
        for i in range(dz.size):
            dz[i] = scalar.activate_grad(LEAKY_RELU, dy[i], y[i], y[i])
    elif code == ELU:
        for i in range(dz.size):
            dz[i] = scalar.activate_grad(ELU, dy[i], y[i], y[i])


@compiled
def activate_grads(begin, end, dz, dy, y, z, activation):
    """The gradients begin .. end of what an activation was given; y and z may be absent as in activate_grad_row."""
    activate_grad_row(activation, dz[begin:end], dy[begin:end], y[begin:end], z[begin:end])
