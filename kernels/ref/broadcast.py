"""The operations of elementwise.py between operands of different shapes, written over at most four dimensions.

An operand comes as it lies in memory, flattened, with a stride in elements for each dimension of the result: 0 where
it is broadcast. `a[p*a0 + q*a1 + r*a2 + s*a3]` meets `b[p*b0 + q*b1 + r*b2 + s*b3]` in `y[p, q, r, s]`. Gradients come
in the result's shape: the caller sums them over the broadcast dimensions (reduce.sum_forward).
"""

import numpy as np

from ..formulas import BINARY, COMPARISON
from . import elementwise

STRIDES = """
    a   (A,) {dtype}                left operand, flattened
    b   (B,) {dtype}                right operand, flattened
    a0  int                       strides of a, in elements; IndexError when one leads out of a
    a1  int
    a2  int
    a3  int                       0 or 1
    b0  int                       strides of b
    b1  int
    b2  int
    b3  int                       0 or 1
    """


def view(x, shape, strides):
    """x (flat) as an array of that shape and those strides, in elements; never past its end."""
    if min(shape) and (min(strides) < 0 or sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) >= x.size):
        raise IndexError("broadcast: a stride leads out of an operand")
    return np.lib.stride_tricks.as_strided(x, shape, [s * x.itemsize for s in strides])


def _values(name, dtype):
    same_shape = getattr(elementwise, name)

    def forward(y, a, b, a0, a1, a2, a3, b0, b1, b2, b3):
        same_shape(y, view(a, y.shape, (a0, a1, a2, a3)), view(b, y.shape, (b0, b1, b2, b3)))

    equation = same_shape.__doc__.partition("\n")[0]
    forward.__doc__ = f"{equation}\n\n    y   (P, Q, R, S) {dtype} [out]{STRIDES.format(dtype='same')}"
    return forward


def _gradients(name):
    same_shape = getattr(elementwise, name)

    def backward(da, db, dy, a, b, a0, a1, a2, a3, b0, b1, b2, b3):
        same_shape(da, db, dy, view(a, dy.shape, (a0, a1, a2, a3)), view(b, dy.shape, (b0, b1, b2, b3)))

    equation = same_shape.__doc__.partition("\n")[0]
    backward.__doc__ = f"""{equation}, before the sums over broadcast dimensions

    da  (P, Q, R, S) or (0,) [out]  size 0: not wanted
    db  (P, Q, R, S) or (0,) [out]  size 0: not wanted
    dy  (P, Q, R, S)                gradient of the result{STRIDES.format(dtype="")}"""
    return backward


def _publish(name, function):
    function.__name__ = function.__qualname__ = name
    globals()[name] = function


for _name in BINARY:
    _publish(f"{_name}_forward", _values(f"{_name}_forward", "same"))
    if BINARY[_name][1]:
        _publish(f"{_name}_backward", _gradients(f"{_name}_backward"))
for _name in COMPARISON:
    _publish(f"{_name}_forward", _values(f"{_name}_forward", "bool"))
