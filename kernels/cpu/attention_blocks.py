"""Blocks of an attention in the thread's workspace: copies of rows, panels of what is turned, and their products.

A copy of rows has an odd number of cache lines from row to row: the tile may read it by row (an operand A) and by
column (an operand B) alike, no two rows competing for the same places in the first cache.
"""

import numba

from .. import shared
from ..jit import compiled
from ..state import as_pointer
from .pack import BY_LINE, Matrix, Panels, pack_panel, panel_size, panel_width
from .target import ROWS
from .tile import ADD, HEIGHTS
from .tiles import tiles

LINE = 64  # bytes


@compiled
def line(address, n, like):
    """n elements of like's type at an address."""
    return numba.carray(as_pointer(address), (n,), like.dtype)


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
def copy_rows(like, target, source, stride, rows, columns, scale):
    size = row_size(columns, like)
    for i in range(rows):
        to = line(target + i * size * like.itemsize, columns, like)
        row = line(source + i * stride * like.itemsize, columns, like)
        for j in range(columns):
            to[j] = scale * row[j]


@compiled
def turn_rows(like, target, source, stride, rows, columns):
    """Rows as the columns of an operand B, in panels."""
    width = panel_width(like)
    operand = Matrix(line(source, max(0, rows - 1) * stride + columns, like), stride, rows, BY_LINE)
    panels = line(target, panels_size(rows, columns, like), like)
    for first in range(0, rows, width):
        pack_panel(panels, first // width * panel_size(width, columns), width, operand, first, 0, columns)


@compiled
def turned(like, address, depth):
    width = panel_width(like)
    return Panels(address, panel_size(width, depth), 1, width)


@compiled
def by_row(like, address, size):
    """Rows of `size` elements as an operand B: a row is a step."""
    return Panels(address, panel_width(like), 1, size)


@compiled
def product(like, m, n, depth, a, a_line, a_step, b, c, ldc, add):
    """c (+)= a b; a and c are addresses, b Panels."""
    if m == 0 or n == 0:
        return
    if depth == 0:
        if not add:
            for i in range(m):
                line(c + i * ldc * like.itemsize, n, like)[:] = 0
        return
    # of one row beyond the last whole tile two lower tiles make less
    low = HEIGHTS[len(HEIGHTS) // 2]
    rest = m % ROWS
    split = m - rest - ROWS if 0 < rest <= 2 * low - ROWS and m > ROWS else m
    start = ADD if add else 0
    if split:
        operand = Panels(a, ROWS * a_line, a_line, a_step)
        tiles(like, (0, split, 0, n), depth, ROWS, operand, b, c, ldc, start, 0, False)
    if split < m:
        operand = Panels(a + split * a_line * like.itemsize, low * a_line, a_line, a_step)
        corner = c + split * ldc * like.itemsize
        tiles(like, (0, m - split, 0, n), depth, low, operand, b, corner, ldc, start, 0, False)


@compiled
def prepare_products(like):
    shared.prepare(shared.TILES if like.itemsize == 4 else shared.TILES + 1)
