"""What recurrent layers share on the device: two ways through the steps, and what comes before and after them.

    forward   z = x @ w_ih.T + b_ih                one product for all steps and samples
              gates, cells, states                 one launch for all steps where the weights of the states fit into
                                                   one multiprocessor (recurrent_resident.py); else a launch a step,
                                                   the product with the states and what follows from it
                                                   (recurrent_tile.py)
    backward  dz                                   step by step in the same ways, with the weights transposed
              dx, dw_ih, dw_hh, db                 products and sums over all steps at once

The launches of steps have the same arrays every time, and the step as a number, so that they are bound once.
"""

from . import status
from .gemm import product
from .ptx import aligned
from .recurrent_tile import ACROSS
from .status import LENGTHS
from .target import SIMULATOR, cuda, empty, jit, launch, spread

# units of a block that computes one sum for each
PLAIN = 2 * ACROSS
# a block of the transposition, and of the sums over rows; rows that one thread adds up
SIDE, DOWN = (4, 2) if SIMULATOR else (32, 8)
ROWS = 4 if SIMULATOR else 128
# a row of the transposition in shared memory: one more, so that columns are on different banks too
PADDED = SIDE + 1


@jit
def _begin_with(target, source):
    for i in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        target[i] = source[i] if source.size > 0 else target.dtype.type(0)


def begin_with(target, source, stream):
    """target = source, or zeros where it is absent."""
    spread(_begin_with, target.size, stream, target.reshape(-1), source.reshape(-1))


@jit
def _check_lengths(lengths, steps, problem):
    for i in range(cuda.grid(1), lengths.size, cuda.gridsize(1)):
        if lengths[i] < 0 or lengths[i] > steps:
            problem[0] = LENGTHS


def check_lengths(lengths, steps, stream):
    """What is wrong with them is told by the next call that waits for the device. Kernels here go nowhere with them."""
    if lengths.size:
        spread(_check_lengths, lengths.size, stream, lengths, steps, status.word())


@jit
def _transpose(out, w):
    tile = cuda.shared.array((SIDE, PADDED), w.dtype)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    top, left = cuda.blockIdx.x * SIDE, cuda.blockIdx.y * SIDE
    for r in range(ty, SIDE, DOWN):
        if top + r < w.shape[0] and left + tx < w.shape[1]:
            tile[r, tx] = w[top + r, left + tx]
    cuda.syncthreads()
    for r in range(ty, SIDE, DOWN):
        if left + r < w.shape[1] and top + tx < w.shape[0]:
            out[left + r, top + tx] = tile[tx, r]


def transposed(w, stream):
    """A copy of w.T, whose rows lie as those of w did."""
    out = empty(w.shape[::-1], w.dtype)
    launch(_transpose, (-(-w.shape[0] // SIDE), -(-w.shape[1] // SIDE)), (SIDE, DOWN), stream, out, w)
    return out


@jit
def _sums_of_rows(parts, a):
    """parts[p, j]: the sum of a's column j over ROWS rows, DOWN threads of it, in order."""
    shared = cuda.shared.array((DOWN, SIDE), a.dtype)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    # columns are few, rows as many as steps of samples
    j, begin = cuda.blockIdx.y * SIDE + tx, cuda.blockIdx.x * ROWS
    total = a.dtype.type(0)
    if j < a.shape[1]:
        for i in range(begin + ty, min(begin + ROWS, a.shape[0]), DOWN):
            total += a[i, j]
    shared[ty, tx] = total
    cuda.syncthreads()
    if ty == 0 and j < a.shape[1]:
        for r in range(1, DOWN):
            total += shared[r, tx]
        parts[cuda.blockIdx.x, j] = total


@jit
def _hand_over(target, other, parts, accumulate):
    """The sum of all parts, to one or two arrays."""
    for j in range(cuda.grid(1), parts.shape[1], cuda.gridsize(1)):
        total = parts.dtype.type(0)
        for p in range(parts.shape[0]):
            total += parts[p, j]
        if j < target.size:
            target[j] = target[j] + total if accumulate else total
        if j < other.size:
            other[j] = other[j] + total if accumulate else total


def add_rows(target, other, a, accumulate, stream):
    """target (+)= the sum of a's rows (rows, columns), and other likewise; either may be absent."""
    if not (target.size or other.size):
        return
    rows, columns = a.shape
    parts = empty((-(-rows // ROWS), columns), a.dtype)
    launch(_sums_of_rows, (parts.shape[0], -(-columns // SIDE)), (SIDE, DOWN), stream, parts, a)
    spread(_hand_over, columns, stream, target, other, parts, accumulate)


@jit
def _first_steps(first, dz, lengths):
    """first[n]: dz of the step that a sample begins with when it is run through backwards; 0 if it has none."""
    width = first.shape[1]
    for i in range(cuda.grid(1), first.size, cuda.gridsize(1)):
        n, j = i // width, i % width
        length = min(lengths[n], dz.shape[0])
        first[n, j] = dz[length - 1, n, j] if length > 0 else dz.dtype.type(0)


def rows_of(a):
    """(T, N, W) as (T * N, W)."""
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2])


def plain_product(y, a, b, transpose_a, transpose_b, accumulate, stream):
    if y.size:
        product(y, a, b, transpose_a, transpose_b, accumulate, stream)


def input_products(given, x, w, bias, stream):
    """given = x @ w.T + bias for all steps."""
    if given.size:
        product(rows_of(given), rows_of(x), w, False, True, False, stream, bias=bias)


def input_gradients(dx, dw, dz, x, w, accumulate, stream):
    """Of the input and its weights, where they are wanted, from dz of all steps."""
    if dx.size:
        plain_product(rows_of(dx), rows_of(dz), w, False, False, False, stream)
    if dw.size:
        plain_product(dw, rows_of(dz), rows_of(x), True, False, accumulate, stream)


def state_gradients(dw, dz, y, h0, lengths, reverse, accumulate, stream):
    """dw (+)= the sum of dz[t].T @ the states that step t began with: those of y a step before, or h0.

    Where a sample has not had a step, y is 0; where it has no step, dz is.
    """
    if not dw.size:
        return
    steps = y.shape[0]
    if steps > 1:
        later, earlier = (dz[:-1], y[1:]) if reverse else (dz[1:], y[:-1])
        plain_product(dw, rows_of(later), rows_of(earlier), True, False, accumulate, stream)
        accumulate = True
    if steps and h0.size:
        first = dz[steps - 1] if reverse else dz[0]
        if reverse and lengths.size:
            first = empty(dz.shape[1:], dz.dtype)
            spread(_first_steps, first.size, stream, first, dz, lengths)
        plain_product(dw, first, h0, True, False, accumulate, stream)
        accumulate = True
    if not accumulate:
        begin_with(dw, dw[:0], stream)


def in_chunks(depth, *arrays):
    """Whether rows of that many numbers can be copied in chunks of 16 bytes."""
    return depth * arrays[0].itemsize % 16 == 0 and aligned(*arrays)


def order_of(steps, reverse):
    return range(steps)[::-1] if reverse else range(steps)


def relay(first, last, steps):
    """[(old, its place, new, its place)], flat: where each step finds states and leaves them, from `first`, which may
    be absent, by way of two halves of a buffer to `last`."""
    size = last.size
    halves = empty(2 * size if steps > 1 else 0, last.dtype)
    olds = [(first.reshape(-1), 0)] + [(halves, k % 2 * size) for k in range(steps - 1)]
    news = [(halves, k % 2 * size) for k in range(steps - 1)] + [(last.reshape(-1), 0)]
    return [(*old, *new) for old, new in zip(olds, news, strict=True)][:steps]


def step_before(t, steps, reverse):
    """The step that left the states which step t began with; -1 if there is none."""
    return t - 1 if not reverse else t + 1 if t + 1 < steps else -1


def kept(array, shape):
    """Where a result goes that is kept, or else room for it."""
    return array if array.size else empty(shape, array.dtype)
