"""Activations: one flat loop for each over its formula in kernels/scalar.py, in parallel chunks.

Each chunk is cut out first: indices then start at 0, which spares a check that would keep the loop from becoming
vectors.
"""

from ..jit import compiled, kernel, parallel_for
from ..template import define
from . import scalar

__all__ = ["compiled", "kernel", "parallel_for", "scalar"]  # what the sources below use

GRAIN = 32768

# activation: (its scalars, those of its backward, what backward is computed from)
TABLE = {
    "relu": ((), (), "x"),
    "leaky_relu": (("negative_slope",), ("negative_slope",), "x"),
    "threshold": (("threshold", "value"), ("threshold",), "x"),
    "hardtanh": (("min_val", "max_val"), ("min_val", "max_val"), "x"),
    "hardsigmoid": ((), (), "x"),
    "hardswish": ((), (), "x"),
    "hardshrink": (("lambd",), ("lambd",), "x"),
    "softshrink": (("lambd",), ("lambd",), "x"),
    "elu": (("alpha",), ("alpha",), "x"),
    "celu": (("alpha",), ("alpha",), "x"),
    "selu": ((), (), "x"),
    "sigmoid": ((), (), "y"),
    "tanh": ((), (), "y"),
    "tanhshrink": ((), (), "x"),
    "log_sigmoid": ((), (), "x"),
    "softplus": (("beta", "threshold"), ("beta", "threshold"), "x"),
    "softsign": ((), (), "x"),
    "silu": ((), (), "x"),
    "mish": ((), (), "x"),
    "gelu": ((), (), "x"),
    "gelu_tanh": ((), (), "x"),
}

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


for _name, (_forward, _backward, _kept) in TABLE.items():
    _define(FORWARD, _name, "x", _forward)
    _define(BACKWARD, _name, _kept, _backward)
