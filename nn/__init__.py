"""Layers, losses, initial values and state files, by torch.nn's names."""

from . import functional, init, ops, utils
from .containers import ModuleDict, ModuleList, Sequential
from .engine import grad
from .files import load, save
from .lazy import UninitializedBuffer, UninitializedParameter
from .linear import Bilinear, LazyLinear, Linear
from .module import Module
from .parameter import Parameter
from .parameter_containers import ParameterDict, ParameterList
from .shape import Flatten, Identity, Unflatten
from .tape import Function
from .tensor import Tensor

__all__ = [
    "Bilinear",
    "Flatten",
    "Function",
    "Identity",
    "LazyLinear",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "Sequential",
    "Tensor",
    "Unflatten",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "grad",
    "init",
    "load",
    "save",
    "utils",
]
