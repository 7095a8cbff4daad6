"""Arithmetic between operands of different shapes: a map through strides for each, or that of elementwise.py."""

from ..formulas import BINARY, COMPARISON
from ..template import define
from . import elementwise  # noqa: F401  (in the templates)
from .broadcasting import check_inside, define_spread, start_spread  # noqa: F401  (in the templates)
from .maps import refuse_uint16  # noqa: F401  (in the templates)
from .target import kernel  # noqa: F401  (in the templates)

FORWARD = '''
@kernel
def {name}_forward(y, a, b, a0, a1, a2, a3, b0, b1, b2, b3, stream=0):
    """One launch."""
    a_strides, b_strides = (a0, a1, a2, a3), (b0, b1, b2, b3)
    check_inside(a, y.shape, a_strides)
    check_inside(b, y.shape, b_strides)
    refuse_uint16(a)
    flat = [y.reshape(-1)]
    start_spread(_spread_{name}, stream, flat, a, b, y.shape, a_strides, b_strides, elementwise._{name})
'''

BACKWARD = '''
@kernel(half=True)
def {name}_backward(da, db, dy, a, b, a0, a1, a2, a3, b0, b1, b2, b3, stream=0):
    """One launch, which reads what the gradients that are wanted are made of."""
    a_strides, b_strides = (a0, a1, a2, a3), (b0, b1, b2, b3)
    check_inside(a, dy.shape, a_strides)
    check_inside(b, dy.shape, b_strides)
    flat = [x.reshape(-1) for x in (da, db, dy) if x.size]
    if da.size and db.size:
        function = _spread_{name}_gradients
    else:
        function = _spread_{name}_left if da.size else _spread_{name}_right
    if len(flat) > 1:
        start_spread(function, stream, flat, a, b, dy.shape, a_strides, b_strides)
'''

for _name, (_value, _da, _db) in BINARY.items():
    define_spread(globals(), f"_spread_{_name}", {"y": _value})
    define(globals(), FORWARD, name=_name)
    if _da:
        define_spread(globals(), f"_spread_{_name}_gradients", {"da": _da, "db": _db}, ["dy"])
        define_spread(globals(), f"_spread_{_name}_left", {"da": _da}, ["dy"])
        define_spread(globals(), f"_spread_{_name}_right", {"db": _db}, ["dy"])
        define(globals(), BACKWARD, name=_name)
for _name, _value in COMPARISON.items():
    define_spread(globals(), f"_spread_{_name}", {"y": _value})
    define(globals(), FORWARD, name=_name)
