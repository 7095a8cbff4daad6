"""Neighbours that one kernel computes: a Linear and the activation after it.

Fused or apart is a matter of speed alone. The two stay modules of their own in every list of modules, state and repr;
they are fused only where nobody can look between them (no hooks, no `forward` of the user's), and the result agrees to
the rounding of one addition (the bias comes first or last).
"""

from __future__ import annotations

from typing import Any

from ..kernels.scalar import RELU, SIGMOID, SILU, TANH
from .activations import ReLU, Sigmoid, SiLU, Tanh
from .linear import Linear

# exact classes: a subclass may do anything
_CODES = {ReLU: RELU, Sigmoid: SIGMOID, SiLU: SILU, Tanh: TANH}


def fused_code(first: Any, second: Any) -> int:
    """The activation that `first` can compute in place of `second`, by its code; 0: they are called apart."""
    code = _CODES.get(type(second), 0)
    if (
        code
        and type(first) is Linear
        and not first._activation
        and first._hooks is None
        and second._hooks is None
        # a user's own, set on the instance
        and "forward" not in first.__dict__
        and "forward" not in second.__dict__
    ):
        return code
    return 0
