"""Optimizers with PyTorch's names, arguments, defaults and formulas, over flat buffers."""

from .adam import Adam
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]
