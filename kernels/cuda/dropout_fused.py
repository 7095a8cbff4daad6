"""Dropout with a ReLU before it or a sum after it: maps that draw the mask in registers, as dropout.py's do.

What is dropped is the same as on the CPU for the same state, bit for bit.
"""

from .functions import formulas
from .maps import computed, define_map, launch_map
from .random import DRAWN, WORDS, threshold
from .target import kernel

_RELU = {"relu": formulas["relu"], "relu_grad": formulas["relu_grad"]}
_added = define_map(
    globals(), "_added", {"y": "r if w < below else r + scale * x"}, ["r", "x"], ["below", "scale"], DRAWN, **WORDS
)
_rectified = define_map(
    globals(),
    "_rectified",
    {"y": "zero if w < below else scale * relu(x)"},
    ["x"],
    ["below", "scale"],
    {**DRAWN, **_RELU},
    **WORDS,
)
_rectified_gradients = define_map(
    globals(), "_rectified_gradients", {"dx": "relu_grad(scale * dy, y)"}, ["dy", "y"], ["scale"], _RELU
)


def _scale(p, like):
    return computed(like.dtype)(1 / (1 - p) if p < 1 else 0.0)


@kernel(half=True)
def dropout_add_forward(y, r, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    launch_map(_added, stream, y, r, x, threshold(p), _scale(p, y), state)


@kernel(half=True)
def relu_dropout_forward(y, x, state, p, stream=0):
    """One launch."""
    launch_map(_rectified, stream, y, x, threshold(p), _scale(p, y), state)


@kernel(half=True)
def relu_dropout_backward(dx, dy, y, p, stream=0):
    """One launch, which draws nothing."""
    threshold(p)
    launch_map(_rectified_gradients, stream, dx, dy, y, _scale(p, dx))
