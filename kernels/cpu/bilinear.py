"""Bilinear forms as matrix products: row n of `outer` is x1[n] times x2[n], all pairs, and then y = outer @ w.T + b.

    forward    outer rows for a block of samples, one product with the weight
    backward   d(outer) = dy @ w, from whose rows dx1 and dx2 are contracted;   dw (+)= dy.T @ outer

The samples go through in blocks, so that the pairs of a block stay in cache; blocks depend on shapes alone and add to
dw in their order. Making pairs is D * E multiplications a sample, the products are H * D * E: only they need care.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .pack import matrix
from .product import activated_product, product

# pairs of a block, in elements: 1 MB of float32; at least some rows, to be worth packing the weight for
BLOCK = 262_144
FEWEST_ROWS = 32


@compiled
def _rows_per_block(n, pairs):
    return max(1, min(n, max(FEWEST_ROWS, BLOCK // max(1, pairs))))


@compiled
def _outer_rows(begin, end, outer, x1, x2, first):
    """outer[r] = all pairs x1[first + r, i] * x2[first + r, j]."""
    d, e = x1.shape[1], x2.shape[1]
    for r in range(begin, end):
        for i in range(d):
            left, at = x1[first + r, i], (r * d + i) * e
            for j in range(e):
                outer[at + j] = left * x2[first + r, j]


@compiled
def _contract_rows(begin, end, dx1, dx2, pairs, x1, x2, first):
    """dx1 and dx2 from the gradients of the pairs; a size-0 one is left out."""
    d, e = x1.shape[1], x2.shape[1]
    zero = x1.dtype.type(0)
    for r in range(begin, end):
        n = first + r
        if dx1.size:
            for i in range(d):
                at, total = (r * d + i) * e, zero
                for j in range(e):
                    total += pairs[at + j] * x2[n, j]
                dx1[n, i] = total
        if dx2.size:
            for j in range(e):
                dx2[n, j] = zero
            for i in range(d):
                at, left = (r * d + i) * e, x1[n, i]
                for j in range(e):
                    dx2[n, j] += pairs[at + j] * left


@compiled
def _add_rows(db, dy, accumulate):
    zero = db.dtype.type(0)
    if not accumulate:
        for h in range(db.size):
            db[h] = zero
    for n in range(dy.shape[0]):
        for h in range(db.size):
            db[h] += dy[n, h]


@kernel
def bilinear_forward(y, x1, x2, w, b):
    """Blocks of samples, each one a product of its pairs with the weight: see kernels/cpu/bilinear.py."""
    n, h = y.shape
    pairs = x1.shape[1] * x2.shape[1]
    if y.size:
        rows = _rows_per_block(n, pairs)
        outer = scratch(3, rows * pairs, y)
        flat_y, flat_w = y.reshape(-1), w.reshape(-1)
        for first in range(0, n, rows):
            block = min(rows, n - first)
            parallel_for(_outer_rows, block, max(1, 65536 // max(1, pairs)), (outer, x1, x2, first))
            by_row, weight = matrix(outer, pairs, block, True), matrix(flat_w, pairs, h, True)
            out = flat_y[first * h :]
            activated_product(block, h, pairs, by_row, weight, out, h, False, b, out[:0], 0)


@kernel
def bilinear_backward(dx1, dx2, dw, db, dy, x1, x2, w, accumulate):
    """Blocks of samples, two products each: see kernels/cpu/bilinear.py."""
    n, h = dy.shape
    pairs = x1.shape[1] * x2.shape[1]
    rows = _rows_per_block(n, pairs)
    flat_dy, flat_w = dy.reshape(-1), w.reshape(-1)
    block_pairs = scratch(3, rows * pairs, dy)
    grain = max(1, 65536 // max(1, pairs))
    if dx1.size or dx2.size:
        for first in range(0, n, rows):
            block = min(rows, n - first)
            by_row, weight = matrix(flat_dy[first * h :], h, block, True), matrix(flat_w, pairs, pairs, False)
            product(block, pairs, h, by_row, weight, block_pairs, pairs, False)
            parallel_for(_contract_rows, block, grain, (dx1, dx2, block_pairs, x1, x2, first))
    if dw.size:
        flat_dw = dw.reshape(-1)
        if n == 0 and not accumulate:
            flat_dw[:] = 0
        for first in range(0, n, rows):
            block = min(rows, n - first)
            parallel_for(_outer_rows, block, grain, (block_pairs, x1, x2, first))
            turned, by_step = matrix(flat_dy[first * h :], h, h, False), matrix(block_pairs, pairs, pairs, False)
            product(h, pairs, block, turned, by_step, flat_dw, pairs, accumulate or first > 0)
    if db.size:
        _add_rows(db, dy, accumulate)
