"""The LSTM with options. How the time loop lies, and what the options do: recurrent_options.py."""

from ..jit import compiled, kernel, parallel_for
from .pack import matrix
from .product import prepare_product, product
from .recurrent import add, begin_with, chunk_rows, copy, fill, flat, hand_over, lines, parts, row, weights
from .recurrent_options import (
    add_masked,
    add_normalised,
    add_up,
    check_kept,
    check_lengths,
    check_projection,
    masked,
    mix,
    mix_grad,
    multiply_add,
    normalised_grad,
    sigmoids,
    store,
    tanhs,
)


@compiled
def _next_cell(new, gates, cell, h):
    i, f, g = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h]
    for j in range(new.size):
        new[j] = f[j] * cell[j] + i[j] * g[j]


@compiled
def _squashed(out, new, norm_c, shift_c, eps):
    """tanh of the cell, which may be normalised."""
    begin_with(out, shift_c)
    add_normalised(out, new, norm_c, eps)
    tanhs(out)


@compiled
def _cell(z, cell, new, made, norm_c, shift_c, peepholes, h, eps):
    """One sample's step: gates from what they are given, in place; the cell to be, and what becomes the state."""
    if peepholes.size:
        multiply_add(z[:h], peepholes[:h], cell)
        multiply_add(z[h : 2 * h], peepholes[h : 2 * h], cell)
    sigmoids(z[: 2 * h])
    tanhs(z[2 * h : 3 * h])
    _next_cell(new, z, cell, h)
    if peepholes.size:
        multiply_add(z[3 * h :], peepholes[2 * h :], new)
    sigmoids(z[3 * h :])
    _squashed(made, new, norm_c, shift_c, eps)
    o = z[3 * h :]
    for j in range(made.size):
        made[j] *= o[j]


@compiled
def _through_time(begin, end, y, hn, cn, kept, given, w_hh, w_hr, options, lengths, reverse, eps, sizes):
    """All steps of samples begin .. end; hn and cn are their states all the way. Arrays are flat; sizes: T, N, H, P."""
    gates, products, states, cells, made = kept
    b_hh, norm_hh, norm_c, shift_c, peepholes, mask, zone_h, zone_c = options
    (count, n, h, p), samples = sizes, end - begin
    used = samples * p, samples * p, samples * 4 * h, samples * h, 4 * h, h
    seen, projected, raws, fulls, z, new = parts(7, used, y)
    for step in range(count):
        t = count - 1 - step if reverse else step
        for i in range(samples):
            masked(row(seen, i, p), row(hn, begin + i, p), row(mask, begin + i, p))
        product(samples, 4 * h, p, matrix(seen, p, samples, True), w_hh, raws, 4 * h, False)
        for i in range(samples):
            at, cell, raw, full = t * n + begin + i, row(cn, begin + i, h), row(raws, i, 4 * h), row(fulls, i, h)
            active = lengths.size == 0 or t < lengths[begin + i]
            store(row(cells, at, h), cell, active)
            if active:
                copy(z, row(given, at, 4 * h))
                add_normalised(z, raw, norm_hh, eps)
                add(z, b_hh)
                _cell(z, cell, new, full, norm_c, shift_c, peepholes, h, eps)
                mix(cell, new, row(zone_c, at, h))
            else:
                fill(full, full.dtype.type(0))
            store(row(gates, at, 4 * h), z, active)
            store(row(products, at, 4 * h), raw, active)
            store(row(states, at, p), row(seen, i, p), active)
            store(row(made, at, h), full, active)
        if w_hr.lines:
            product(samples, p, h, matrix(fulls, h, samples, True), w_hr, projected, p, False)
        for i in range(samples):
            at, state = t * n + begin + i, row(hn, begin + i, p)
            active = lengths.size == 0 or t < lengths[begin + i]
            if active:
                mix(state, row(projected if w_hr.lines else fulls, i, p), row(zone_h, at, p))
            store(row(y, at, p), state, active)


@kernel
def lstm_options_forward(
    y, hn, cn, gates, products, states, cells, made,
    given, h0, c0, w_hh, b_hh, w_hr, norm_hh, norm_c, shift_c, peepholes, mask, zone_h, zone_c, lengths, reverse, eps,
):  # fmt: skip
    """Chunks of samples in parallel, each through all steps: a product, row by row what follows from it, and the
    projection."""
    count, n, p = y.shape
    h = cn.shape[1]
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    begin_with(flat(cn), flat(c0))
    grain = chunk_rows(n, 4 * h * p)
    w = weights(4, w_hh, True, min(n, grain), count * n)
    # not packed: what is used with one option only is not worth compiling for all
    projection = matrix(flat(w_hr), h, p if w_hr.size else 0, True)
    kept = flat(gates), flat(products), flat(states), flat(cells), flat(made)
    options = b_hh, norm_hh, norm_c, shift_c, peepholes, flat(mask), flat(zone_h), flat(zone_c)
    prepare_product(y)
    arguments = (flat(y), flat(hn), flat(cn), kept, flat(given), w, projection, options, lengths, reverse, eps)
    parallel_for(_through_time, n, grain, (*arguments, (count, n, h, p)))


@compiled
def _cell_grad(dz, dcell, sums, dmade, gates, cell, peepholes, zone, norms, space, h, eps):
    """One sample's step backwards: dz of its gates; dcell becomes that of the cell it began with.

    sums: the gradients of peepholes, norm_c and shift_c, which are added to.
    """
    i, f, g, o = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    di, df, dg, do = dz[:h], dz[h : 2 * h], dz[2 * h : 3 * h], dz[3 * h :]
    norm_c, shift_c = norms
    new, squashed, dnew, dinner = space[:h], space[h : 2 * h], space[2 * h : 3 * h], space[3 * h :]
    one = cell.dtype.type(1)
    _next_cell(new, gates, cell, h)
    _squashed(squashed, new, norm_c, shift_c, eps)
    for j in range(do.size):
        do[j] = dmade[j] * squashed[j] * o[j] * (one - o[j])
        dinner[j] = dmade[j] * o[j] * (one - squashed[j] * squashed[j])
    add(sums[4 * h :], dinner)
    normalised_grad(squashed, sums[3 * h : 4 * h], dinner, new, norm_c, eps)
    mix_grad(dnew, dcell, zone)
    add(dnew, squashed)
    if peepholes.size:
        multiply_add(dnew, do, peepholes[2 * h :])
        multiply_add(sums[2 * h : 3 * h], do, new)
    for j in range(di.size):
        di[j] = dnew[j] * g[j] * i[j] * (one - i[j])
        df[j] = dnew[j] * cell[j] * f[j] * (one - f[j])
        dg[j] = dnew[j] * i[j] * (one - g[j] * g[j])
        dcell[j] += dnew[j] * f[j]
    if peepholes.size:
        multiply_add(dcell, di, peepholes[:h])
        multiply_add(dcell, df, peepholes[h : 2 * h])
        multiply_add(sums[:h], di, cell)
        multiply_add(sums[h : 2 * h], df, cell)


@compiled
def _back_through_time(
    begin, end, dgiven, dproducts, douts, dh, dc, sums, dy, kept, w_hh, w_hr, options, lengths, reverse, eps, grain,
    sizes,
):  # fmt: skip
    """All steps of samples begin .. end from the last to the first; dh and dc are their gradients all the way.

    sums: of each chunk, the gradients of b_hh, norm_hh, peepholes, norm_c and shift_c. Arrays are flat; sizes: T, N, H
    and P.
    """
    gates, products, cells = kept
    norm_hh, norm_c, shift_c, peepholes, mask, zone_h, zone_c = options
    (count, n, h, p), samples = sizes, end - begin
    mine, zero = row(sums, begin // grain, 13 * h), dh.dtype.type(0)
    dout, dfull, dseen, space, _, _ = parts(7, (samples * p, samples * h, samples * p, 4 * h, 0, 0), dh)
    for step in range(count):
        t = step if reverse else count - 1 - step
        for i in range(samples):
            at, dstate, dmade = t * n + begin + i, row(dh, begin + i, p), row(dout, i, p)
            if lengths.size and t >= lengths[begin + i]:
                fill(dmade, zero)
            else:
                add(dstate, row(dy, at, p))
                mix_grad(dmade, dstate, row(zone_h, at, p))
            copy(row(douts, at, p), dmade)
        if w_hr.lines:
            product(samples, h, p, matrix(dout, p, samples, True), w_hr, dfull, h, False)
        for i in range(samples):
            at = t * n + begin + i
            dz, draw = row(dgiven, at, 4 * h), row(dproducts, at, 4 * h)
            if lengths.size and t >= lengths[begin + i]:
                fill(dz, zero)
                fill(draw, zero)
                continue
            dmade, gate, cell = row(dfull if w_hr.lines else dout, i, h), row(gates, at, 4 * h), row(cells, at, h)
            others, dcell, zone = mine[8 * h :], row(dc, begin + i, h), row(zone_c, at, h)
            _cell_grad(dz, dcell, others, dmade, gate, cell, peepholes, zone, (norm_c, shift_c), space, h, eps)
            add(mine[: 4 * h], dz)
            normalised_grad(draw, mine[4 * h : 8 * h], dz, row(products, at, 4 * h), norm_hh, eps)
        left = lines(dproducts if norm_hh.size else dgiven, t * n + begin, samples, 4 * h)
        product(samples, p, 4 * h, matrix(left, 4 * h, samples, True), w_hh, dseen, p, False)
        for i in range(samples):
            add_masked(row(dh, begin + i, p), row(dseen, i, p), row(mask, begin + i, p))


@kernel
def lstm_options_backward(
    dgiven, dh0, dc0, dw_hh, db_hh, dw_hr, dnorm_hh, dnorm_c, dshift_c, dpeepholes, dproducts, dout,
    dy, dhn, dcn, w_hh, w_hr, norm_hh, norm_c, shift_c, peepholes, mask, zone_h, zone_c,
    gates, products, states, cells, made, lengths, reverse, eps, accumulate,
):  # fmt: skip
    """Chunks of samples in parallel, each back through all steps; then products of all rows."""
    count, n, p = states.shape
    h, rows = cells.shape[2], count * n
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, count)
    check_kept(norm_hh.size * states.size, min(products.size, dproducts.size))
    check_kept(w_hr.size * states.size, min(made.size, dout.size))
    grain = chunk_rows(n, 4 * h * p)
    sizes = n * p, n * h, max(1, (n + grain - 1) // grain) * 13 * h, 0, 0, 0
    dh, dc, sums, _, _, _ = parts(5, sizes, w_hh)
    dh, dc = flat(dh0) if dh0.size else dh, flat(dc0) if dc0.size else dc
    begin_with(dh, flat(dhn))
    begin_with(dc, flat(dcn))
    fill(sums, w_hh.dtype.type(0))
    w, projection = weights(4, w_hh, False, min(n, grain), rows), matrix(flat(w_hr), h, h if w_hr.size else 0, False)
    kept = flat(gates), flat(products), flat(cells)
    options = norm_hh, norm_c, shift_c, peepholes, flat(mask), flat(zone_h), flat(zone_c)
    prepare_product(w_hh)
    arguments = (flat(dgiven), flat(dproducts), flat(dout), dh, dc, sums, flat(dy), kept, w, projection, options)
    parallel_for(_back_through_time, n, grain, (*arguments, lengths, reverse, eps, grain, (count, n, h, p)))
    if dw_hh.size:
        left = matrix(flat(dproducts if norm_hh.size else dgiven), 4 * h, 4 * h, False)
        product(4 * h, p, rows, left, matrix(flat(states), p, p, False), flat(dw_hh), p, accumulate)
    if dw_hr.size:
        left, right = matrix(flat(dout), p, p, False), matrix(flat(made), h, h, False)
        product(p, h, rows, left, right, flat(dw_hr), h, accumulate)
    add_up(sums, 13 * h)
    hand_over(db_hh, sums, accumulate)
    hand_over(dnorm_hh, sums[4 * h :], accumulate)
    hand_over(dpeepholes, sums[8 * h :], accumulate)
    hand_over(dnorm_c, sums[11 * h :], accumulate)
    hand_over(dshift_c, sums[12 * h :], accumulate)
