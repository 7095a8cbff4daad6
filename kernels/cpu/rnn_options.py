"""The simple recurrent network with options. How the time loop lies, and what the options do: recurrent_options.py."""

from ..jit import compiled, kernel, parallel_for, scratch
from .pack import matrix
from .product import prepare_product, product
from .recurrent import add, begin_with, chunk_rows, copy, fill, flat, hand_over, lines, row, weights
from .recurrent_options import (
    add_masked,
    add_normalised,
    add_up,
    check_kept,
    check_lengths,
    masked,
    mix,
    mix_grad,
    normalised_grad,
    store,
    tanhs,
)


@compiled
def _through_time(begin, end, y, hn, kept, given, w_hh, options, lengths, reverse, relu, eps, sizes):
    """All steps of samples begin .. end; hn is their state all the way. Arrays are flat; sizes: T, N and H."""
    (made, products, states), (b_hh, norm_hh, mask, zone_h) = kept, options
    (count, n, h), samples = sizes, end - begin
    space = scratch(7, 2 * samples * h + h, y)
    seen, product_, z = space[: samples * h], space[samples * h : 2 * samples * h], space[2 * samples * h :]
    for step in range(count):
        t = count - 1 - step if reverse else step
        for i in range(samples):
            masked(row(seen, i, h), row(hn, begin + i, h), row(mask, begin + i, h))
        product(samples, h, h, matrix(seen, h, samples, True), w_hh, product_, h, False)
        for i in range(samples):
            at, state, raw = t * n + begin + i, row(hn, begin + i, h), row(product_, i, h)
            active = lengths.size == 0 or t < lengths[begin + i]
            if active:
                copy(z, row(given, at, h))
                add_normalised(z, raw, norm_hh, eps)
                add(z, b_hh)
                if relu:
                    for j in range(z.size):
                        z[j] = z.dtype.type(0) if z[j] <= 0 else z[j]
                else:
                    tanhs(z)
                mix(state, z, row(zone_h, at, h))
            store(row(y, at, h), state, active)
            store(row(made, at, h), z, active)
            store(row(products, at, h), raw, active)
            store(row(states, at, h), row(seen, i, h), active)


@kernel
def rnn_options_forward(
    y, hn, made, products, states, given, h0, w_hh, b_hh, norm_hh, mask, zone_h, lengths, reverse, relu, eps
):
    """Chunks of samples in parallel, each through all steps: a product, then row by row what follows from it."""
    count, n, h = y.shape
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    grain = chunk_rows(n, h * h)
    w = weights(4, w_hh, True, min(n, grain), count * n)
    kept, options = (flat(made), flat(products), flat(states)), (b_hh, norm_hh, flat(mask), flat(zone_h))
    prepare_product(y)
    arguments = (flat(y), flat(hn), kept, flat(given), w, options, lengths, reverse, relu, eps, y.shape)
    parallel_for(_through_time, n, grain, arguments)


@compiled
def _back_through_time(
    begin, end, dgiven, dproducts, dh, sums, dy, kept, w_hh, options, lengths, reverse, relu, eps, grain, sizes
):
    """All steps of samples begin .. end from the last to the first; dh is their gradient all the way.

    sums: of each chunk, the gradients of b_hh and norm_hh. Arrays are flat; sizes: T, N and H.
    """
    (made, products), (norm_hh, mask, zone_h) = kept, options
    (count, n, h), samples = sizes, end - begin
    mine, space = row(sums, begin // grain, 2 * h), scratch(7, samples * h + h, dh)
    dseen, d = space[: samples * h], space[samples * h :]
    one, zero = dh.dtype.type(1), dh.dtype.type(0)
    for step in range(count):
        t = step if reverse else count - 1 - step
        for i in range(samples):
            at, dstate = t * n + begin + i, row(dh, begin + i, h)
            dz, draw, new = row(dgiven, at, h), row(dproducts, at, h), row(made, at, h)
            if lengths.size and t >= lengths[begin + i]:
                fill(dz, zero)
                fill(draw, zero)
                continue
            add(dstate, row(dy, at, h))
            mix_grad(d, dstate, row(zone_h, at, h))
            if relu:
                for j in range(dz.size):
                    dz[j] = zero if new[j] <= 0 else d[j]
            else:
                for j in range(dz.size):
                    dz[j] = d[j] * (one - new[j] * new[j])
            add(mine[:h], dz)
            normalised_grad(draw, mine[h:], dz, row(products, at, h), norm_hh, eps)
        left = lines(dproducts if norm_hh.size else dgiven, t * n + begin, samples, h)
        product(samples, h, h, matrix(left, h, samples, True), w_hh, dseen, h, False)
        for i in range(samples):
            add_masked(row(dh, begin + i, h), row(dseen, i, h), row(mask, begin + i, h))


@kernel
def rnn_options_backward(
    dgiven, dh0, dw_hh, db_hh, dnorm_hh, dproducts,
    dy, dhn, w_hh, norm_hh, mask, zone_h, made, products, states, lengths, reverse, relu, eps, accumulate,
):  # fmt: skip
    """Chunks of samples in parallel, each back through all steps; then one product of all rows."""
    count, n, h = states.shape
    check_lengths(lengths, count)
    check_kept(norm_hh.size * states.size, min(products.size, dproducts.size))
    grain = chunk_rows(n, h * h)
    space = scratch(5, (max(1, (n + grain - 1) // grain) * 2 + n) * h, w_hh)
    dh, sums = (flat(dh0) if dh0.size else space[: n * h]), space[n * h :]
    begin_with(dh, flat(dhn))
    fill(sums, w_hh.dtype.type(0))
    w = weights(4, w_hh, False, min(n, grain), count * n)
    kept, options = (flat(made), flat(products)), (norm_hh, flat(mask), flat(zone_h))
    prepare_product(w_hh)
    arguments = (flat(dgiven), flat(dproducts), dh, sums, flat(dy), kept, w, options, lengths, reverse, relu, eps)
    parallel_for(_back_through_time, n, grain, (*arguments, grain, states.shape))
    if dw_hh.size:
        left = matrix(flat(dproducts if norm_hh.size else dgiven), h, h, False)
        product(h, h, count * n, left, matrix(flat(states), h, h, False), flat(dw_hh), h, accumulate)
    add_up(sums, 2 * h)
    hand_over(db_hh, sums, accumulate)
    hand_over(dnorm_hh, sums[h:], accumulate)
