"""Activations: for each formula of kernels/scalar.py a kernel whose threads stride over the elements.

Not yet run on hardware.
"""

from .. import scalar
from ..template import define
from .functions import formulas
from .target import cuda, jit, kernel, spread

__all__ = ["cuda", "jit", "kernel", "spread"]  # what the sources below use

FORWARD = '''
@jit
def _{name}(y, x{scalars}):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = formula_{name}(x[i]{scalars})


@kernel
def {name}_forward(y, x{scalars}, stream=0):
    """One launch."""
    spread(_{name}, y.size, stream, y, x{typed})
'''

# {kept} is what the forward left: x or y
BACKWARD = '''
@jit
def _{name}_gradient(dx, dy, {kept}{scalars}):
    for i in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        dx[i] = formula_{name}_grad(dy[i], {kept}[i]{scalars})


@kernel
def {name}_backward(dx, dy, {kept}{scalars}, stream=0):
    """One launch."""
    spread(_{name}_gradient, dx.size, stream, dx, dy, {kept}{typed})
'''


def _define(source, name, kept, scalars):
    listed = "".join(f", {s}" for s in scalars)
    # in the dtype of the arrays: float64 would promote a float32 kernel
    typed = "".join(f", {kept}.dtype.type({s})" for s in scalars)
    define(globals(), source, name=name, kept=kept, scalars=listed, typed=typed)


for _name, (_numbers, _fewer, _kept) in scalar.KERNELS.items():
    globals()[f"formula_{_name}"], globals()[f"formula_{_name}_grad"] = formulas[_name], formulas[f"{_name}_grad"]
    _define(FORWARD, _name, "x", _numbers)
    _define(BACKWARD, _name, _kept, _fewer)
