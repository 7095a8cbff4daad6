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
    if type(first) is not Linear or first._activation:
        return 0
    code = _CODES.get(type(second), 0)
    return code if code and _plain(first) and _plain(second) else 0


def _plain(module: Any) -> bool:
    """Whether a call of the module does nothing but the forward of its class."""
    return module._hooks is None and "forward" not in module.__dict__
