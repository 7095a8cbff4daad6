"""The GEMM core: the loop nest that every matrix product of the library runs on.

    for each block of rows, columns and depth whose panels fit the workspace
        pack what does not lie well                              parallel over panels of A and B
        for each chunk of rows x columns                         parallel; the grid depends on shapes alone
            for each KC steps of depth
                for each panel of B                              stays in L1
                    for each panel of A: tile                    accumulators stay in registers

An operand is read where it lies when that is cheaper than packing it: a few rows of A are not worth panels of B. Rows
times rows, a linear layer's x @ w.T with a small batch, are dot products (dots.py).
Every element of C is summed in the same order whatever the chunk it falls in, so results do not depend on threads.
On the last steps of depth the epilogue follows the tile: bias and ReLU before it leaves the registers, other
activations on a tile that is still in L1.
"""

from typing import NamedTuple

from .. import shared
from ..jit import compiled, parallel_for, scratch
from ..shared import prepare
from .amx_gemm import by_amx
from .dots import along_depth, dot_products, suits, times_vector
from .epilogue import beginning, finish_rows, in_registers
from .pack import Panels, address_of, lies, pack_panel, panel_size, panel_width
from .target import MASKED, ROWS
from .tiles import CHUNK_WORK, KC, SMALL, tiles

WORKSPACE = 2**22  # elements of packed panels
LINES = 2**13  # rows, and columns, packed at a time
ROWS_PER_CHUNK = 8  # panels; KC deep they fit a quarter of a small L2
CHUNKS = 64  # a large product is cut into about as many: large chunks read A and B less often
ROW_COLUMNS = 2048  # fewest columns of a chunk of a single row
WAYS = 8  # lines of L1 that may have the same place
PAGES = 2048  # about what a second TLB holds
REUSE = 256  # times an element is used from which packing it pays


class Place(NamedTuple):
    """A block of the product: `down` rows from `top`, `across` columns from `left`, `depth` steps."""

    top: int
    down: int
    left: int
    across: int
    depth: int


class Grid(NamedTuple):
    """Chunks of rows x columns, `across` of them side by side."""

    rows: int
    columns: int
    across: int
    chunks: int


@compiled
def _chunks(begin, end, grid, place, height, a, b, c, ldc, start, last, epilogue):
    """Chunks begin .. end of a block. height: rows from one panel of A to the next."""
    bias = address_of(epilogue.bias) + place.left * c.itemsize
    corner = address_of(c) + (place.top * ldc + place.left) * c.itemsize
    relu = last and in_registers(epilogue) and epilogue.relu
    for chunk in range(begin, end):
        top, left = chunk // grid.across * grid.rows, chunk % grid.across * grid.columns
        bottom, right = min(place.down, top + grid.rows), min(place.across, left + grid.columns)
        tiles(c, (top, bottom, left, right), place.depth, height, a, b, corner, ldc, start, bias, relu)
        # what the registers cannot do is done on the chunk's rows, which are in cache
        if last and not in_registers(epilogue):
            for i in range(top, bottom):
                at = (place.top + i) * ldc + place.left + left
                finish_rows(epilogue, c, at, at, right - left)


@compiled
def _grid(down, across, depth, height, width):
    """How a block is cut: by its shape alone. The whole of a small one is one chunk."""
    total = float(down) * across * depth
    if total < SMALL:
        return Grid(down, across, 1, 1)
    work = max(CHUNK_WORK, total / CHUNKS)
    parts = (down + ROWS_PER_CHUNK * height - 1) // (ROWS_PER_CHUNK * height)
    rows = ((down + parts - 1) // parts + height - 1) // height * height
    columns = int(work / (min(rows, down) * depth)) // width * width
    # a single row's chunk is long pieces of the rows of B
    columns = min(max(columns, ROW_COLUMNS if down == 1 else width), (across + width - 1) // width * width)
    grid_across = (across + columns - 1) // columns
    return Grid(rows, columns, grid_across, (down + rows - 1) // rows * grid_across)


@compiled
def _pack_both(begin, end, packed_a, packed_b, a, b, place, step, b_panels, width):
    """Panels begin .. end of B's, then A's."""
    for number in range(begin, end):
        if number < b_panels:
            at = number * panel_size(width, place.depth)
            pack_panel(packed_b, at, width, b, place.left + number * width, step, place.depth)
        else:
            number -= b_panels
            at = number * panel_size(ROWS, place.depth)
            pack_panel(packed_a, at, ROWS, a, place.top + number * ROWS, step, place.depth)


@compiled
def _row_step(m):
    """Rows of a tile when A is not packed: of two heights the one that computes fewer rows past the edge."""
    low = (ROWS * 4 + 6) // 7
    tall = m // ROWS * ROWS + (0 if m % ROWS == 0 else low if m % ROWS <= low else ROWS)
    return low if (m + low - 1) // low * low < tall else ROWS


@compiled
def _packs_a(a, m, n, k, item):
    """Whether A is packed: what is used often is, if it is more than a few rows, rows whose elements would share the
    same few lines of L1, and steps on more pages of memory than the processor keeps track of."""
    aliased = m > WAYS and a.step == 1 and a.line * item % 4096 == 0
    scattered = k > PAGES and a.step * item >= 4096
    return a.address == 0 or (n > REUSE and m > 2 * ROWS) or aliased or scattered


@compiled
def _packs_b(b, m):
    """Whether B is packed: what is used often is, and what does not lie in vectors."""
    return b.panel == 0 and (b.address == 0 or b.line != 1 or m > REUSE or not MASKED)


@compiled
def gemm(m, n, k, a, b, c, ldc, accumulate, epilogue):
    """c (+)= a @ b, then the epilogue. Operands: see pack.py; c is flat, ldc elements from row to row.

    From inside a parallel region: only after prepare_gemm outside of it.
    """
    if m == 0 or n == 0:
        return
    if k == 0:
        _no_depth(m, n, c, ldc, accumulate, epilogue)
        return
    if by_amx(m, n, k, a, b, c, ldc, accumulate, epilogue):
        return
    prepare_gemm(c)
    a_lies, b_lies = lies(a), lies(b)
    if n == 1 and ldc == 1 and along_depth(a_lies, b_lies):
        times_vector(m, k, a_lies, b_lies, c, accumulate, epilogue)
        return
    if suits(m, k, c.itemsize, a_lies, b_lies):
        dot_products(m, n, k, a_lies, b_lies, c, ldc, accumulate, epilogue)
        return
    width = panel_width(c)
    pack_a, pack_b = _packs_a(a_lies, m, n, k, c.itemsize), _packs_b(b_lies, m)
    height = ROWS if pack_a else _row_step(m)
    packed_lines = (min(m, LINES) if pack_a else 0) + (min(n, LINES) if pack_b else 0)
    mc, nc = LINES // ROWS * ROWS if pack_a else m, LINES // width * width if pack_b else n
    kc = min(k, max(KC, WORKSPACE // packed_lines // KC * KC)) if packed_lines else k
    a_panels = (min(m, mc) + ROWS - 1) // ROWS if pack_a else 0
    b_panels = (min(n, nc) + width - 1) // width if pack_b else 0
    packed_a = scratch(0, a_panels * panel_size(ROWS, kc), c) if pack_a else c[:0]
    packed_b = scratch(1, b_panels * panel_size(width, kc), c) if pack_b else c[:0]
    item = c.itemsize
    for left in range(0, n, nc):
        for step in range(0, k, kc):
            for top in range(0, m, mc):
                place = Place(top, min(mc, m - top), left, min(nc, n - left), min(kc, k - step))
                grid = _grid(place.down, place.across, place.depth, height, width)
                a_panels = (place.down + ROWS - 1) // ROWS if pack_a else 0
                b_panels = (place.across + width - 1) // width if pack_b and top == 0 else 0
                if a_panels + b_panels:
                    count = a_panels + b_panels
                    grain = count if grid.chunks == 1 else max(1, 16384 // (width * place.depth))
                    parallel_for(_pack_both, count, grain, (packed_a, packed_b, a, b, place, step, b_panels, width))
                if pack_a:
                    tiles_a = Panels(address_of(packed_a), panel_size(ROWS, place.depth), 1, ROWS)
                else:
                    corner = a_lies.address + (top * a_lies.line + step * a_lies.step) * item
                    tiles_a = Panels(corner, height * a_lies.line, a_lies.line, a_lies.step)
                if pack_b:
                    tiles_b = Panels(address_of(packed_b), panel_size(width, place.depth), 1, width)
                else:
                    corner = b_lies.address + (left * b_lies.line + step * b_lies.step) * item
                    tiles_b = Panels(corner, b_lies.panel or width, 1, b_lies.step)
                start = beginning(accumulate, step, epilogue)
                last = step + place.depth == k
                arguments = (grid, place, height, tiles_a, tiles_b, c, ldc, start, last, epilogue)
                parallel_for(_chunks, grid.chunks, 1, arguments)


@compiled
def prepare_gemm(c):
    """What a parallel region does before its body calls gemm: see shared.prepare."""
    offset = 0 if c.itemsize == 4 else 1
    prepare(shared.TILES + offset)
    prepare(shared.DOTS + offset)


@compiled
def _no_depth(m, n, c, ldc, accumulate, epilogue):
    """A product without steps: zeros, and still the epilogue."""
    for i in range(m):
        row = i * ldc
        for j in range(n):
            start = epilogue.bias[j] if epilogue.bias.size else c.dtype.type(0)
            c[row + j] = c[row + j] + start if accumulate else start
        finish_rows(epilogue, c, row, row, n)
