"""What a fused activation asks of the arguments of linear, on every backend: plain functions, compiled too."""

from .scalar import ACTIVATIONS, GELU, GELU_TANH, SILU

COUNT = len(ACTIVATIONS)


def check_activation(code):
    """ValueError for a number that is no code of scalar.ACTIVATIONS."""
    if code < 0 or code >= COUNT:
        raise ValueError("activation: expected a code of scalar.ACTIVATIONS")


def check_kept(code, wanted, y, z):
    """ValueError where the gradient of the activation lacks what it is made of; wanted, y, z: sizes of dy, y and z."""
    if code != 0 and y != wanted:
        raise ValueError("y: expected the result, which the gradient of the activation is made of; it is absent")
    if (code == GELU or code == GELU_TANH or code == SILU) and z != wanted:
        raise ValueError("z: expected what the activation was given, which its gradient is made of; it is absent")
