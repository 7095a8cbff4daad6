"""The loop nest over AMX tiles: float32 products at float32 accuracy from bf16 parts (split.py, amx.py).

    for each block of C, at most LINES rows and columns, and of depth, at most WORKSPACE elements packed
        split A's and B's panels                             one parallel region; 6 bytes an element (three parts)
        for each chunk of rows x columns of C                one parallel region; the grid depends on shapes alone
            for each KC steps of depth                       the chunk's sums stay in L2
                for each panel of B                          streams through L2, 72 KB
                    for each panel of A: 32 x 32 tile        the chunk's rows of A stay in L2, 576 KB

Sizes, for Sapphire Rapids (48 KB L1, 2 MB L2). Panels are read from L2 whatever KC is: 32 steps of a 32 x 32 block need
12 KB and take 384 cycles, 32 bytes a cycle, and L2 gives 48; no KC worth having fits two panels into L1. A chunk of
256 x 256 brings 12 bytes for each of its 256 / 85 cycles into L2, 4 bytes a cycle, in order. It holds 576 KB of A, 256
KB of sums and a panel of B that comes while another is in use: 1 MB. C itself, rows of 128 bytes far apart, is touched
once a block of depth instead of once a KC, and its lines are fetched while the tile that goes there is computed.

KC decides on rounding, too: a tile starts from zero at each KC, so that no sum is longer than 6 * 384 / 32 = 72 tile
products, whatever K is. At 512 the largest componentwise error of positive operands was MKL's, or a little more; at 384
it is four fifths of it. Adding a tile to its sums costs some 150 cycles of 4608.

B that was packed beforehand was split then (parts.py), and its panels are read where they lie.

A chunk whose operands hold an Inf, a NaN or what is too large to round to bf16 is done on the FMA tile: Inf times the
zero low part of a 1 would be NaN. Products and sums below 2^-126 are flushed to zero by the instruction.

Every element of C is summed in the same order whatever chunk it falls in, so results do not depend on threads.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..jit import compiled, intrinsic, overload, parallel_for, scratch
from ..state import PRODUCTS, load
from .amx import EDGE, TILE, add_blocks, amx_tile, configure, release
from .epilogue import beginning, finish_tile, in_registers
from .pack import address_of, pack_panel, panel_size
from .parts import BLOCK, kept_parts
from .split import panel_blocks, split_panel
from .target import AMX, FLOAT_LANES, ROWS, VECTORS
from .tile import ADD, FROM_BIAS, tile

KC = 384
LINES = 2048  # rows, and columns, packed at a time
WORKSPACE = 2**22  # elements packed at a time: 24 MB
CHUNK_ROWS, CHUNK_AREA = 256, 2**16
FEW_WORK = 2e6  # multiply-adds that are worth handing to another thread: some 8 us
PACK_WORK = 16384  # elements that are
# multiply-adds, and rows and columns, from which this is faster than the FMA tile: guesses from a prototype's speed
WORTH, FEWEST = 2e6, 16
SUMS = EDGE * EDGE


class Split(NamedTuple):
    """Where panels of bf16 parts lie: bytes from panel to panel, and from block to block of 32 steps."""

    address: int
    panel: int
    block: int


@intrinsic
def _fetch(typingctx, address):
    """Begin to bring the cache line at an address into L2."""

    def codegen(context, builder, signature, args):
        pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(fetch, [builder.inttoptr(args[0], pointer), *(ir.Constant(i32, x) for x in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@compiled
def parts_of(products):
    return 3 if products == 6 else 2 if products == 3 else 1


@compiled
def _split(begin, end, split_a, split_b, flags, fresh, a, b, m, n, place, parts, like):
    """Panels begin .. end: first `fresh` panels of B, then those of A. flags: 1 where one cannot be multiplied."""
    top, _, left, across, step, depth = place
    for number in range(begin, end):
        if number < fresh:
            to = split_b.address + number * split_b.panel
            good = split_panel(to, False, b, left + number * EDGE, n, step, depth, parts, like)
            flags[number] = 0 if good else 1
        else:
            panel = number - fresh
            to = split_a.address + panel * split_a.panel
            good = split_panel(to, True, a, top + panel * EDGE, m, step, depth, parts, like)
            flags[panel_blocks(across) + panel] = 0 if good else 1


@compiled
def _on_tiles(part, split_a, split_b, c, ldc, place, products, start, last, epilogue):
    """A chunk of C: part is (row, row_end, column, column_end), multiples of 32 or the block's end."""
    row_0, row_end, column_0, column_end = part
    top, _, left, _, _, depth = place
    steps = (depth + KC - 1) // KC
    blocks = (panel_blocks(depth) + steps - 1) // steps
    # a tile's way to C, then the sums of all tiles: each in 4 KB of its own
    across = panel_blocks(column_end - column_0)
    room = panel_blocks(row_end - row_0) * across if steps > 1 else 0
    space = scratch(2, (1 + room) * SUMS, c)
    c_base, corner = address_of(c), address_of(space)
    bias = epilogue.bias if start & FROM_BIAS else epilogue.bias[:0]
    plain = bias.size == 0 and (not last or (in_registers(epilogue) and not epilogue.relu))
    for done in range(0, panel_blocks(depth), blocks):
        first, final = done == 0, done + blocks >= panel_blocks(depth)
        count = min(blocks, panel_blocks(depth) - done)
        for j in range(column_0, column_end, EDGE):
            wide = min(EDGE, column_end - j)
            b_at = split_b.address + j // EDGE * split_b.panel + done * split_b.block
            for i in range(row_0, row_end, EDGE):
                high = min(EDGE, row_end - i)
                a_at = split_a.address + i // EDGE * split_a.panel + done * split_a.block
                at = (top + i) * ldc + left + j
                sums = corner + (1 + (i - row_0) // EDGE * across + (j - column_0) // EDGE) * SUMS * 4
                c_at = c_base + at * 4
                if final:
                    for row in range(high):
                        _fetch(c_at + row * ldc * 4)
                        _fetch(c_at + (row * ldc + wide - 1) * 4)
                whole = plain and high == EDGE and wide == EDGE
                straight, kept = whole and first and final and start == 0, first and not final
                to, to_row = (c_at, ldc * 4) if straight else (sums if kept else corner, EDGE * 4)
                amx_tile(products, count, a_at, b_at, split_b.block, to, to_row)
                if straight or kept:
                    continue
                if not final:
                    add_blocks(corner, 0, sums, EDGE * 4, True)
                elif whole:
                    add_blocks(corner, 0 if first else sums, c_at, ldc * 4, start & ADD != 0)
                else:
                    if not first:
                        add_blocks(sums, 0, corner, EDGE * 4, True)
                    finish_tile(space, EDGE, c, at, ldc, high, wide, start & ADD != 0, bias, left + j, last, epilogue)


@compiled
def _on_vectors(part, a, b, c, ldc, place, start, last, epilogue):
    """A chunk of C on the FMA tile. Rare: A is packed again for each panel of B."""
    row_0, row_end, column_0, column_end = part
    top, _, left, _, step, depth = place
    width = VECTORS * FLOAT_LANES
    a_size, b_size = panel_size(ROWS, depth), panel_size(width, depth)
    space = scratch(2, ROWS * width + a_size + b_size, c)
    a_panel, b_panel = space[ROWS * width :], space[ROWS * width + a_size :]
    a_at, b_at, corner = address_of(a_panel), address_of(b_panel), address_of(space)
    bias = epilogue.bias if start & FROM_BIAS else epilogue.bias[:0]
    for j in range(column_0, column_end, width):
        wide = min(width, column_end - j)
        pack_panel(b_panel, 0, width, b, left + j, step, depth)
        for i in range(row_0, row_end, ROWS):
            high = min(ROWS, row_end - i)
            pack_panel(a_panel, 0, ROWS, a, top + i, step, depth)
            tile(c.dtype.type(0), high, wide, depth, a_at, 1, ROWS, b_at, width, corner, width, 0, corner, False)
            at = (top + i) * ldc + left + j
            finish_tile(space, width, c, at, ldc, high, wide, start & ADD != 0, bias, left + j, last, epilogue)


@compiled
def _can_be_multiplied(flags, part, across):
    row_0, row_end, column_0, column_end = part
    bad = 0
    for panel in range(column_0 // EDGE, panel_blocks(column_end)):
        bad += flags[panel]
    for panel in range(row_0 // EDGE, panel_blocks(row_end)):
        bad += flags[panel_blocks(across) + panel]
    return bad == 0


@compiled
def _chunks(begin, end, grid, split_a, split_b, flags, a, b, c, ldc, place, products, start, last, epilogue):
    """Chunks begin .. end of a block; grid: rows and columns of a chunk, chunks side by side."""
    rows, columns, grid_across = grid
    _, down, _, across, _, _ = place
    configure()
    for chunk in range(begin, end):
        row, column = chunk // grid_across * rows, chunk % grid_across * columns
        part = (row, min(down, row + rows), column, min(across, column + columns))
        if _can_be_multiplied(flags, part, across):
            _on_tiles(part, split_a, split_b, c, ldc, place, products, start, last, epilogue)
        else:
            _on_vectors(part, a, b, c, ldc, place, start, last, epilogue)
    release()


@compiled
def _grid(down, across, depth):
    """(rows, columns, chunks side by side, chunks): by the block's shape alone."""
    row_parts = (down + CHUNK_ROWS - 1) // CHUNK_ROWS
    rows = panel_blocks((down + row_parts - 1) // row_parts) * EDGE
    # sixteen chunks, where that makes none too small to hand over
    area = min(CHUNK_AREA, max(FEW_WORK, float(down) * across * depth / 16) / depth)
    columns = min(max(int(area / rows) // EDGE, 1), panel_blocks(across)) * EDGE
    grid_across = (across + columns - 1) // columns
    return rows, columns, grid_across, (down + rows - 1) // rows * grid_across


@compiled
def amx_gemm(m, n, k, a, b, c, ldc, accumulate, epilogue):
    """c (+)= a @ b, then the epilogue: nest.gemm for float32 where state.PRODUCTS is not 0, with k >= 1."""
    products = load(PRODUCTS)
    block = parts_of(products) * 2 * TILE
    a_panels, b_panels = panel_blocks(min(m, LINES)), panel_blocks(min(n, LINES))
    # equal parts rather than a thin last one
    deepest = max(KC, WORKSPACE // ((a_panels + b_panels) * EDGE))
    depth_parts = (k + deepest - 1) // deepest
    kd = panel_blocks((k + depth_parts - 1) // depth_parts) * EDGE
    size = kd // EDGE * block
    kept, kept_panel, kept_flags = kept_parts(b, c)
    packed_a = scratch(0, a_panels * (size // 4 + 1) + b_panels, c)
    packed_b = c[:0] if kept else scratch(1, b_panels * size // 4, c)
    flags, split_a = packed_a[a_panels * size // 4 :], Split(address_of(packed_a), size, block)
    for left in range(0, n, LINES):
        across = min(LINES, n - left)
        if kept:
            for panel in range(panel_blocks(across)):
                flags[panel] = kept_flags[left // EDGE + panel]
        for step in range(0, k, kd):
            depth = min(kd, k - step)
            if kept:
                split_b = Split(kept + left // EDGE * kept_panel + step // EDGE * BLOCK, kept_panel, BLOCK)
            else:
                split_b = Split(address_of(packed_b), size, block)
            for top in range(0, m, LINES):
                down = min(LINES, m - top)
                place = (top, down, left, across, step, depth)
                # B's panels are split with the first rows
                fresh = panel_blocks(across) if top == 0 and not kept else 0
                count = fresh + panel_blocks(down)
                small = float(down) * across * depth < FEW_WORK
                grain = count if small else max(1, PACK_WORK // (EDGE * depth))
                split = (split_a, split_b, flags, fresh, a, b, m, n, place, parts_of(products), c)
                parallel_for(_split, count, grain, split)
                rows, columns, grid_across, chunks = _grid(down, across, depth)
                grid, last = (rows, columns, grid_across), step + depth == k
                start = beginning(accumulate, step, epilogue)
                arguments = (grid, split_a, split_b, flags, a, b, c, ldc, place, products, start, last, epilogue)
                parallel_for(_chunks, chunks, chunks if small else 1, arguments)


def by_amx(m, n, k, a, b, c, ldc, accumulate, epilogue):
    """amx_gemm where the target has it, the process may use it and it pays; tells whether it did. Compiled code."""
    raise NotImplementedError("by_amx is for compiled code")


@overload(by_amx)
def _by_amx(m, n, k, a, b, c, ldc, accumulate, epilogue):
    if not AMX or c.dtype != types.float32:
        return lambda m, n, k, a, b, c, ldc, accumulate, epilogue: False

    def run(m, n, k, a, b, c, ldc, accumulate, epilogue):
        if load(PRODUCTS) == 0 or min(m, n) < FEWEST or float(m) * n * k < WORTH:
            return False
        amx_gemm(m, n, k, a, b, c, ldc, accumulate, epilogue)
        return True

    return run
