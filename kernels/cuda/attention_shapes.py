"""Which shape the blocks of attention have: by what they multiply with, and by how much there is to do."""

import functools

import numpy as np

from . import target
from .attention_cores import Shape
from .attention_source import shared_bytes
from .target import SIMULATOR

# blocks that keep a device busy: below, blocks have fewer rows
ENOUGH_BLOCKS = 4 if SIMULATOR else 192

# (form, kind) -> {width: shapes, the one with most rows first}
SHAPES: dict = {}


def _define(forms, kinds, width, *shapes):
    for form in forms:
        for kind in kinds:
            there = SHAPES.setdefault((form, kind), {})
            there[width] = [Shape(kind.removesuffix("64"), *shape[:3], width, *shape[3:]) for shape in shapes]


HALVES, SPLIT = ("bf16", "f16"), ("tf32x3",)
FORWARD, QUERIES, KEYS = ("forward",), ("queries",), ("keys",)
EVERY = FORWARD + QUERIES + KEYS

# warps, down, across, stages, resident
if SIMULATOR:
    _define(EVERY, ("fma", "fma64"), 8, (2, 2, 2, 1, 1))
    _define(EVERY, (*HALVES, *SPLIT, "tf32"), 32, (1, 2, 2, 2, 1), (2, 1, 2, 1, 1))
else:
    for width in (32, 64):
        _define(FORWARD, HALVES, width, (4, 2, 4, 2, 2), (4, 1, 4, 2, 2))
        _define(QUERIES, HALVES, width, (4, 2, 4, 2, 2), (4, 1, 4, 2, 2))
        _define(FORWARD + QUERIES, SPLIT, width, (4, 1, 2, 1, 2))
        _define(EVERY, ("tf32",), width, (4, 1, 4, 1, 2))
        _define(FORWARD, ("fma",), width, (4, 8, 8, 1, 2), (4, 4, 8, 1, 2))
        _define(QUERIES + KEYS, ("fma",), width, (4, 4, 8, 1, 2))
        _define(FORWARD + QUERIES, ("fma64",), width, (4, 4, 4, 1, 2))
        _define(KEYS, ("fma64",), width, (4, 2, 4, 1, 2))
    _define(KEYS, HALVES, 32, (4, 2, 4, 2, 2), (4, 1, 4, 2, 2))
    _define(KEYS, HALVES, 64, (4, 2, 2, 2, 2), (4, 1, 4, 2, 2))
    _define(KEYS, SPLIT, 32, (4, 1, 2, 1, 2))
    _define(KEYS, SPLIT, 64, (4, 1, 1, 1, 2))
    _define(FORWARD, HALVES, 128, (4, 2, 2, 2, 2), (4, 1, 4, 2, 2))
    _define(QUERIES, HALVES, 128, (4, 2, 2, 1, 2), (4, 1, 4, 2, 2))
    _define(KEYS, HALVES, 128, (4, 1, 2, 2, 2))
    _define(EVERY, ("tf32",), 128, (4, 1, 2, 1, 2))
    _define(FORWARD, ("fma",), 128, (8, 4, 8, 1, 1), (4, 4, 4, 1, 2))
    _define(QUERIES + KEYS, ("fma",), 128, (4, 4, 4, 1, 2), (4, 2, 4, 1, 2))


def shape_for(form, kind, dtype, width, stacks, lines, more):
    """width: of the longest rows; stacks, lines: matrices, and rows of each, that blocks share out; more: blocks
    read matrices of scores as well, which takes registers, as do rows that come in parts."""
    widths = _possible(form, "fma64" if dtype == np.float64 else kind, dtype, target.shared_limit())
    fitting = [w for w in widths if w >= width]
    shapes = widths[min(fitting) if fitting else max(widths)]
    for shape in shapes:
        if fitting and not more and stacks * -(-lines // shape.rows) >= ENOUGH_BLOCKS:
            return shape
    return shapes[-1]


@functools.cache
def _possible(form, kind, dtype, room):
    """Shapes by width, those that a device has shared memory for."""
    fitting = {
        width: [shape for shape in shapes if shared_bytes(form, dtype, shape) <= room]
        for width, shapes in SHAPES[form, kind].items()
    }
    return {width: shapes for width, shapes in fitting.items() if shapes}
