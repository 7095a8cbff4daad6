"""The GRU with options. How a step goes, and what the options do: recurrent_options.py.

A step has two products, for r and z and for n, with the reset between them or not.
"""

from ..recurrent_option_checks import check_kept
from . import gru_options_steps as device_steps
from .gru_steps import last_of_four
from .recurrent import begin_with, check_lengths, kept, order_of, plain_product, rows_of
from .recurrent_options import add_masked, begin, mix, sum_terms, unmix
from .target import THREADS, empty, kernel, launch, spread


@kernel
def gru_options_forward(
    y, hn, gates, products, states, before,
    given, h0, w_hh, b_hh, norm_hh, mask, zone_h, lengths, reverse, reset_after, eps, stream=0,
):  # fmt: skip
    """Five launches a step: two products, a block for each sample after each of them, and the new states."""
    steps, n, h = y.shape
    dtype = y.dtype
    check_lengths(lengths, steps, stream)
    seen, raw_rz, raw_n, rz, left, out = (empty((n, width * h), dtype) for width in (1, 2, 1, 2, 1, 1))
    begin(hn, seen, h0, mask, stream)
    w_rz, w_n = w_hh[: 2 * h], w_hh[2 * h :]
    first = [a.reshape(-1) for a in (rz, left, products, raw_rz, given, seen)]
    second = [a.reshape(-1) for a in (out, gates, products, raw_n, given, rz, left, hn)]
    mixed = [a.reshape(-1) for a in (y, hn, seen, states, before, out, zone_h, mask)]
    for t in order_of(steps, reverse):
        plain_product(raw_rz, seen, w_rz, False, True, False, stream)
        args = *first, b_hh, norm_hh, lengths, t, n, h, dtype.type(eps)
        launch(device_steps.make_reset, n, THREADS, stream, *args)
        plain_product(raw_n, seen if reset_after else left, w_n, False, True, False, stream)
        args = *second, b_hh, norm_hh, lengths, t, n, h, reset_after, dtype.type(eps)
        launch(device_steps.make, n, THREADS, stream, *args)
        spread(mix, n * h, stream, *mixed, lengths, t, n, h)


@kernel
def gru_options_backward(
    dgiven, dh0, dw_hh, db_hh, dnorm_hh, dproducts,
    dy, dhn, w_hh, norm_hh, mask, zone_h, gates, products, states, before,
    lengths, reverse, reset_after, eps, accumulate, stream=0,
):  # fmt: skip
    """Five launches a step: the gradients of what was made, a block for each sample before each of the two products;
    then products and sums over all steps."""
    steps, n, h = states.shape
    dtype = w_hh.dtype
    check_lengths(lengths, steps, stream)
    check_kept(norm_hh.size * states.size, products.size)
    check_kept(mask.size * states.size, before.size)
    dh = kept(dh0, (n, h))
    begin_with(dh, dhn, stream)
    dseen, dmade, dinner, drz = (empty((n, width * h), dtype) for width in (1, 1, 1, 2))
    begin_with(dseen, dseen[:0], stream)
    first, second, terms = (empty((steps, n, width * h), dtype) for width in (2, 1, 6))
    w_rz, w_n = w_hh[: 2 * h], w_hh[2 * h :]
    around = [a.reshape(-1) for a in (dmade, dh, dseen, dy, zone_h, mask)]
    began = before if mask.size else states
    inside = [a.reshape(-1) for a in (dgiven, second, terms, dinner, dh, dmade, gates, products, began)]
    later = [a.reshape(-1) for a in (dgiven, first, terms, drz, dseen, gates, products, states)]
    for t in order_of(steps, not reverse):
        sizes = norm_hh, lengths, t, n, h, reset_after, dtype.type(eps)
        spread(unmix, n * h, stream, *around, lengths, t, n, h)
        launch(device_steps.unmake, n, THREADS, stream, *inside, *sizes)
        plain_product(dseen, second[t], w_n, False, False, False, stream)
        launch(device_steps.unmake_reset, n, THREADS, stream, *later, *sizes)
        plain_product(dseen, first[t], w_rz, False, False, True, stream)
    spread(add_masked, n * h, stream, *around[1:3], around[5])
    if dw_hh.size:
        given = states
        if not reset_after:
            given = empty(states.shape, dtype)
            spread(last_of_four, given.size, stream, given.reshape(-1), gates.reshape(-1), h)
        plain_product(dw_hh[: 2 * h], rows_of(first), rows_of(states), True, False, accumulate, stream)
        plain_product(dw_hh[2 * h :], rows_of(second), rows_of(given), True, False, accumulate, stream)
    sum_terms([(db_hh, 3 * h), (dnorm_hh, 3 * h)], rows_of(terms), accumulate, stream)
