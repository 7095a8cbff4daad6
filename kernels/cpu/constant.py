"""Arithmetic and comparisons between an array and one number: flat loops, in parallel chunks."""

import numpy as np  # noqa: F401  (formulas)

from ..formulas import COMPARISON, CONSTANT
from ..jit import compiled, kernel, overload, parallel_for  # noqa: F401  (in the templates)
from ..template import define

GRAIN = 32768


def operand(value, x):
    """value in x's dtype where that is floating, else as it is: integers are compared with 2.5 as numbers."""
    return x.dtype.type(value) if x.dtype.kind == "f" else value


@overload(operand)
def _operand(value, x):
    if str(x.dtype).startswith("float"):
        return lambda value, x: x.dtype.type(value)
    return lambda value, x: value


FORWARD = '''
@compiled
def _{name}(begin, end, y, array, value):
    y, array = y[begin:end], array[begin:end]
    for i in range(y.size):
        x = array[i]
        y[i] = {value}


@kernel
def {name}_forward(y, x, value):
    """Flat, in parallel."""
    parallel_for(_{name}, y.size, GRAIN, (y, x, {number}))
'''

BACKWARD = '''
@compiled
def _{name}_gradient(begin, end, dx, gradient, array, value):
    zero, one = gradient.dtype.type(0), gradient.dtype.type(1)
    dx, gradient, array = dx[begin:end], gradient[begin:end], array[begin:end]
    for i in range(dx.size):
        dy, x = gradient[i], array[i]
        dx[i] = {dx}


@kernel
def {name}_backward(dx, dy, x, value):
    """Flat, in parallel."""
    parallel_for(_{name}_gradient, dx.size, GRAIN, (dx, dy, x, x.dtype.type(value)))
'''

for _name, (_value, _dx) in CONSTANT.items():
    define(globals(), FORWARD, name=_name, value=_value, number="x.dtype.type(value)")
    if _dx:
        define(globals(), BACKWARD, name=_name, dx=_dx)
for _name, _formula in COMPARISON.items():
    _value = _formula.replace("a", "x").replace("b", "value")
    define(globals(), FORWARD, name=_name, value=_value, number="operand(value, x)")
