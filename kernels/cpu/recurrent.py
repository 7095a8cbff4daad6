"""What recurrent layers share: chunks of samples, blocks of steps, and the products over all rows of a block.

    forward   for each chunk of samples                      parallel
                  for each block of steps
                      z = x @ w_ih.T + b                     one product for the rows of all steps
                      for each step
                          z[t] += h @ w_hh.T                 on panels packed once a call, in L2
                          gates, cells, states               of the rows of z[t], in L1
    backward  for each chunk of samples                      parallel
                  for each block of steps, from the last
                      for each step
                          dz[t]
                          dh = dz[t] @ w_hh
                      dx, dw_ih, dw_hh, db                   products of dz with all rows, while they are in L2
              dw_ih, dw_hh, db                               the chunks' parts, added up in order

A chunk runs through all steps on one thread: threads meet once a call, and what one of them writes no other reads. That
counts where cores share no cache: half of z, made by the other core, would take as long as its products. The rows of a
chunk are gathered, so that products see them side by side. A small batch is one chunk, and then the products of a step
are shared among threads if they are worth it. Blocks and chunks depend on shapes alone.
"""

from ..jit import compiled, parallel_for, scratch
from .amx import EDGE
from .amx_gemm import FEWEST, WORTH
from .matmul_packed import _pack
from .pack import GAP, IN_PANELS, Matrix, matrix, panel_width
from .parts import packed_elements
from .product import activated_product, product
from .target import AMX

_elements = compiled(packed_elements)

TILE_ROWS = 8  # a height of the register tile that wastes little of it, for any number of such panels
STEP_WORK = 3e4  # multiply-adds of a chunk's step beside which a call is little
CHUNKS = 32
NEAR = 2**18  # elements of weights that stay in a second cache
BLOCK = 2**15  # elements of a block's z, which is in the second cache beside weights
DEEP, DEEP_BLOCK = 512, 2**17  # fewest rows, and elements, of a block of dz: its products read and write all of dw
PACK_WORK = 16384  # elements that are worth handing to another thread
SUM_COLUMNS = 256


@compiled
def chunk_rows(n, weights):
    """Samples that go through the steps together. weights: multiply-adds of one of them."""
    tall = max(FEWEST, int(WORTH) // (weights + 1) + 1)
    if AMX and tall <= n:
        return (tall + EDGE - 1) // EDGE * EDGE
    # twice as many where two threads still have as much to do: the fewer chunks, the fewer gradients to add up
    rows = TILE_ROWS * (4 if weights > NEAR else 2 if n >= 4 * TILE_ROWS else 1)
    rows = max(rows, (n + CHUNKS - 1) // CHUNKS, int(STEP_WORK) // (weights + 1))
    return (rows + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS


@compiled
def block_steps(count, samples, width):
    """Steps of a block of z, of rows of that width."""
    return max(1, min(count, BLOCK // max(1, samples * width)))


@compiled
def deep_block_steps(count, samples, width):
    """Likewise, of dz."""
    return max(1, min(count, max(DEEP, DEEP_BLOCK // max(1, width)) // max(1, samples)))


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
    operand = matrix(flat(w), w.shape[1], columns, transpose)
    # a single row's product is bound by the memory that w comes from, however it lies; a single product packs by itself
    if together == 1 or rows <= together or w.size == 0:
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
def gather(target, source, lengths, start, steps, begin, samples, n, width):
    """Rows of samples begin .. of steps start .., side by side; past a sample's end zeros: padding may hold NaN."""
    zero = target.dtype.type(0)
    for step in range(steps):
        copy(lines(target, step * samples, samples, width), lines(source, (start + step) * n + begin, samples, width))
        if lengths.size:
            for i in range(samples):
                if start + step >= lengths[begin + i]:
                    fill(row(target, step * samples + i, width), zero)


@compiled
def scatter(target, source, start, steps, begin, samples, n, width):
    """What was gathered, back to where it belongs."""
    for step in range(steps):
        copy(lines(target, (start + step) * n + begin, samples, width), lines(source, step * samples, samples, width))


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
def input_products(z, ldz, width, rows, x, d, w, bias):
    """z = x @ w.T + bias for the rows of a block."""
    activated_product(rows, width, d, matrix(x, d, rows, True), w, z, ldz, False, bias, z[:0], 0)


@compiled
def weight_gradient(dw, width, dz, ldz, rows, x, d, accumulate):
    """dw (+)= dz.T @ x for the rows of a block, where it is wanted."""
    if dw.size:
        product(width, d, rows, matrix(dz, ldz, width, False), matrix(x, d, d, False), dw, d, accumulate)


@compiled
def input_gradient(dx, dz, ldz, width, rows, d, w):
    """dx = dz @ w for the rows of a block."""
    product(rows, d, width, matrix(dz, ldz, rows, True), w, dx, d, False)


@compiled
def room_for_shares(chunks, width, grads, rows, accumulate):
    """(totals, spare): sums of dz of each chunk; its part of the weights' gradients, but for the first, which is in
    grads. Without rows, there is no chunk: all is zero."""
    room = 0
    for dw in grads:
        room += dw.size
        if rows == 0 and not accumulate:
            fill(dw, dw.dtype.type(0))
    totals, spare, _, _, _, _ = parts(6, (chunks * width, (chunks - 1) * room, 0, 0, 0, 0), grads[0])
    fill(totals, totals.dtype.type(0))
    return totals, spare


@compiled
def share(dw, spare, at, chunk):
    """Where a chunk adds up its part of dw: the first one in dw, others in spare room, `at` elements from its start."""
    return dw if chunk == 0 else spare[at : at + dw.size]


@compiled
def _add_shares(begin, end, dw, spare, at, room, chunks):
    for chunk in range(chunks):
        add(dw[begin:end], spare[chunk * room + at + begin : chunk * room + at + end])


@compiled
def add_shares(grads, spare, totals, chunks):
    """The parts of all chunks, in order, to those of the first."""
    if chunks == 1:
        return
    at, room, width = 0, spare.size // (chunks - 1), totals.size // chunks
    for dw in grads:
        parallel_for(_add_shares, dw.size, PACK_WORK, (dw, spare, at, room, chunks - 1))
        at += dw.size
    for chunk in range(1, chunks):
        add(row(totals, 0, width), row(totals, chunk, width))


@compiled
def _sums(begin, end, total, dz, ldz, width, rows):
    left, right = begin * SUM_COLUMNS, min(width, end * SUM_COLUMNS)
    # a slot of the products, none of which is at work
    part, total = scratch(0, right - left, dz), total[left:right]
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
