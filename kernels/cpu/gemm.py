"""The GEMM core: every matrix product of the library runs on `gemm`.

    for each NC columns of B, for each KC steps of depth         B's panels then lie in L2/L3, A's sub-block in L2
        for each MC rows of A
            pack A's and B's panels                              parallel over panels
            for each chunk of rows x columns                     parallel; the grid depends on shapes alone
                for each panel of B                              stays in L1
                    for each panel of A: tile                    accumulators stay in registers

Every element of C is summed in the same order whatever the chunk it falls in, so results do not depend on threads.
On the last steps of depth the epilogue follows the tile: bias and ReLU before it leaves the registers, other
activations on a tile that is still in L1.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .epilogue import finish_rows, finish_tile, in_registers, no_epilogue
from .pack import Matrix, pack_panels, panel_size
from .target import DOUBLE_LANES, FLOAT_LANES, ROWS, VECTORS
from .thin import THIN, thin
from .tile import tile

KC = 256  # depth of a panel: B's (KC x 32 floats) and A's fit L1 together on most cores, L1 and L2 on all
MC_PANELS = 64  # rows of A packed at a time, in panels
NC = 2048  # columns of B packed at a time
ROWS_PER_CHUNK = 8 * ROWS  # their panels (KC deep) fit a quarter of a small L2
CHUNK_WORK = 4e5  # multiply-adds that are worth handing to another thread: some 5 us
SMALL = 400_000  # multiply-adds below which a product stays on the calling thread


@compiled
def lanes_of(array):
    return FLOAT_LANES if array.itemsize == 4 else DOUBLE_LANES


@compiled
def _chunks(begin, end, across, rows, columns, a, b, c, ldc, m, n, top, left, depth, start, last, epilogue):
    """Chunks begin .. end of the grid over rows x columns of the packed block whose corner is (top, left)."""
    width = VECTORS * lanes_of(c)
    a_size, b_size = panel_size(ROWS, depth), panel_size(width, depth)
    corner = scratch(2, ROWS * width, c)
    item = c.itemsize
    a_base, b_base, c_base, t_base = a.ctypes.data, b.ctypes.data, c.ctypes.data, corner.ctypes.data
    direct = in_registers(epilogue) or not last
    relu = last and in_registers(epilogue) and epilogue.relu
    bias = epilogue.bias if start == 0 else epilogue.bias[:0]
    start_whole = 2 if bias.size else start
    for chunk in range(begin, end):
        row_0, column_0 = chunk // across * rows, chunk % across * columns
        row_end, column_end = min(m, row_0 + rows), min(n, column_0 + columns)
        for j in range(column_0, column_end, width):
            wide = min(width, column_end - j)
            b_at = b_base + j // width * b_size * item
            bias_at = bias.ctypes.data + (left + j) * item
            for i in range(row_0, row_end, ROWS):
                high = min(ROWS, row_end - i)
                a_at = a_base + i // ROWS * a_size * item
                at = (top + i) * ldc + left + j
                # an edge, or more than registers can do: the tile goes through L1
                whole = direct and wide == width and high == ROWS
                to, ld = (c_base + at * item, ldc) if whole else (t_base, width)
                begin_with = start_whole if whole else 0
                tile(c, high, wide, depth, a_at, b_at, to, ld, begin_with, bias_at, relu and whole)
                if not whole:
                    finish_tile(corner, width, c, at, ldc, high, wide, start == 1, bias, left + j, last, epilogue)


@compiled
def gemm(m, n, k, a, b, c, ldc, accumulate, epilogue):
    """c (+)= a @ b, then the epilogue. Operands: see pack.py; c is flat, ldc elements from row to row.

    The bias is what the sums start from; with accumulate there is none: epilogues belong to overwriting.
    """
    width = VECTORS * lanes_of(c)
    if k == 0:
        _no_depth(m, n, c, ldc, accumulate, epilogue)
        return
    mc, kc, nc = MC_PANELS * ROWS, min(k, KC), NC
    # equal parts rather than a thin last one
    depth_parts = (k + KC - 1) // KC
    kc = (k + depth_parts - 1) // depth_parts
    a_panels, b_panels = (min(m, mc) + ROWS - 1) // ROWS, (min(n, nc) + width - 1) // width
    packed_a = scratch(0, a_panels * panel_size(ROWS, kc), c)
    packed_b = scratch(1, b_panels * panel_size(width, kc), c)
    for left in range(0, n, nc):
        across = min(nc, n - left)
        for step in range(0, k, kc):
            depth = min(kc, k - step)
            for top in range(0, m, mc):
                down = min(mc, m - top)
                work = down * across * depth
                if top == 0:
                    _pack(packed_b, width, across, b, left, step, depth, work)
                _pack(packed_a, ROWS, down, a, top, step, depth, work)
                row_parts = (down + ROWS_PER_CHUNK - 1) // ROWS_PER_CHUNK
                rows = ((down + row_parts - 1) // row_parts + ROWS - 1) // ROWS * ROWS
                columns = int(CHUNK_WORK / (min(rows, down) * depth)) // width * width
                columns = min(max(columns, width), (across + width - 1) // width * width)
                grid_across = (across + columns - 1) // columns
                grid = (down + rows - 1) // rows * grid_across
                start = 1 if accumulate or step > 0 else 0
                last = step + depth == k
                panels, place = (packed_a, packed_b), (down, across, top, left, depth)
                arguments = (grid_across, rows, columns, *panels, c, ldc, *place, start, last, epilogue)
                parallel_for(_chunks, grid, grid if work < SMALL else 1, arguments)


@compiled
def _pack(panels, width, lines, operand, first, step, depth, work):
    """All panels of lines first .. first + lines of an operand."""
    count = (lines + width - 1) // width
    grain = count if work < SMALL else max(1, 16384 // (width * depth))
    parallel_for(pack_panels, count, grain, (panels, width, operand, first, step, depth))


@compiled
def _no_depth(m, n, c, ldc, accumulate, epilogue):
    """A product without steps: zeros, and still the epilogue."""
    for i in range(m):
        row = i * ldc
        if not accumulate:
            for j in range(n):
                c[row + j] = epilogue.bias[j] if epilogue.bias.size else 0
        finish_rows(epilogue, c, row, row, n)


@compiled
def product(m, n, k, a, b, c, ldc, accumulate, epilogue):
    """gemm for two matrices: by the way that suits their size."""
    if m <= THIN and a.by_line:
        thin(m, n, k, a, b, c, ldc, accumulate, epilogue.bias)
        for i in range(m):
            finish_rows(epilogue, c, i * ldc, i * ldc, n)
    else:
        gemm(m, n, k, a, b, c, ldc, accumulate, epilogue)


@compiled
def _matmul(y, a, b, transpose_a, transpose_b, accumulate):
    m, k = (a.shape[1], a.shape[0]) if transpose_a else a.shape
    n = y.shape[1]
    c = y.reshape(-1)
    lines = Matrix(a.reshape(-1), a.shape[1], m, not transpose_a)
    columns = Matrix(b.reshape(-1), b.shape[1], n, transpose_b)
    product(m, n, k, lines, columns, c, n, accumulate, no_epilogue(c))


@compiled
def _check_shapes(y, a, b, transpose_a, transpose_b):
    m, k = (a[1], a[0]) if transpose_a else (a[0], a[1])
    kb, n = (b[1], b[0]) if transpose_b else (b[0], b[1])
    if k != kb or y[0] != m or y[1] != n:
        raise ValueError("matmul: expected y (M, N) of op(a) (M, K) and op(b) (K, N)")


@kernel
def matmul_forward(y, a, b, transpose_a, transpose_b, accumulate):
    """Packed panels and register tiles: see kernels/cpu/gemm.py."""
    _check_shapes(y.shape, a.shape, b.shape, transpose_a, transpose_b)
    if y.size:
        _matmul(y, a, b, transpose_a, transpose_b, accumulate)


@compiled
def _matrices(begin, end, y, a, b, transpose_a, transpose_b, accumulate):
    for i in range(begin, end):
        _matmul(y[i], a[i], b[i], transpose_a, transpose_b, accumulate)


@kernel
def bmm_forward(y, a, b, transpose_a, transpose_b, accumulate):
    """Small matrices: parallel over the batch. Large ones: one after the other, each in parallel."""
    _check_shapes(y.shape[1:], a.shape[1:], b.shape[1:], transpose_a, transpose_b)
    if y.size:
        work = y.shape[1] * y.shape[2] * (a.shape[1] if transpose_a else a.shape[2])
        grain = y.shape[0] if work > 8 * CHUNK_WORK else max(1, int(CHUNK_WORK) // (work + 1))
        parallel_for(_matrices, y.shape[0], grain, (y, a, b, transpose_a, transpose_b, accumulate))
