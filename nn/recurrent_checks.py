"""What the arguments of recurrent layers and cells must be."""

from __future__ import annotations

import numpy as np

__all__ = ["check_flags", "check_integers", "probability"]


def check_flags(name: str, **arguments) -> None:
    """TypeError for what is neither True nor False: an argument that stands in another's place, say."""
    for argument, value in arguments.items():
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name}: expected {argument} as True or False, got {value!r}")


def check_integers(name: str, **arguments) -> None:
    for argument, value in arguments.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name}: expected {argument} as an integer, got {value!r}")


def probability(name: str, argument: str, value) -> float:
    """The value as a float; ValueError for anything but a number from 0 to 1."""
    if isinstance(value, (bool, str)) or np.ndim(value) or not hasattr(value, "__float__") or not 0 <= value <= 1:
        raise ValueError(f"{name}: expected {argument} as a probability from 0 to 1, got {value!r}")
    return float(value)
