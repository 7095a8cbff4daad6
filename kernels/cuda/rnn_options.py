"""The simple recurrent network with options. How a step goes, and what the options do: recurrent_options.py."""

from ..recurrent_option_checks import check_kept
from .lanes import WARPS
from .recurrent import (
    add_rows,
    begin_with,
    check_lengths,
    kept,
    order_of,
    plain_product,
    rows_of,
)
from .recurrent_options import add_masked, begin, mix, put_normalised_grad, statistics, sum_terms, unmix
from .rnn_steps import cell, cell_grad
from .target import THREADS, cuda, empty, jit, kernel, launch, spread


@jit
def _make(made, products, out, raw, given, b_hh, norm_hh, lengths, t, n, h, relu, eps):
    """What step t makes of a sample, in `out` (n, h); by time it is kept in made, and the product in products."""
    parts = cuda.shared.array(WARPS, raw.dtype)
    sample = cuda.blockIdx.x
    row, begin, zero = (t * n + sample) * h, sample * h, eps - eps
    active = lengths.size == 0 or t < lengths[sample]
    mean, scale = zero, type(eps)(1)
    if norm_hh.size > 0:
        mean, scale = statistics(parts, raw, begin, h, eps)
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        value = raw[begin + j]
        if norm_hh.size > 0:
            value = (value - mean) * scale * norm_hh[j]
        z = given[row + j] + value
        if b_hh.size > 0:
            z += b_hh[j]
        new = cell(z, relu)
        out[begin + j] = new
        if made.size > 0:
            made[row + j] = new if active else zero
        if products.size > 0:
            products[row + j] = raw[begin + j] if active else zero


@kernel
def rnn_options_forward(
    y, hn, made, products, states, given, h0, w_hh, b_hh, norm_hh, mask, zone_h, lengths, reverse, relu, eps, stream=0
):
    """Three launches a step: a product, a block for each sample, and the new states."""
    steps, n, h = y.shape
    check_lengths(lengths, steps, stream)
    seen, raw, out = (empty((n, h), y.dtype) for _ in range(3))
    begin(hn, seen, h0, mask, stream)
    flat = [a.reshape(-1) for a in (made, products, out, raw, given)]
    mixed = [a.reshape(-1) for a in (y, hn, seen, states, states.reshape(-1)[:0], out, zone_h, mask)]
    for t in order_of(steps, reverse):
        plain_product(raw, seen, w_hh, False, True, False, stream)
        launch(_make, n, THREADS, stream, *flat, b_hh, norm_hh, lengths, t, n, h, relu, y.dtype.type(eps))
        spread(mix, n * h, stream, *mixed, lengths, t, n, h)


@jit
def _unmake(dgiven, draw, terms, dmade, made, products, norm_hh, lengths, t, n, h, relu, eps):
    parts = cuda.shared.array(WARPS, dgiven.dtype)
    sample = cuda.blockIdx.x
    row, begin = (t * n + sample) * h, sample * h
    active = lengths.size == 0 or t < lengths[sample]
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        dgiven[row + j] = cell_grad(dmade[begin + j], made[row + j], relu) if active else eps - eps
    # dgiven is written and read by the same threads; of a sample without this step it is 0, and so is what comes of it
    if norm_hh.size > 0:
        put_normalised_grad(parts, draw, row, terms, row, dgiven, row, products, row, norm_hh, 0, h, eps)


@kernel
def rnn_options_backward(
    dgiven, dh0, dw_hh, db_hh, dnorm_hh, dproducts,
    dy, dhn, w_hh, norm_hh, mask, zone_h, made, products, states, lengths, reverse, relu, eps, accumulate, stream=0,
):  # fmt: skip
    """Three launches a step: the gradients of what was made, a block for each sample, and a product; then products and
    sums over all steps."""
    steps, n, h = states.shape
    check_lengths(lengths, steps, stream)
    check_kept(norm_hh.size * states.size, min(products.size, dproducts.size))
    dtype = w_hh.dtype
    dh, dseen, dmade = kept(dh0, (n, h)), empty((n, h), dtype), empty((n, h), dtype)
    begin_with(dh, dhn, stream)
    begin_with(dseen, dseen[:0], stream)
    draw = dproducts if norm_hh.size else dgiven
    terms = empty(draw.shape if norm_hh.size else (0, 0, 0), dtype)
    around = [a.reshape(-1) for a in (dmade, dh, dseen, dy, zone_h, mask)]
    inside = [a.reshape(-1) for a in (dgiven, draw, terms, dmade, made, products)]
    for t in order_of(steps, not reverse):
        spread(unmix, n * h, stream, *around, lengths, t, n, h)
        launch(_unmake, n, THREADS, stream, *inside, norm_hh, lengths, t, n, h, relu, dtype.type(eps))
        plain_product(dseen, draw[t], w_hh, False, False, False, stream)
    spread(add_masked, n * h, stream, *around[1:3], around[5])
    plain_product(dw_hh, rows_of(draw), rows_of(states), True, False, accumulate, stream)
    add_rows(db_hh, db_hh[:0], rows_of(dgiven), accumulate, stream)
    if norm_hh.size:
        sum_terms([(dnorm_hh, h)], rows_of(terms), accumulate, stream)
