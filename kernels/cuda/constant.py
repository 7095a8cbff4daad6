"""Arithmetic and comparisons between an array and one number: a map for each formula."""

import numpy as np

from ..formulas import COMPARISON, CONSTANT
from ..template import define
from .maps import computed, define_map, launch_map, refuse_uint16  # noqa: F401  (in the templates)
from .target import kernel  # noqa: F401  (in the templates)


def operand(value, dtype):
    """The value rounded as the array's elements are; integers are compared with 2.5 as numbers."""
    return computed(dtype)(dtype.type(value)) if dtype.kind not in "iub" else np.float64(value)


FORWARD = '''
@kernel
def {name}_forward(y, x, value, stream=0):
    """One launch."""
    refuse_uint16(x)
    launch_map({function}, stream, y, x, {number})
'''

BACKWARD = '''
@kernel(half=True)
def {name}_backward(dx, dy, x, value, stream=0):
    """One launch."""
    launch_map({function}, stream, dx, dy, x, computed(x.dtype)(value))
'''

# powers that are products: what they are made of would not wait for memory
POWERS = {2.0: ("x * x", "dy * value * x"), 3.0: ("x * x * x", "dy * value * x * x")}


def power(value, dtype, end=""):
    """The map of x ** value, or of its gradient."""
    known = dtype.kind not in "iub" and value in POWERS
    return globals()[f"_number_pow{int(value) if known else ''}{end}"]


for _power, (_value, _slope) in POWERS.items():
    define_map(globals(), f"_number_pow{int(_power)}", {"y": _value}, ["x"], ["value"])
    define_map(globals(), f"_number_pow{int(_power)}_gradient", {"dx": _slope}, ["dy", "x"], ["value"])
for _name, (_value, _dx) in CONSTANT.items():
    define_map(globals(), f"_number_{_name}", {"y": _value}, ["x"], ["value"])
    _function = "power(value, x.dtype)" if _name == "pow" else f"_number_{_name}"
    define(globals(), FORWARD, name=_name, function=_function, number="computed(x.dtype)(value)")
    if _dx:
        define_map(globals(), f"_number_{_name}_gradient", {"dx": _dx}, ["dy", "x"], ["value"])
        _function = "power(value, x.dtype, '_gradient')" if _name == "pow" else f"_number_{_name}_gradient"
        define(globals(), BACKWARD, name=_name, function=_function)
for _name, _formula in COMPARISON.items():
    _value = _formula.replace("a", "x").replace("b", "value")
    define_map(globals(), f"_number_{_name}", {"y": _value}, ["x"], ["value"])
    define(globals(), FORWARD, name=_name, function=f"_number_{_name}", number="operand(value, x.dtype)")
