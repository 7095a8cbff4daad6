"""Rows of a table by id, and the gradients of the rows.

Forward copies rows. For the gradient positions are brought together by id and summed in chunks (grouping.py), so that
an id that is a fifth of all costs no more than the others, and no two threads meet.
"""

import math

import numpy as np

from . import status
from .elementwise import fill_forward
from .functions import sqrt
from .grouping import divide_by_frequency, name_places, ranks_of, sorted_positions, sum_groups
from .lanes import WARPS, block_max, block_sum
from .layout import elements, lanes_of
from .ptx import narrow, wide
from .rows import copy_rows
from .target import cuda, empty, jit, kernel, launch


@kernel(half=True)
def embedding_forward(y, w, indices, stream=0):
    """Rows of 16-byte vectors, a few a block. An id out of range raises IndexError at the next call that waits for the
    device."""
    copy_rows(y[None], w[None], indices, 0, status.word(), status.ID, stream)


def positions_of_ids(indices, size, padding_idx, stream, source=None):
    """Sorted positions of ids 0 .. size-1, without those of padding_idx."""
    return sorted_positions(indices, 0, size, padding_idx, status.word(), status.ID, stream, source)


@kernel(half=True)
def embedding_backward(dw, dy, indices, padding_idx, scale_grad_by_freq, accumulate, stream=0):
    """Zeros, a sort of ids, and sums in two launches."""
    if not accumulate:
        fill_forward(dw, 0.0, stream)
    if dw.size:
        keys = positions_of_ids(indices, dw.shape[0], padding_idx, stream)
        factors = None
        if scale_grad_by_freq:
            factors = empty((indices.size,), np.float64 if dy.dtype == np.float64 else np.float32)
            fill_forward(factors, 1.0, stream)
            divide_by_frequency(factors, keys, stream)
        sum_groups(dw[None], dy[None], keys, stream, factors=factors, accumulate=accumulate)


def sum_places(rows, values, count, dy, keys, stream, **terms):
    """The places of sorted positions, each once, and their sums."""
    if not keys.size:
        fill_forward(count, 0, stream)
        return
    ranks = ranks_of(keys, stream)
    sum_groups(values[None], dy[None], keys, stream, ranks=ranks, **terms)
    name_places(rows, count, keys, ranks, stream)


@kernel(half=True)
def embedding_rows_backward(rows, values, count, dy, indices, size, padding_idx, stream=0):
    """The same sums, side by side: a scan of the sorted ids numbers them."""
    sum_places(rows, values, count, dy, positions_of_ids(indices, size, padding_idx, stream), stream)


# ---- norms


@jit
def _claim(owners, indices, problem):
    """owners[v] = the first position of id v."""
    k = cuda.grid(1)
    if k < indices.size:
        v = indices[k]
        if v < 0 or v >= owners.size:
            problem[0] = status.ID
        else:
            cuda.atomic.min(owners, v, k)


@jit
def _renorm(w, indices, owners, max_norm, p, infinite):
    """A block for each position; the first one of an id scales its row. Norms in float64, as they are on the CPU."""
    parts = cuda.shared.array(WARPS, np.float64)
    v = indices[cuda.blockIdx.x]
    mine = v >= 0 and v < owners.size
    mine = mine and owners[v if mine else 0] == cuda.blockIdx.x
    columns = w.shape[1] if mine else 0
    total = np.float64(0)
    j = cuda.threadIdx.x
    while j < columns:
        size = abs(np.float64(wide(w[v, j])))
        if infinite:
            total = size if size > total or size != size else total
        elif p == 2.0:
            total += size * size
        elif p == 1.0:
            total += size
        elif p == 0.0:
            total += 1.0 if size != 0.0 else 0.0
        else:
            total += size**p
        j += cuda.blockDim.x
    if infinite:
        norm = block_max(parts, total)
    else:
        norm = block_sum(parts, total)
        if p == 2.0:
            norm = sqrt(norm)
        elif p != 0.0 and p != 1.0:
            norm = norm ** (1.0 / p)
    if norm > max_norm:
        factor = max_norm / (norm + 1e-7)
        j = cuda.threadIdx.x
        while j < columns:
            w[v, j] = narrow(w, wide(w[v, j]) * type(wide(w[v, j]))(factor))
            j += cuda.blockDim.x


@kernel(half=True)
def embedding_renorm_update(w, indices, max_norm, norm_type, stream=0):
    """The first position of each id claims its row by an atomic minimum, then scales it."""
    if not indices.size or not w.shape[1]:
        return
    owners = empty((max(1, w.shape[0]),), np.int32)
    fill_forward(owners, 2.0**31 - 1, stream)
    elements(_claim, indices.size, stream, owners[: w.shape[0]], indices, status.word())
    numbers = float(max_norm), float(norm_type), math.isinf(norm_type)
    launch(_renorm, indices.size, lanes_of(w.shape[1]), stream, w, indices, owners[: w.shape[0]], *numbers)
