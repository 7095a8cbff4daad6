"""Activations: one flat loop for each over its formula in kernels/scalar.py, in parallel chunks.

Each chunk is cut out first: indices then start at 0, which spares a check that would keep the loop from becoming
vectors.
"""

from ..jit import compiled, kernel, parallel_for
from ..scalar import KERNELS
from ..template import define
from . import scalar

__all__ = ["compiled", "kernel", "parallel_for", "scalar"]  # what the sources below use

GRAIN = 32768

FORWARD = '''
@compiled
def _{name}(begin, end, y, x{scalars}):
    y, x = y[begin:end], x[begin:end]
    for i in range(y.size):
        y[i] = scalar.{name}(x[i]{scalars})


@kernel
def {name}_forward(y, x{scalars}):
    """Flat, in parallel."""
    parallel_for(_{name}, y.size, GRAIN, (y, x{typed}))
'''

# {kept} is what the forward left: x or y
BACKWARD = '''
@compiled
def _{name}_gradient(begin, end, dx, dy, {kept}{scalars}):
    dx, dy, {kept} = dx[begin:end], dy[begin:end], {kept}[begin:end]
    for i in range(dx.size):
        dx[i] = scalar.{name}_grad(dy[i], {kept}[i]{scalars})


@kernel
def {name}_backward(dx, dy, {kept}{scalars}):
    """Flat, in parallel."""
    parallel_for(_{name}_gradient, dx.size, GRAIN, (dx, dy, {kept}{typed}))
'''


def _define(source, name, kept, scalars):
    listed = "".join(f", {s}" for s in scalars)
    # a number of Python's is float64: in that type it would make a float32 loop a float64 one
    typed = "".join(f", {kept}.dtype.type({s})" for s in scalars)
    define(globals(), source, name=name, kept=kept, scalars=listed, typed=typed)


for _name, (_forward, _backward, _kept) in KERNELS.items():
    _define(FORWARD, _name, "x", _forward)
    _define(BACKWARD, _name, _kept, _backward)
