"""Parameter: a tensor that a module owns and an optimizer changes."""

from __future__ import annotations

from typing import Any

from .doors import copy_into, empty
from .tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A Tensor that a Module registers when it is assigned to an attribute; requires a gradient by default.

    Its memory may be a slice of an optimizer's flat buffer. Assigning to `.data` copies into that memory as long as
    shape, dtype and device agree, so the optimizer goes on with the new values.
    """

    __slots__ = ()

    # where it lies in an optimizer's flat buffers; the optimizer's own
    _place: Any = None
    # whether its gradients will be SparseGradients: an optimizer need not make room for others
    _by_rows: bool = False

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if data is None:
            data = empty((0,), "float32")
        super().__init__(data, requires_grad)

    def _replace(self, array) -> None:
        old = self._data
        if array.shape == old.shape and array.dtype == old.dtype and type(array) is type(old):
            copy_into(old, array)
            self._version[0] += 1
        else:
            super()._replace(array)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
