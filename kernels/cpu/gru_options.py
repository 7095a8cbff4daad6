"""The GRU with options. How the time loop lies, and what the options do: recurrent_options.py."""

from ..jit import compiled, kernel, parallel_for, scratch
from .pack import matrix
from .product import prepare_product, product
from .recurrent import add, begin_with, chunk_rows, copy, fill, flat, hand_over, lines, parts, row, weights
from .recurrent_options import (
    add_masked,
    add_normalised,
    add_up,
    check_kept,
    check_lengths,
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
def _reset(gate, given, raw, seen, b_hh, norm_hh, h, reset_after, eps):
    """r and z, and, if they meet now, r * the state beside them; n begins with what the input gives it."""
    rz, r, a = gate[: 2 * h], gate[:h], gate[3 * h :]
    copy(gate[: 3 * h], given)
    add_normalised(rz, raw[: 2 * h], norm_hh[: 2 * h], eps)
    add(rz, b_hh[: 2 * h])
    sigmoids(rz)
    fill(a, a.dtype.type(0))
    if not reset_after:
        multiply_add(a, r, seen)


@compiled
def _cell(gate, raw, made, state, b_hh, norm_hh, h, reset_after, eps):
    """n, and the new state; gate as _reset left it."""
    r, z, n, a = gate[:h], gate[h : 2 * h], gate[2 * h : 3 * h], gate[3 * h :]
    inner, one = a if reset_after else n, state.dtype.type(1)
    add_normalised(inner, raw[2 * h :], norm_hh[2 * h :], eps)
    add(inner, b_hh[2 * h :])
    if reset_after:
        multiply_add(n, r, a)
    tanhs(n)
    for j in range(made.size):
        made[j] = (one - z[j]) * n[j] + z[j] * state[j]


@compiled
def _through_time(begin, end, y, hn, kept, given, w_rz, w_n, options, lengths, reverse, reset_after, eps, sizes):
    """All steps of samples begin .. end; hn is their state all the way. Arrays are flat; sizes: T, N and H."""
    gates, products, states, before = kept
    b_hh, norm_hh, mask, zone_h = options
    (count, n, h), samples, zero = sizes, end - begin, y.dtype.type(0)
    seen, raws, work, made, _, _ = parts(7, (samples * h, samples * 3 * h, samples * 4 * h, h, 0, 0), y)
    state_seen = matrix(seen, h, samples, True)
    left = state_seen if reset_after else matrix(work[3 * h :], 4 * h, samples, True)
    for step in range(count):
        t = count - 1 - step if reverse else step
        for i in range(samples):
            masked(row(seen, i, h), row(hn, begin + i, h), row(mask, begin + i, h))
        product(samples, 2 * h, h, state_seen, w_rz, raws, 3 * h, False)
        for i in range(samples):
            gate, raw = row(work, i, 4 * h), row(raws, i, 3 * h)
            if lengths.size and t >= lengths[begin + i]:
                fill(gate, zero)
            else:
                first = row(given, t * n + begin + i, 3 * h)
                _reset(gate, first, raw, row(seen, i, h), b_hh, norm_hh, h, reset_after, eps)
        product(samples, h, h, left, w_n, raws[2 * h :], 3 * h, False)
        for i in range(samples):
            at, gate, raw, state = t * n + begin + i, row(work, i, 4 * h), row(raws, i, 3 * h), row(hn, begin + i, h)
            active = lengths.size == 0 or t < lengths[begin + i]
            store(row(before, at, h), state, active)
            if active:
                _cell(gate, raw, made, state, b_hh, norm_hh, h, reset_after, eps)
                mix(state, made, row(zone_h, at, h))
            store(row(y, at, h), state, active)
            store(row(gates, at, 4 * h), gate, active)
            store(row(products, at, 3 * h), raw, active)
            store(row(states, at, h), row(seen, i, h), active)


@kernel
def gru_options_forward(
    y, hn, gates, products, states, before,
    given, h0, w_hh, b_hh, norm_hh, mask, zone_h, lengths, reverse, reset_after, eps,
):  # fmt: skip
    """Chunks of samples in parallel, each through all steps: the product for r and z, these row by row, then the same
    for n."""
    count, n, h = y.shape
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    grain = chunk_rows(n, 3 * h * h)
    w_rz = weights(4, w_hh[: 2 * h], True, min(n, grain), count * n)
    w_n = weights(3, w_hh[2 * h :], True, min(n, grain), count * n)
    kept, options = (flat(gates), flat(products), flat(states), flat(before)), (b_hh, norm_hh, flat(mask), flat(zone_h))
    prepare_product(y)
    arguments = (flat(y), flat(hn), kept, flat(given), w_rz, w_n, options, lengths, reverse, reset_after, eps, y.shape)
    parallel_for(_through_time, n, grain, arguments)


@compiled
def _cell_grad(dz, draw, sums, d, dstate, gate, raw, state, norm_hh, h, reset_after, eps):
    """From d, the gradient of the new state: dz of z and n, draw of n's product; and of r, where it came after that.

    d is used up; dstate has added to it what goes straight to the old state.
    """
    r, z, n, a = gate[:h], gate[h : 2 * h], gate[2 * h : 3 * h], gate[3 * h :]
    dr, du, dn, one = dz[:h], dz[h : 2 * h], dz[2 * h :], state.dtype.type(1)
    for j in range(d.size):
        dstate[j] += d[j] * z[j]
        du[j] = d[j] * (state[j] - n[j]) * z[j] * (one - z[j])
        dn[j] = d[j] * (one - z[j]) * (one - n[j] * n[j])
        dr[j] = dn[j] * a[j] * r[j] * (one - r[j])
        d[j] = dn[j] * r[j] if reset_after else dn[j]
    add(sums[2 * h : 3 * h], d)
    normalised_grad(draw[2 * h :], sums[5 * h :], d, raw[2 * h :], norm_hh[2 * h :], eps)


@compiled
def _reset_grad(dz, draw, sums, dseen, gate, raw, seen, norm_hh, h, reset_after, eps):
    """draw of the product for r and z. Where r came before n's product, dseen is that of r * seen: handed to both."""
    dr, r, one = dz[:h], gate[:h], seen.dtype.type(1)
    if not reset_after:
        for j in range(dr.size):
            dr[j] = dseen[j] * seen[j] * r[j] * (one - r[j])
            dseen[j] *= r[j]
    add(sums[: 2 * h], dz[: 2 * h])
    normalised_grad(draw[: 2 * h], sums[3 * h : 5 * h], dz[: 2 * h], raw[: 2 * h], norm_hh[: 2 * h], eps)


@compiled
def _back_through_time(
    begin, end, dgiven, dproducts, dh, sums, dy, kept, w_rz, w_n, options, lengths, reverse, reset_after, eps, grain,
    sizes,
):  # fmt: skip
    """All steps of samples begin .. end from the last to the first; dh is their gradient all the way.

    sums: of each chunk, the gradients of b_hh and norm_hh. Arrays are flat; sizes: T, N and H.
    """
    gates, products, states, before = kept
    norm_hh, mask, zone_h = options
    (count, n, h), samples = sizes, end - begin
    mine, space = row(sums, begin // grain, 6 * h), scratch(7, samples * h + h, dh)
    dseen, d, zero = space[: samples * h], space[samples * h :], dh.dtype.type(0)
    for step in range(count):
        t = step if reverse else count - 1 - step
        # twice over the samples, around the product for n
        for turn in range(2):
            for i in range(samples):
                at, dstate, state = t * n + begin + i, row(dh, begin + i, h), row(states, t * n + begin + i, h)
                dz, draw = row(dgiven, at, 3 * h), row(dproducts, at, 3 * h)
                gate, raw = row(gates, at, 4 * h), row(products, at, 3 * h)
                if lengths.size and t >= lengths[begin + i]:
                    fill(dz, zero)
                    fill(draw, zero)
                elif turn == 0:
                    add(dstate, row(dy, at, h))
                    mix_grad(d, dstate, row(zone_h, at, h))
                    old = row(before, at, h) if mask.size else state
                    _cell_grad(dz, draw, mine, d, dstate, gate, raw, old, norm_hh, h, reset_after, eps)
                else:
                    _reset_grad(dz, draw, mine, row(dseen, i, h), gate, raw, state, norm_hh, h, reset_after, eps)
            # in turn the gradient of n's product, and of that of r and z
            draws, width = lines(dproducts, t * n + begin, samples, 3 * h), h if turn == 0 else 2 * h
            left, w = (draws[2 * h :], w_n) if turn == 0 else (draws, w_rz)
            product(samples, h, width, matrix(left, 3 * h, samples, True), w, dseen, h, turn == 1)
        for i in range(samples):
            add_masked(row(dh, begin + i, h), row(dseen, i, h), row(mask, begin + i, h))


@kernel
def gru_options_backward(
    dgiven, dh0, dw_hh, db_hh, dnorm_hh, dproducts,
    dy, dhn, w_hh, norm_hh, mask, zone_h, gates, products, states, before,
    lengths, reverse, reset_after, eps, accumulate,
):  # fmt: skip
    """Chunks of samples in parallel, each back through all steps; then products of all rows."""
    count, n, h = states.shape
    check_lengths(lengths, count)
    check_kept(norm_hh.size * states.size, products.size)
    check_kept(mask.size * states.size, before.size)
    grain = chunk_rows(n, 3 * h * h)
    dh, sums, _, _, _, _ = parts(6, (n * h, max(1, (n + grain - 1) // grain) * 6 * h, 0, 0, 0, 0), w_hh)
    dh = flat(dh0) if dh0.size else dh
    begin_with(dh, flat(dhn))
    fill(sums, w_hh.dtype.type(0))
    w_rz = weights(4, w_hh[: 2 * h], False, min(n, grain), count * n)
    w_n = weights(3, w_hh[2 * h :], False, min(n, grain), count * n)
    kept, options = (flat(gates), flat(products), flat(states), flat(before)), (norm_hh, flat(mask), flat(zone_h))
    prepare_product(w_hh)
    arguments = (flat(dgiven), flat(dproducts), dh, sums, flat(dy), kept, w_rz, w_n, options, lengths, reverse)
    parallel_for(_back_through_time, n, grain, (*arguments, reset_after, eps, grain, states.shape))
    if dw_hh.size:
        draws, width = flat(dproducts), h if reset_after else 4 * h
        seen, others = flat(states), flat(states) if reset_after else flat(gates)[3 * h :]
        left, right = matrix(draws, 3 * h, 2 * h, False), matrix(seen, h, h, False)
        product(2 * h, h, count * n, left, right, flat(dw_hh), h, accumulate)
        left, right = matrix(draws[2 * h :], 3 * h, h, False), matrix(others, width, h, False)
        product(h, h, count * n, left, right, flat(dw_hh)[2 * h * h :], h, accumulate)
    add_up(sums, 6 * h)
    hand_over(db_hh, sums, accumulate)
    hand_over(dnorm_hh, sums[3 * h :], accumulate)
