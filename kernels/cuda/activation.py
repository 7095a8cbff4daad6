"""Activations: a map for each formula of kernels/scalar.py and for its gradient."""

from .. import scalar
from ..template import define
from .functions import formulas
from .maps import computed, define_map, launch_map  # noqa: F401  (in the templates)
from .target import kernel  # noqa: F401  (in the templates)

FORWARD = '''
@kernel(half=True)
def {name}_forward(y, x{scalars}, stream=0):
    """One launch."""
    launch_map(_{name}, stream, y, x{typed})
'''

# {kept} is what the forward left: x or y
BACKWARD = '''
@kernel(half=True)
def {name}_backward(dx, dy, {kept}{scalars}, stream=0):
    """One launch."""
    launch_map(_{name}_gradient, stream, dx, dy, {kept}{typed})
'''


def _define(source, name, kept, scalars):
    listed = "".join(f", {s}" for s in scalars)
    # in the type the arrays are computed in: float64 would promote a float32 kernel
    typed = "".join(f", computed({kept}.dtype)({s})" for s in scalars)
    define(globals(), source, name=name, kept=kept, scalars=listed, typed=typed)


for _name, (_numbers, _fewer, _kept) in scalar.KERNELS.items():
    _functions = {"function": formulas[_name], "gradient": formulas[f"{_name}_grad"]}
    _forward, _backward = (", ".join([*given]) for given in (["x", *_numbers], ["dy", _kept, *_fewer]))
    define_map(globals(), f"_{_name}", {"y": f"function({_forward})"}, ["x"], _numbers, _functions)
    define_map(globals(), f"_{_name}_gradient", {"dx": f"gradient({_backward})"}, ["dy", _kept], _fewer, _functions)
    _define(FORWARD, _name, "x", _numbers)
    _define(BACKWARD, _name, _kept, _fewer)
