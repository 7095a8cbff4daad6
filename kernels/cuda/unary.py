"""Functions of one array: a map for each formula."""

from ..formulas import UNARY
from ..template import define
from . import functions as np  # noqa: F401  (formulas)
from .functions import erf, exp, expm1, formulas, log, log1p, tanh  # noqa: F401  (formulas)
from .maps import define_map, start  # noqa: F401  (in the templates)
from .target import kernel  # noqa: F401  (in the templates)

sigmoid = formulas["sigmoid"]

FORWARD = '''
@kernel(half=True)
def {name}_forward(y, x, stream=0):
    """One launch."""
    start(_{name}, stream, y, x)
'''

BACKWARD = '''
@kernel(half=True)
def {name}_backward(dx, dy, {saved}, stream=0):
    """One launch."""
    start(_{name}_gradient, stream, dx, dy, {saved})
'''

for _name, (_value, _dx, _saved) in UNARY.items():
    define_map(globals(), f"_{_name}", {"y": _value}, ["x"])
    define(globals(), FORWARD, name=_name)
    if _dx:
        define_map(globals(), f"_{_name}_gradient", {"dx": _dx}, ["dy", _saved])
        define(globals(), BACKWARD, name=_name, saved=_saved)
