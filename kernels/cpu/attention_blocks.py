"""Blocks of an attention in the thread's workspace: copies of rows, panels of what is turned, and their products.

A copy of rows has an odd number of cache lines from row to row: the tile may read it by row (an operand A) and by
column (an operand B) alike, no two rows competing for the same places in the first cache.
"""

import numba

from .. import shared
from ..jit import compiled, scratch
from ..state import as_pointer
from .attention_tiles import LINE, attention_tiles
from .attention_vectors import row_copy
from .pack import Panels, address_of, panel_size, panel_width, transpose_block
from .target import ROWS, VECTOR_BYTES
from .tile import HEIGHTS

QUERIES = 64  # the most in a block; two blocks of scores and all that meets them fit the second cache
LOW = HEIGHTS[len(HEIGHTS) // 2]  # rows of a lower tile


@compiled
def line(address, n, like):
    """n elements of like's type at an address."""
    return numba.carray(as_pointer(address), (n,), like.dtype)


@compiled
def block_rows(queries):
    """Queries in a block: all blocks of a head are about as large."""
    blocks = max(1, (queries + QUERIES - 1) // QUERIES)
    return max(1, (queries + blocks - 1) // blocks)


@compiled
def workspace(n, like):
    """Address of n elements, on a page of 2 MB where the system gives them: so lines of a block do not compete for the
    same places in the second cache, which knows lines by where they really are."""
    room = max(2**22, (n * like.itemsize + 2**21 - 1) // 2**21 * 2**21 + 2**21)
    return (address_of(scratch(0, room // like.itemsize, like)) + 2**21 - 1) // 2**21 * 2**21


@compiled
def row_size(columns, like):
    """Elements from row to row of a copy: whole vectors of the tile, and an odd number of cache lines."""
    width, elements = panel_width(like), LINE // like.itemsize
    whole = (columns + width - 1) // width * width
    return ((whole + elements - 1) // elements | 1) * elements


@compiled
def rows_size(rows, columns, like):
    """Elements of a copy: vectors of its last row may reach beyond it."""
    return rows * row_size(columns, like) + 2 * LINE


@compiled
def panels_size(lines, depth, like):
    """Elements of an operand B of so many columns in panels."""
    width = panel_width(like)
    return (lines + width - 1) // width * panel_size(width, depth) + 2 * LINE


@compiled
def lying_size(rows, depth, like):
    """Elements of an operand A of so many rows in panels."""
    return (rows // ROWS + 2) * panel_size(ROWS, depth) + 2 * LINE


@compiled
def copy_rows(like, target, source, stride, rows, columns, scale):
    size = row_size(columns, like)
    for i in range(rows):
        row_copy(scale, target + i * size * like.itemsize, source + i * stride * like.itemsize, columns)


@compiled
def _turn(like, target, width, source, stride, rows, columns):
    """Rows as lines of panels `width` wide, as pack_panel makes them; gives the elements of all panels."""
    size, lanes = panel_size(width, columns), VECTOR_BYTES // like.itemsize
    panels = line(target, (rows + width - 1) // width * size, like)
    lines, whole = line(source, columns, like), columns // lanes * lanes
    for first in range(0, rows, width):
        to, count = first // width * size, min(width, rows - first)
        for p in range(0, whole, lanes):
            # squares from the last to the first: what one spills over a step's end the next step's first overwrites
            for i in range((width - 1) // lanes * lanes, -1, -lanes):
                if i < count:
                    inside = min(lanes, count - i) - 1
                    transpose_block(lines, (first + i) * stride + p, stride, inside, panels, to + p * width + i, width)
        for i in range(width):
            # by address: strides may be negative, indices may not
            row = line(source + (first + min(i, count - 1)) * stride * like.itemsize, columns, like)
            for p in range(whole, columns):
                panels[to + p * width + i] = row[p]
    return size * ((rows + width - 1) // width)


@compiled
def turn_columns(like, target, source, stride, rows, columns):
    """Rows as the columns of an operand B, in panels."""
    _turn(like, target, panel_width(like), source, stride, rows, columns)


@compiled
def turn_rows(like, target, source, stride, rows, columns, scale):
    """Rows as those of an operand A, scaled, in panels of the tiles that `product` makes of so many."""
    size, split = 0, _split(rows)
    for first, end, width in ((0, split, ROWS), (split, rows, LOW)):
        at = source + first * stride * like.itemsize
        size += _turn(like, target + size * like.itemsize, width, at, stride, end - first, columns)
    if scale != 1:
        row_copy(scale, target, target, size)


@compiled
def turned(like, address, depth):
    width = panel_width(like)
    return Panels(address, panel_size(width, depth), 1, width)


@compiled
def by_row(like, address, size):
    """Rows of `size` elements as an operand B: a row is a step."""
    return Panels(address, panel_width(like), 1, size)


@compiled
def _split(m):
    """Rows in tall tiles. Of one or two rows beyond the last whole tile, two lower tiles make less."""
    rest = m % ROWS
    return m - rest - ROWS if 0 < rest <= 2 * LOW - ROWS and m > ROWS else m


@compiled
def product(like, m, n, depth, a, a_line, a_step, b, c, ldc, add, regions):
    """c (+)= a b; a and c are addresses, b Panels; a_line 0: a lies in the panels of turn_rows."""
    if m == 0 or n == 0:
        return
    if depth == 0:
        if not add:
            for i in range(m):
                line(c + i * ldc * like.itemsize, n, like)[:] = 0
        return
    split = _split(m)
    tall, low = Panels(a, ROWS * a_line, a_line, a_step), Panels(a, LOW * a_line, a_line, a_step)
    after = split * a_line
    if a_line == 0:
        tall, low = Panels(a, panel_size(ROWS, depth), 1, ROWS), Panels(a, panel_size(LOW, depth), 1, LOW)
        after = split // ROWS * tall.panel
    if split:
        attention_tiles(like, split, n, depth, ROWS, tall, b, c, ldc, add, regions)
    if split < m:
        low = Panels(a + after * like.itemsize, low.panel, low.line, low.step)
        attention_tiles(like, m - split, n, depth, LOW, low, b, c + split * ldc * like.itemsize, ldc, add, regions)


@compiled
def prepare_products(like):
    shared.prepare(shared.ATTENTION_TILES if like.itemsize == 4 else shared.ATTENTION_TILES + 1)
