"""What recurrent layers share: blocks of steps, chunks of samples, and the products over all rows of a block.

    forward   for each block of steps
                  z = x @ w_ih.T + b                     one product for the rows of all steps and samples
                  for each chunk of samples              parallel
                      for each step
                          z[t] += h @ w_hh.T             on panels packed once a call, in L2
                          gates, cells, states           of the chunk's rows of z[t], in L1
    backward  for each block of steps, from the last
                  for each chunk of samples              parallel
                      for each step
                          dz[t]                          of the chunk's rows
                          dh = dz[t] @ w_hh
                  dx, dw_ih, dw_hh, db                   products of dz with all rows, while they are in L2

A chunk runs through a block's steps on one thread: threads meet a few times a block, not at each step. A small batch is
one chunk, and then the products of a step are shared among threads if they are worth it. Blocks and chunks depend on
shapes alone.
"""

from ..jit import compiled, parallel_for, scratch
from .matmul_packed import _pack
from .pack import GAP, IN_PANELS, Matrix, matrix, panel_width
from .parts import packed_elements
from .product import activated_product, product

_elements = compiled(packed_elements)

TILE_ROWS = 8  # a height of the register tile that wastes little of it, for any number of such panels
STEP_WORK = 1e5  # multiply-adds of a chunk's step beside which a call is nothing
CHUNKS = 32
NEAR = 2**18  # elements of weights that stay in a second cache
BLOCK = 2**17  # elements of a block's dz, which is in the second cache beside weights
REUSE = 16  # rows from which packing weights pays
PACK_WORK = 16384  # elements that are worth handing to another thread
SUM_COLUMNS = 256


@compiled
def chunk_rows(n, weights):
    """Samples that go through the steps together. weights: multiply-adds of one of them."""
    rows = TILE_ROWS * (1 if weights <= NEAR else 4)
    rows = max(rows, (n + CHUNKS - 1) // CHUNKS, int(STEP_WORK) // (weights + 1))
    return (rows + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS


@compiled
def block_steps(count, n, width):
    """Steps of a block, of rows of dz of that width."""
    return max(1, min(count, BLOCK // max(1, n * width)))


@compiled
def first_of_block(done, steps, count, backwards):
    """The earliest step of the block that follows `done` steps."""
    return count - done - steps if backwards else done


@compiled
def padded(width):
    """Elements from row to row of dz: a column's elements have places of their own in the first cache."""
    return width + GAP


@compiled
def _lines(elements):
    return (elements + GAP - 1) // GAP * GAP


@compiled
def weights(slot, w, transpose, together, rows):
    """w, or its transpose, as the second operand of products of `together` rows, `rows` in all: packed if that pays."""
    columns, depth = (w.shape[0], w.shape[1]) if transpose else (w.shape[1], w.shape[0])
    # a single row's product is bound by the memory that w comes from, however it lies
    operand = matrix(flat(w), w.shape[1], columns, transpose)
    if together == 1 or rows < REUSE or w.size == 0:
        return operand
    packed, width = scratch(slot, _elements(depth, columns, w.itemsize), w), panel_width(w)
    parallel_for(_pack, (columns + width - 1) // width, max(1, PACK_WORK // (width * depth)), (packed, operand, depth))
    return Matrix(packed, depth, columns, IN_PANELS)


@compiled
def parts(slot, sizes, like):
    """One workspace as consecutive arrays of six sizes, each on cache lines of its own."""
    a, b, c, d, e, f = sizes
    b0 = _lines(a)
    c0 = b0 + _lines(b)
    d0 = c0 + _lines(c)
    e0 = d0 + _lines(d)
    f0 = e0 + _lines(e)
    space = scratch(slot, f0 + f, like)
    return space[:a], space[b0 : b0 + b], space[c0 : c0 + c], space[d0 : d0 + d], space[e0 : e0 + e], space[f0 : f0 + f]


@compiled
def longest(lengths, begin, end, count):
    """Steps of the longest of the samples begin .. end."""
    if lengths.size == 0:
        return count
    most = 0
    for n in range(begin, end):
        most = max(most, lengths[n])
    return most


@compiled
def flat(array):
    return array.reshape(-1)


@compiled
def lines(array, at, count, width):
    """Rows at .. at + count of a flat array."""
    return array[at * width : (at + count) * width]


@compiled
def row(array, at, width):
    return array[at * width : (at + 1) * width]


@compiled
def fill(target, value):
    for j in range(target.size):
        target[j] = value


@compiled
def copy(target, source):
    for j in range(target.size):
        target[j] = source[j]


@compiled
def add(target, source):
    """target += source, where there is one."""
    for j in range(source.size):
        target[j] += source[j]


@compiled
def begin_with(target, source):
    """target = source, or zeros where it is absent."""
    if source.size:
        copy(target, source)
    else:
        fill(target, target.dtype.type(0))


@compiled
def both_biases(total, b_ih, b_hh):
    """b_ih + b_hh, either of which may be absent; size 0 where both are."""
    if b_hh.size == 0:
        return b_ih
    if b_ih.size == 0:
        return b_hh
    for j in range(total.size):
        total[j] = b_ih[j] + b_hh[j]
    return total


@compiled
def input_products(z, ldz, width, top, rows, x, w, bias):
    """z = x @ w.T + bias for the rows of a block, the first of which is row `top` of x."""
    d = x.shape[2]
    activated_product(
        rows, width, d, matrix(lines(flat(x), top, rows, d), d, rows, True), w, z, ldz, False, bias, z[:0], 0
    )


@compiled
def input_gradients(dx, dw, dz, ldz, width, top, rows, x, w, accumulate):
    """dx = dz @ w;  dw (+)= dz.T @ x, likewise."""
    d = x.shape[2]
    if dx.size:
        product(rows, d, width, matrix(dz, ldz, rows, True), w, lines(flat(dx), top, rows, d), d, False)
    if dw.size:
        right = matrix(lines(flat(x), top, rows, d), d, d, False)
        product(width, d, rows, matrix(dz, ldz, width, False), right, flat(dw), d, accumulate)


@compiled
def state_gradient(dw, dz, ldz, top, rows, y, reverse, accumulate):
    """dw (+)= dz.T @ the states that a block's steps began with, but for the first step of all.

    y is 0 past a sample's end: what its first step began with, if its steps are reversed, is added elsewhere.
    """
    count, n, p = y.shape
    if dw.size:
        if reverse:
            first, skipped = top + n, n if top + rows == count * n else 0
        else:
            first, skipped = max(top - n, 0), n if top == 0 else 0
            dz = dz[skipped * ldz :]
        left, right = matrix(dz, ldz, dw.shape[0], False), matrix(lines(flat(y), first, rows - skipped, p), p, p, False)
        product(dw.shape[0], p, rows - skipped, left, right, flat(dw), p, accumulate)


@compiled
def first_gradient(dw, firsts, width, h0, accumulate):
    """dw (+)= dz of each sample's first step, transposed, @ the state that it began with."""
    n, p = h0.shape
    left, right = matrix(firsts, width, dw.shape[0], False), matrix(flat(h0), p, p, False)
    product(dw.shape[0], p, n, left, right, flat(dw), p, accumulate)


@compiled
def _sums(begin, end, total, dz, ldz, width, rows):
    left, right = begin * SUM_COLUMNS, min(width, end * SUM_COLUMNS)
    part, total = scratch(7, right - left, dz), total[left:right]
    fill(part, dz.dtype.type(0))
    for i in range(rows):
        row = dz[i * ldz + left : i * ldz + right]
        for j in range(part.size):
            part[j] += row[j]
    for j in range(part.size):
        total[j] += part[j]


@compiled
def add_rows(total, dz, ldz, rows):
    """total += the sum of dz over a block's rows, added up first: rounding grows with blocks, not with rows."""
    parallel_for(_sums, (total.size + SUM_COLUMNS - 1) // SUM_COLUMNS, 1, (total, dz, ldz, total.size, rows))


@compiled
def hand_over(db, total, accumulate):
    if accumulate:
        add(db, total[: db.size])
    else:
        copy(db, total)
