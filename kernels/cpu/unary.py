"""Functions of one array: flat loops that LLVM turns into vectors, in parallel chunks."""

import numpy as np  # noqa: F401  (formulas)

from ..formulas import UNARY
from ..jit import compiled, kernel, parallel_for  # noqa: F401  (in the templates)
from ..template import define
from .vecmath import erf, exp, expm1, log, log1p, sigmoid, tanh  # noqa: F401  (formulas)

GRAIN = 16384

FORWARD = '''
@compiled
def _{name}(begin, end, y, array):
    cast = array.dtype.type
    zero, one = cast(0), cast(1)
    y, array = y[begin:end], array[begin:end]
    for i in range(y.size):
        x = array[i]
        y[i] = {value}


@kernel
def {name}_forward(y, x):
    """Flat, in parallel."""
    parallel_for(_{name}, y.size, GRAIN, (y, x))
'''

BACKWARD = '''
@compiled
def _{name}_gradient(begin, end, dx, gradient, array):
    cast = array.dtype.type
    zero, one, two, half = cast(0), cast(1), cast(2), cast(0.5)
    dx, gradient, array = dx[begin:end], gradient[begin:end], array[begin:end]
    for i in range(dx.size):
        dy, {saved} = gradient[i], array[i]
        dx[i] = {dx}


@kernel
def {name}_backward(dx, dy, {saved}):
    """Flat, in parallel."""
    parallel_for(_{name}_gradient, dx.size, GRAIN, (dx, dy, {saved}))
'''

for _name, (_value, _dx, _saved) in UNARY.items():
    define(globals(), FORWARD, name=_name, value=_value)
    if _dx:
        define(globals(), BACKWARD, name=_name, dx=_dx, saved=_saved)
