"""The loop nest over AMX tiles: float32 products at float32 accuracy from bf16 parts (split.py, amx.py).

    for each NC columns of B, for each KC steps of depth         packed: 6 bytes an element (three parts)
        for each MC rows of A
            split A's and B's panels                             one parallel region
            for each chunk of rows x columns                     one parallel region; the grid depends on shapes alone
                for each panel of B                              streams from L3 into L2, 72 KB
                    for each panel of A: 32 x 32 tile            the chunk's ROWS of A stay in L2, 576 KB
                        add to C, or finish it                   from a 4 KB corner in L1

Sizes, for Sapphire Rapids (48 KB L1, 2 MB L2). Panels are read from L2 whatever KC is: 32 steps of a 32 x 32 block need
12 KB and take 384 cycles, 32 bytes a cycle, and L2 gives 48; no KC worth having fits two panels into L1. What KC does
decide is how often C is read and written, 8 bytes for each KC / 85 cycles: 1.8 bytes a cycle at 384. And rounding: a
tile starts from zero at each KC, so no sum is longer than 6 * 384 / 32 = 72 tile products, whatever K is; at 512 the
largest componentwise error of positive operands was MKL's or a little more, at 384 it is four fifths of it. 256 rows
of A at that depth are 576 KB and leave L2 room for the panel of B in use and the one that comes. A chunk's neighbours
have the same rows: a thread that takes one after the other finds A in L2. B comes from L3, 72 KB for eight tiles of
4608 cycles, 2 bytes a cycle. C's next lines are fetched while the tile works on what will be added to them.

A block of depth with an operand that is infinite, NaN or too large to round to bf16 is done on the FMA tile: Inf times
the zero low part of a 1 would be NaN. Products below 2^-126 and sums of them are flushed to zero by the instruction.

Every element of C is summed in the same order whatever chunk it falls in, so results do not depend on threads.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..jit import compiled, intrinsic, overload, parallel_for, scratch
from ..state import PRODUCTS, load
from .amx import EDGE, TILE, amx_tile, configure, release
from .epilogue import finish_tile, in_registers
from .pack import address_of, pack_panel, panel_size
from .split import panel_blocks, split_panel
from .target import AMX, FLOAT_LANES, ROWS, VECTORS
from .tile import tile

KC = 384
MC = NC = 2048
ROWS_PER_CHUNK = 256
FEW_WORK, MUCH_WORK = 2e6, 1.6e7  # multiply-adds of a chunk: some 8 and 60 us
WORTH, FEWEST = 2e6, 16  # multiply-adds, rows and columns from which this is faster than the FMA tile (the prototype)
PACK_WORK = 32768  # elements that are worth handing to another thread


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
def _split(begin, end, packed, flags, across, count, a, b, m, n, top, left, step, depth, parts, like):
    """Panels begin .. end: first `across` panels of B, then those of A. flags: 1 where one cannot be multiplied."""
    size = panel_blocks(depth) * parts * 2 * TILE
    for number in range(begin, end):
        if number < across:
            good = split_panel(packed[1] + number * size, False, b, left + number * EDGE, n, step, depth, parts, like)
        else:
            panel = number - across
            good = split_panel(packed[0] + panel * size, True, a, top + panel * EDGE, m, step, depth, parts, like)
        flags[number] = 0 if good else 1


@compiled
def _blocks(begin, end, grid_across, rows, columns, packed, c, ldc, place, depth, products, start, last, epilogue):
    """Chunks begin .. end of the grid over a super-block of C: place is (rows, columns, top, left)."""
    down, across, top, left = place
    blocks = panel_blocks(depth)
    size = blocks * parts_of(products) * 2 * TILE
    corner = scratch(2, EDGE * EDGE, c)
    c_base, bias = address_of(c), epilogue.bias if start == 0 else epilogue.bias[:0]
    direct = start == 0 and bias.size == 0 and (not last or (in_registers(epilogue) and not epilogue.relu))
    configure()
    for chunk in range(begin, end):
        row_0, column_0 = chunk // grid_across * rows, chunk % grid_across * columns
        row_end, column_end = min(down, row_0 + rows), min(across, column_0 + columns)
        for j in range(column_0, column_end, EDGE):
            wide = min(EDGE, column_end - j)
            b_at = packed[1] + j // EDGE * size
            for i in range(row_0, row_end, EDGE):
                high = min(EDGE, row_end - i)
                a_at = packed[0] + i // EDGE * size
                at = (top + i) * ldc + left + j
                for row in range(high):
                    _fetch(c_base + (at + row * ldc) * 4)
                    _fetch(c_base + (at + row * ldc + wide - 1) * 4)
                whole = direct and high == EDGE and wide == EDGE
                to, to_row = (c_base + at * 4, ldc * 4) if whole else (address_of(corner), EDGE * 4)
                amx_tile(products, blocks, a_at, b_at, to, to_row)
                if not whole:
                    finish_tile(corner, EDGE, c, at, ldc, high, wide, start == 1, bias, left + j, last, epilogue)
    release()


@compiled
def _columns(begin, end, a, b, c, ldc, place, step, depth, start, last, epilogue):
    """Panels of columns begin .. end of a super-block on the FMA tile. Rare: rows are packed again for each panel."""
    down, across, top, left = place
    width = VECTORS * FLOAT_LANES
    a_size, b_size = panel_size(ROWS, depth), panel_size(width, depth)
    space = scratch(2, a_size + b_size + ROWS * width, c)
    a_panel, b_panel, corner = space[:a_size], space[a_size : a_size + b_size], space[a_size + b_size :]
    bias = epilogue.bias if start == 0 else epilogue.bias[:0]
    for j in range(begin * width, min(across, end * width), width):
        wide = min(width, across - j)
        pack_panel(b_panel, 0, width, b, left + j, step, depth)
        for i in range(0, down, ROWS):
            high = min(ROWS, down - i)
            pack_panel(a_panel, 0, ROWS, a, top + i, step, depth)
            a_at, b_at, to = address_of(a_panel), address_of(b_panel), address_of(corner)
            tile(c, high, wide, depth, a_at, 1, ROWS, b_at, width, to, width, 0, to, False)
            at = (top + i) * ldc + left + j
            finish_tile(corner, width, c, at, ldc, high, wide, start == 1, bias, left + j, last, epilogue)


@compiled
def _multiply(packed, a, b, c, ldc, place, step, depth, products, finite, start, last, epilogue):
    """One super-block: its panels lie split, unless they hold what cannot be."""
    down, across = place[0], place[1]
    work = down * across * depth
    if not finite:
        count = (across + VECTORS * FLOAT_LANES - 1) // (VECTORS * FLOAT_LANES)
        grain = count if work < FEW_WORK else 1
        parallel_for(_columns, count, grain, (a, b, c, ldc, place, step, depth, start, last, epilogue))
        return
    row_parts = (down + ROWS_PER_CHUNK - 1) // ROWS_PER_CHUNK
    rows = panel_blocks((down + row_parts - 1) // row_parts) * EDGE
    # sixteen chunks, where that makes none too small
    target = min(MUCH_WORK, max(FEW_WORK, work / 16))
    columns = min(max(int(target / (rows * depth)) // EDGE, 1) * EDGE, panel_blocks(across) * EDGE)
    grid_across = (across + columns - 1) // columns
    grid = (down + rows - 1) // rows * grid_across
    arguments = (grid_across, rows, columns, packed, c, ldc, place, depth, products, start, last, epilogue)
    parallel_for(_blocks, grid, grid if work < FEW_WORK else 1, arguments)


@compiled
def amx_gemm(m, n, k, a, b, c, ldc, accumulate, epilogue):
    """c (+)= a @ b, then the epilogue: gemm.gemm for float32 where state.PRODUCTS is not 0, with k >= 1."""
    products = load(PRODUCTS)
    parts = parts_of(products)
    # equal parts rather than a thin last one
    depth_parts = (k + KC - 1) // KC
    kc = panel_blocks((k + depth_parts - 1) // depth_parts) * EDGE
    size = kc // EDGE * parts * 2 * TILE // 4
    a_panels, b_panels = panel_blocks(min(m, MC)), panel_blocks(min(n, NC))
    packed_a, packed_b = scratch(0, a_panels * size + a_panels + b_panels, c), scratch(1, b_panels * size, c)
    flags, packed = packed_a[a_panels * size :], (address_of(packed_a), address_of(packed_b))
    for left in range(0, n, NC):
        across = min(NC, n - left)
        for step in range(0, k, kc):
            depth = min(kc, k - step)
            b_finite = True
            for top in range(0, m, MC):
                down = min(MC, m - top)
                # B's panels are split with the first rows
                fresh = panel_blocks(across) if top == 0 else 0
                count = fresh + panel_blocks(down)
                grain = count if count * EDGE * depth < PACK_WORK else max(1, PACK_WORK // (EDGE * depth) // 2)
                arguments = (packed, flags, fresh, count, a, b, m, n, top, left, step, depth, parts, c)
                parallel_for(_split, count, grain, arguments)
                a_finite = True
                for number in range(count):
                    if flags[number] != 0:
                        if number < fresh:
                            b_finite = False
                        else:
                            a_finite = False
                start = 1 if accumulate or step > 0 else 0
                place, finite = (down, across, top, left), a_finite and b_finite
                last = step + depth == k
                _multiply(packed, a, b, c, ldc, place, step, depth, products, finite, start, last, epilogue)


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
