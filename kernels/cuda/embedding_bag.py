"""Bags of rows: forward a team of threads for each bag, backward sums over the bags of an id (grouping.py).

Offsets are checked where they are used: a bag goes from its offset to the next one, never beyond the positions there
are, and what does not fit is reported by the next call that waits for the device.
"""

import numpy as np

from ..bag_checks import MAX, MEAN, SUM
from . import status
from .elementwise import fill_forward
from .embedding import positions_of_ids, sum_places
from .grouping import divide_by_frequency, sorted_positions, sum_groups
from .layout import elements, over_rows
from .ptx import narrow, shuffle_xor, wide
from .target import THREADS, WARP, cuda, device, empty, jit, kernel, launch


def _check(offsets, bags, count, mode, weights):
    """bag_checks.check_bags, but for what the offsets' values show."""
    if mode not in (SUM, MEAN, MAX):
        raise ValueError("mode: expected 0 (sum), 1 (mean) or 2 (max)")
    if weights > 0 and mode != SUM:
        raise ValueError("weights: supported for the mode sum only")
    if bags and not offsets.size and count % bags:
        raise ValueError("indices: expected as many in each bag, there are no offsets")
    if bags and offsets.size not in (0, bags, bags + 1):
        raise ValueError("offsets: expected one a bag, and perhaps the end of the last")


@device
def _span(offsets, bags, each, count, b, problem):
    """Where bag b begins and ends; `each`: how many a bag has where there are no offsets."""
    if offsets.size == 0:
        return b * each, (b + 1) * each
    begin = offsets[b]
    end = offsets[b + 1] if b + 1 < offsets.size else count
    if begin < 0 or end < begin or end > count or (b == 0 and begin != 0):
        problem[0] = status.OFFSETS
        return 0, 0
    return begin, end


@jit
def _bags(y, largest, w, indices, offsets, weights, mode, padding_idx, each, problem):
    b = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    bags, columns = y.shape
    i = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while b < bags and i < columns:
        begin, end = _span(offsets, bags, each, indices.size, b, problem)
        total, kept, source = type(wide(y[b, i]))(0), np.int64(0), np.int64(-1)
        for k in range(begin, end):
            v = indices[k]
            if v < 0 or v >= w.shape[0]:
                problem[0] = status.ID
            elif v != padding_idx:
                x = wide(w[v, i])
                if mode != MAX:
                    total += wide(weights[k]) * x if weights.size > 0 else x
                # a NaN is larger than all
                elif kept == 0 or x > total or (x != x and total == total):
                    total, source = x, v
                kept += 1
        if mode == MEAN and kept > 0:
            total = total * (type(total)(1) / type(total)(kept))
        y[b, i] = narrow(y, total)
        if largest.size > 0:
            largest[b, i] = source
        i += cuda.gridDim.y * cuda.blockDim.x


@jit
def _check_ids(indices, size, problem):
    k = cuda.grid(1)
    if k < indices.size and (indices[k] < 0 or indices[k] >= size):
        problem[0] = status.ID


def _each(offsets, bags, count):
    return count // bags if bags and not offsets.size else 0


@kernel(half=True)
def embedding_bag_forward(y, largest, w, indices, offsets, weights, mode, padding_idx, stream=0):
    """A thread for each column of a bag, rows in the order of the bag."""
    bags, columns = y.shape
    _check(offsets, bags, indices.size, mode, weights.size)
    word, each = status.word(), _each(offsets, bags, indices.size)
    args = (y, largest, w, indices, offsets, weights, mode, padding_idx, each, word)
    over_rows(_bags, bags, columns, stream, *args)
    if offsets.size or not (bags and columns):
        # ids that are in no bag
        elements(_check_ids, indices.size, stream, indices, w.shape[0], word)


# ---- gradients


@jit
def _sizes(sizes, indices, offsets, padding_idx, each, problem):
    """How many ids of each bag count."""
    b = cuda.grid(1)
    if b < sizes.size:
        begin, end = _span(offsets, sizes.size, each, indices.size, b, problem)
        count = 0
        for k in range(begin, end):
            count += 1 if indices[k] != padding_idx else 0
        sizes[b] = count


@jit
def _terms(source, factors, indices, offsets, weights, sizes, bags, each, problem):
    """For each position its bag, -1 for none, and what its row is multiplied by."""
    k = cuda.grid(1)
    b = k
    while b < offsets.size:
        least = offsets[b - 1] if b > 0 else np.int64(0)
        if offsets[b] < least or offsets[b] > indices.size or (b == 0 and offsets[0] != 0):
            problem[0] = status.OFFSETS
        b += cuda.gridsize(1)
    if k < indices.size:
        low = np.int64(0)
        if offsets.size == 0:
            b = k // each if bags > 0 else np.int64(-1)
        else:
            # the last bag that begins at k or before
            high = np.int64(bags)
            while low < high:
                at = (low + high) >> 1
                if offsets[at] <= k:
                    low = at + 1
                else:
                    high = at
            b = low - 1
            if b >= 0 and k >= (offsets[b + 1] if b + 1 < offsets.size else indices.size):
                b = np.int64(-1)
        source[k] = b
        one = factors.dtype.type(1)
        if weights.size > 0:
            factors[k] = wide(weights[k])
        elif sizes.size > 0 and b >= 0:
            factors[k] = one / factors.dtype.type(max(np.int64(1), sizes[b]))
        else:
            factors[k] = one


def _terms_of(indices, offsets, bags, weights, mode, padding_idx, dtype, word, stream):
    """(source, factors) as sum_groups takes them."""
    count, each = indices.size, _each(offsets, bags, indices.size)
    source = empty((count,), np.int64)
    factors = empty((count,), np.float64 if dtype == np.float64 else np.float32)
    sizes = empty((bags if mode == MEAN else 0,), np.int64)
    if sizes.size:
        elements(_sizes, bags, stream, sizes, indices, offsets, padding_idx, each, word)
    elements(_terms, count, stream, source, factors, indices, offsets, weights, sizes, bags, max(1, each), word)
    return source, factors


@jit
def _dots(dweights, dy, w, indices, source, padding_idx, problem):
    """A warp for each position."""
    k = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    good = k < indices.size
    v = indices[k] if good else padding_idx
    b = source[k] if good else np.int64(-1)
    total = type(wide(dweights[0]))(0)
    if v < 0 or v >= w.shape[0]:
        if good:
            problem[0] = status.ID
    elif b >= 0 and v != padding_idx:
        i = cuda.threadIdx.x
        while i < w.shape[1]:
            total += wide(dy[b, i]) * wide(w[v, i])
            i += WARP
    lane = WARP // 2
    while lane > 0:
        total += shuffle_xor(total, lane)
        lane //= 2
    if good and cuda.threadIdx.x == 0:
        dweights[k] = narrow(dweights, total)


@kernel(half=True)
def embedding_bag_backward(
    dw, dweights, dy, w, indices, offsets, weights, largest, mode, padding_idx, scale_grad_by_freq, accumulate, stream=0
):
    """Bag and factor of each position; then sums by id as in embedding_backward, and a warp for each of dweights."""
    bags, word, V = dy.shape[0], status.word(), w.shape[0]
    _check(offsets, bags, indices.size, mode, weights.size + dweights.size)
    if dw.size and not accumulate:
        fill_forward(dw, 0.0, stream)
    if mode == MAX:
        if dw.size:
            if largest.size != dy.size:
                raise ValueError("embedding_bag_backward: mode 2 needs largest of dy's shape, got size 0")
            _add_maxima(dw, dy, largest, word, stream)
        return
    if not indices.size:
        return
    source, factors = _terms_of(indices, offsets, bags, weights, mode, padding_idx, dy.dtype, word, stream)
    if dweights.size:
        threads = WARP, THREADS // WARP
        grid = -(-indices.size // threads[1])
        launch(_dots, grid, threads, stream, dweights, dy, w, indices, source, padding_idx, word)
    if dw.size:
        keys = positions_of_ids(indices, V, padding_idx, stream, source)
        if scale_grad_by_freq:
            divide_by_frequency(factors, keys, stream)
        sum_groups(dw[None], dy[None], keys, stream, source=source, factors=factors, accumulate=accumulate)


def _add_maxima(dw, dy, largest, word, stream):
    """dw[largest[b, i], i] += dy[b, i], but for -1"""
    keys = sorted_positions(largest[None], -1, dw.shape[0], -1, word, status.ID, stream)
    sum_groups(dw[None], dy[None], keys, stream, accumulate=True)


@kernel(half=True)
def embedding_bag_rows_backward(rows, values, count, dy, indices, offsets, weights, size, mode, padding_idx, stream=0):
    """The same sums, side by side."""
    bags = dy.shape[0]
    _check(offsets, bags, indices.size, mode, weights.size)
    if mode == MAX:
        raise ValueError("embedding_bag_rows_backward: expected mode 0 (sum) or 1 (mean)")
    word = status.word()
    source, factors = _terms_of(indices, offsets, bags, weights, mode, padding_idx, dy.dtype, word, stream)
    keys = positions_of_ids(indices, size, padding_idx, stream, source)
    sum_places(rows, values, count, dy, keys, stream, source=source, factors=factors)
