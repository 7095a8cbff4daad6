"""Copies, fills and arithmetic on arrays of one shape: a map for each. Copies through strides are in strided.py."""

from ..formulas import BINARY, COMPARISON
from ..template import define
from .maps import define_map, in_dtype, launch_map, names_in, raw, refuse_uint16
from .strided import move
from .target import current_stream, device, empty, kernel

_convert = define_map(globals(), "_convert", {"y": "x"}, ["x"])
_fill = define_map(globals(), "_fill", {"y": "value"}, [], ["value"])


@device
def four_from(i):
    return i, i + 1, i + 2, i + 3


_arange = define_map(
    globals(),
    "_arange",
    {"y": "start + index * step"},
    [],
    ["start", "step"],
    made={"index": "four_from(i{part})"},
)


@kernel
def copy_forward(y, x, stream=0):
    """One launch; elements of one dtype are only moved."""
    if y.dtype == x.dtype:
        move(raw(y), raw(x), stream)
    else:
        refuse_uint16(y, x)
        launch_map(_convert, stream, y, x)


@kernel
def assign_forward(y, x, stream=0):
    """One launch. Between two dtypes one converts, and each side that is not contiguous has one more."""
    if y.dtype != x.dtype:
        packed_x = x if x.flags.c_contiguous else packed(x, stream)
        converted = y if y.flags.c_contiguous else empty(y.shape, y.dtype)
        copy_forward(converted, packed_x, stream)
        x = converted
    if x is not y:
        move(raw(y), raw(x), stream)


@kernel
def fill_forward(y, value, stream=0):
    """One launch; the value is converted on the host."""
    launch_map(_fill, stream, raw(y), in_dtype(value, y.dtype))


@kernel
def arange_forward(y, start, step, stream=0):
    """One launch; computed in float64."""
    refuse_uint16(y)
    launch_map(_arange, stream, y, float(start), float(step))


FORWARD = '''
@kernel
def {name}_forward(y, a, b, stream=0):
    """One launch."""
    refuse_uint16(a)
    launch_map(_{name}, stream, y, a, b)
'''

BACKWARD = '''
@kernel(half=True)
def {name}_backward(da, db, dy, a, b, stream=0):
    """One launch, which reads what the gradients that are wanted are made of."""
    if da.size and db.size:
        launch_map(_{name}_gradients, stream, da, db, dy, a, b)
    elif da.size:
        launch_map(_{name}_left, stream, da, {left})
    elif db.size:
        launch_map(_{name}_right, stream, db, {right})
'''

OPERANDS = ["dy", "a", "b"]

for _name, (_value, _da, _db) in BINARY.items():
    define_map(globals(), f"_{_name}", {"y": _value}, ["a", "b"])
    define(globals(), FORWARD, name=_name)
    if _da:
        _left, _right = ([o for o in OPERANDS if o in names_in(formula)] for formula in (_da, _db))
        define_map(globals(), f"_{_name}_gradients", {"da": _da, "db": _db}, OPERANDS)
        define_map(globals(), f"_{_name}_left", {"da": _da}, _left)
        define_map(globals(), f"_{_name}_right", {"db": _db}, _right)
        define(globals(), BACKWARD, name=_name, left=", ".join(_left), right=", ".join(_right))
for _name, _value in COMPARISON.items():
    define_map(globals(), f"_{_name}", {"y": _value}, ["a", "b"])
    define(globals(), FORWARD, name=_name)


def packed(x, stream=0):
    """A C-contiguous copy of an Array of any strides."""
    y = empty(x.shape, x.dtype)
    move(raw(y), raw(x), stream or current_stream())
    return y
