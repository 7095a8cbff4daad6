"""The layers' operations as functions, by torch.nn.functional's names. They live beside their layers."""

from .linear import bilinear, linear
from .shape import flatten, unflatten

__all__ = [
    "bilinear",
    "flatten",
    "linear",
    "unflatten",
]
