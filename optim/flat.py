"""Parameters side by side in memory: one buffer of values and one of gradients for each dtype and device.

A flat buffer belongs to the parameters that are views of it, not to an optimizer: it lives as long as one of them, and
a second optimizer over the same parameters takes it as it is. Every slice begins on a 64-byte boundary; the padding
between slices is zero and stays zero, so that a run of neighbours is updated by one kernel call, padding and all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..nn.doors import call, lasting
from ..nn.sparse import SparseGradient

ALIGN = 64


def padded(size: int, itemsize: int) -> int:
    """Elements from the beginning of a slice to the beginning of the next."""
    step = ALIGN // itemsize
    return (size + step - 1) // step * step


class Flat:
    """One buffer of values and one of gradients, 1-D."""

    __slots__ = ("data", "grad")

    def __init__(self, size: int, dtype, device):
        self.data = zeros(size, dtype, device)
        self.grad = zeros(size, dtype, device)


class Place(NamedTuple):
    """Where a parameter lies: in `flat` from `begin`, seen through the parameter's own two views."""

    flat: Flat
    begin: int
    data: Any
    grad: Any

    def __reduce__(self):
        # a copy of a parameter has memory of its own: it lies nowhere yet
        return _nowhere, ()


def _nowhere() -> None:
    return None


def zeros(size: int, dtype, device):
    """A 1-D array of zeros."""
    array = lasting((size,), dtype, device)
    call("elementwise.fill_forward", array, 0.0)
    return array


def lay(parameters: list) -> list[Place]:
    """The places of parameters of one dtype and device; unless all have one, all are copied into a new flat buffer."""
    places = [getattr(p, "_place", None) for p in parameters]
    if all(place is not None and place.data is p._data for place, p in zip(places, parameters, strict=True)):
        for p in parameters:
            _restore_gradient(p)
    else:
        itemsize = parameters[0]._data.dtype.itemsize
        size = sum(padded(p._data.size, itemsize) for p in parameters)
        flat = Flat(size, parameters[0]._data.dtype, parameters[0].device)
        begin = 0
        for p in parameters:
            _move(p, flat, begin)
            begin += padded(p._data.size, itemsize)
    return [p._place for p in parameters]


def _move(parameter, flat: Flat, begin: int) -> None:
    old = parameter._data
    end = begin + old.size
    data = flat.data[begin:end].reshape(old.shape)
    call("elementwise.copy_forward", data, old)
    parameter._data = data
    parameter._place = Place(flat, begin, data, flat.grad[begin:end].reshape(old.shape))
    _restore_gradient(parameter)


def _restore_gradient(parameter) -> None:
    """Let the parameter's gradient live in its slice, whatever array it was in. One of few rows stays as it is."""
    slice_ = parameter._place.grad
    if parameter._grad_buffer is not slice_ and type(parameter._grad_buffer) is not SparseGradient:
        if parameter._has_grad:
            call("elementwise.copy_forward", slice_, parameter._grad_buffer)
        parameter._grad_buffer, parameter._loose = slice_, None
