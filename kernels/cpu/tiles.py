"""A chunk of C in register tiles: the loops around the tile, compiled once for all products (shared.py)."""

import numpy as np

from .. import shared
from ..jit import compiled, standalone
from .pack import Panels
from .target import DOUBLE_LANES, FLOAT_LANES, MASKED, VECTORS
from .tile import ADD, ROW_VECTORS, tile

CHUNK_WORK = 4e5  # multiply-adds that are worth handing to another thread: some 5 us
SMALL = 400_000  # multiply-adds below which a product stays on the calling thread
KC = 256  # steps of a tile: B's panel (KC x 32 floats) stays in L1, a chunk's part of A in L2


@compiled
def _tiles(like, item, width, area, depth, height, a, b, corner, ldc, start, bias, relu):
    top, bottom, left, right = area
    # a single row of A, and B as it lies: longer pieces of B's rows
    pace = width // VECTORS * ROW_VECTORS if MASKED and bottom - top == 1 and b.panel == width else width
    parts = (depth + KC - 1) // KC
    steps = (depth + parts - 1) // parts
    for step in range(0, depth, steps):
        count = min(steps, depth - step)
        begin_with = start if step == 0 else ADD
        clip = relu != 0 and step + count == depth
        for j in range(left, right, pace):
            b_at = b.address + (j // width * b.panel + step * b.step) * item
            for i in range(top, bottom, height):
                high, wide = min(height, bottom - i), min(pace, right - j)
                a_at = a.address + (i // height * a.panel + step * a.step) * item
                at, bias_at = corner + (i * ldc + j) * item, bias + j * item
                tile(like, high, wide, count, a_at, a.line, a.step, b_at, b.step, at, ldc, begin_with, bias_at, clip)


@standalone
def tiles_32(t, b, l, r, depth, height, aa, ap, al, as_, ba, bp, bl, bs, corner, ldc, start, bias, relu):
    area, a, b = (t, b, l, r), Panels(aa, ap, al, as_), Panels(ba, bp, bl, bs)
    width = VECTORS * FLOAT_LANES
    _tiles(np.float32(0), 4, width, area, depth, height, a, b, corner, ldc, start, bias, relu)


@standalone
def tiles_64(t, b, l, r, depth, height, aa, ap, al, as_, ba, bp, bl, bs, corner, ldc, start, bias, relu):
    area, a, b = (t, b, l, r), Panels(aa, ap, al, as_), Panels(ba, bp, bl, bs)
    width = VECTORS * DOUBLE_LANES
    _tiles(np.float64(0), 8, width, area, depth, height, a, b, corner, ldc, start, bias, relu)


@compiled
def tiles(c, area, depth, height, a, b, corner, ldc, start, bias, relu):
    """C[top : bottom, left : right] (+)= A B, area = (top, bottom, left, right) of the block whose corner is given.

    a, b: where the block's rows of A, `height` to a panel, and its columns of B lie; start, bias, relu: see tile.
    """
    slot = shared.TILES if c.itemsize == 4 else shared.TILES + 1
    numbers = (corner, ldc, start, bias, np.intp(relu))
    top, bottom, left, right = area
    where = (a.address, a.panel, a.line, a.step, b.address, b.panel, b.line, b.step)
    shared.call(slot, (top, bottom, left, right, depth, height, *where, *numbers))
