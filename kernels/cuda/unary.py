"""Functions of one array: a map for each formula."""

from ..formulas import UNARY
from ..template import define
from .functions import formulas
from .maps import define_map, launch_map, refuse_uint16  # noqa: F401  (in the templates)
from .target import kernel  # noqa: F401  (in the templates)

FORWARD = '''
@kernel(half=True)
def {name}_forward(y, x, stream=0):
    """One launch."""
    refuse_uint16(x)
    launch_map(_{name}, stream, y, x)
'''

BACKWARD = '''
@kernel(half=True)
def {name}_backward(dx, dy, {saved}, stream=0):
    """One launch."""
    launch_map(_{name}_gradient, stream, dx, dy, {saved})
'''

for _name, (_value, _dx, _saved) in UNARY.items():
    define_map(globals(), f"_{_name}", {"y": _value}, ["x"], called={"sigmoid": formulas["sigmoid"]})
    define(globals(), FORWARD, name=_name)
    if _dx:
        define_map(globals(), f"_{_name}_gradient", {"dx": _dx}, ["dy", _saved])
        define(globals(), BACKWARD, name=_name, saved=_saved)
