"""Operations on tensors, by torch's names, as functions; `attach` makes them the methods and operators of Tensor."""

from typing import Any

from ..tensor import Tensor
from . import (
    activation,
    arithmetic,
    compare,
    create,
    einsum,
    extreme,
    gather,
    index,
    inplace,
    join,
    matmul,
    reduce,
    scatter,
    select,
    shape,
    unary,
)

_MODULES = (
    *(activation, arithmetic, compare, create, extreme, gather, index, inplace),
    *(join, matmul, reduce, scatter, select, shape, unary),
)

# functions by name, for the front door
FUNCTIONS = {"einsum": einsum.einsum}
for _module in _MODULES:
    for _name in getattr(_module, "__all__", ()):
        if _name.islower():
            FUNCTIONS[_name] = getattr(_module, _name)


def attach(cls: Any) -> None:
    for module in _MODULES:
        module.attach(cls)


attach(Tensor)
