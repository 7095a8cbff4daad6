"""The LSTM with options. How a step goes, and what the options do: recurrent_options.py."""

from ..recurrent_checks import check_projection
from ..recurrent_option_checks import check_kept
from . import lstm_options_steps
from .recurrent import add_rows, begin_with, check_lengths, kept, order_of, plain_product, rows_of
from .recurrent_options import add_masked, begin, mix, sum_terms, unmix
from .target import THREADS, empty, kernel, launch, spread


@kernel
def lstm_options_forward(
    y, hn, cn, gates, products, states, cells, made,
    given, h0, c0, w_hh, b_hh, w_hr, norm_hh, norm_c, shift_c, peepholes, mask, zone_h, zone_c, lengths, reverse, eps,
    stream=0,
):  # fmt: skip
    """Three launches a step: a product, a block for each sample, and the new states; and one for a projection."""
    steps, n, p = y.shape
    h, dtype = cn.shape[1], y.dtype
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, steps, stream)
    seen, raw, new, full = (empty((n, width), dtype) for width in (p, 4 * h, h, h))
    out = empty((n, p), dtype) if w_hr.size else full
    begin(hn, seen, h0, mask, stream)
    begin_with(cn, c0, stream)
    inside = [a.reshape(-1) for a in (cn, new, full, gates, products, cells, made, raw, given)]
    options = b_hh, norm_hh, norm_c, shift_c, peepholes, zone_c.reshape(-1), lengths
    none = y.reshape(-1)[:0]
    mixed = [a.reshape(-1) for a in (y, hn, seen, states, none, out, zone_h, mask)]
    for t in order_of(steps, reverse):
        plain_product(raw, seen, w_hh, False, True, False, stream)
        launch(lstm_options_steps.make, n, THREADS, stream, *inside, *options, t, n, h, dtype.type(eps))
        if w_hr.size:
            plain_product(out, full, w_hr, False, True, False, stream)
        spread(mix, n * p, stream, *mixed, lengths, t, n, p)


@kernel
def lstm_options_backward(
    dgiven, dh0, dc0, dw_hh, db_hh, dw_hr, dnorm_hh, dnorm_c, dshift_c, dpeepholes, dproducts, dout,
    dy, dhn, dcn, w_hh, w_hr, norm_hh, norm_c, shift_c, peepholes, mask, zone_h, zone_c,
    gates, products, states, cells, made, lengths, reverse, eps, accumulate, stream=0,
):  # fmt: skip
    """Three launches a step: the gradients of what was made, a block for each sample, and a product, and one more for a
    projection; then products and sums over all steps."""
    steps, n, p = states.shape
    h, dtype = cells.shape[2], w_hh.dtype
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, steps, stream)
    check_kept(norm_hh.size * states.size, min(products.size, dproducts.size))
    check_kept(w_hr.size * states.size, min(made.size, dout.size))
    dh, dc = kept(dh0, (n, p)), kept(dc0, (n, h))
    begin_with(dh, dhn, stream)
    begin_with(dc, dcn, stream)
    dseen, dmade, dfull, new, dinner = (empty((n, width), dtype) for width in (p, p, h, h, h))
    begin_with(dseen, dseen[:0], stream)
    draw = dproducts if norm_hh.size else dgiven
    targets = (dnorm_hh, 4 * h), (dpeepholes, 3 * h), (dnorm_c, h), (dshift_c, h)
    has_terms = any(a.size for a in (norm_hh, norm_c, *(target for target, _ in targets)))
    terms = empty((steps, n, 9 * h) if has_terms else (0, 0, 0), dtype)
    around = [a.reshape(-1) for a in (dh, dseen, dy, zone_h, mask)]
    inside = [a.reshape(-1) for a in (dgiven, draw, terms, dc, new, dinner)]
    after = [a.reshape(-1) for a in (gates, products, cells)]
    options = norm_hh, norm_c, shift_c, peepholes, zone_c.reshape(-1), lengths
    for t in order_of(steps, not reverse):
        if w_hr.size:
            spread(unmix, n * p, stream, dout[t].reshape(-1), *around, lengths, t, n, p)
            plain_product(dfull, dout[t], w_hr, False, False, False, stream)
        else:
            spread(unmix, n * p, stream, dmade.reshape(-1), *around, lengths, t, n, p)
        given = (dfull if w_hr.size else dmade).reshape(-1)
        args = *inside, given, *after, *options, t, n, h, dtype.type(eps)
        launch(lstm_options_steps.unmake, n, THREADS, stream, *args)
        plain_product(dseen, draw[t], w_hh, False, False, False, stream)
    spread(add_masked, n * p, stream, *around[:2], around[4])
    plain_product(dw_hh, rows_of(draw), rows_of(states), True, False, accumulate, stream)
    if w_hr.size:
        plain_product(dw_hr, rows_of(dout), rows_of(made), True, False, accumulate, stream)
    add_rows(db_hh, db_hh[:0], rows_of(dgiven), accumulate, stream)
    if has_terms:
        sum_terms(targets, rows_of(terms), accumulate, stream)
