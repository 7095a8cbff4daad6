"""The simple recurrent network over whole sequences. How the time loop and the products lie: recurrent.py."""

from .. import recurrent_checks
from ..jit import compiled, kernel, parallel_for, scratch
from .pack import matrix
from .product import prepare_product, product
from .recurrent import (
    add,
    add_rows,
    add_shares,
    begin_with,
    block_steps,
    both_biases,
    chunk_rows,
    copy,
    deep_block_steps,
    fill,
    first_of_block,
    flat,
    gather,
    hand_over,
    input_gradient,
    input_products,
    lines,
    longest,
    padded,
    parts,
    room_for_shares,
    row,
    scatter,
    share,
    weight_gradient,
    weights,
)
from .vecmath import tanh

check_lengths = compiled(recurrent_checks.check_lengths)


@compiled
def _cell(z, relu):
    """The state from what it is given, in place."""
    if relu:
        for j in range(z.size):
            z[j] = z.dtype.type(0) if z[j] <= 0 else z[j]
    else:
        for j in range(z.size):
            z[j] = tanh(z[j])


@compiled
def _through_time(begin, end, y, hn, x, w_ih, w_hh, bias, lengths, reverse, relu, block, sizes):
    """All steps of samples begin .. end, whose state is in hn. Arrays are flat; sizes: T, N, D and H."""
    (count, n, d, h), samples = sizes, end - begin
    hn, rows = lines(hn, begin, samples, h), block * samples
    given, room, states, _, _, _ = parts(7, (rows * d, rows * h, samples * h, 0, 0, 0), hn)
    zero, most = hn.dtype.type(0), longest(lengths, begin, end, count)
    copy(states, hn)
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, reverse)
        gather(given, x, lengths, start, steps, begin, samples, n, d)
        # all samples: states are computed where they are kept
        block_z = lines(y, start * n, steps * n, h) if samples == n else room
        input_products(block_z, h, h, steps * samples, given, d, w_ih, bias)
        for step in range(steps):
            at = first_of_block(step, 1, steps, reverse)
            t, top = start + at, (start + at) * n + begin
            z = lines(block_z, at * samples, samples, h)
            if t < most:
                product(samples, h, h, matrix(states, h, samples, True), w_hh, z, h, True)
            if lengths.size == 0:
                _cell(z, relu)
                copy(states, z)
            else:
                for i in range(samples):
                    if t >= lengths[begin + i]:
                        fill(row(z, i, h), zero)
                    else:
                        _cell(row(z, i, h), relu)
                        copy(row(states, i, h), row(z, i, h))
            if samples != n:
                copy(lines(y, top, samples, h), z)
    copy(hn, states)


@kernel
def rnn_forward(y, hn, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, relu):
    """Chunks of samples in parallel, each through all steps: a product for the inputs of a block of steps, then step by
    step. States are computed on rows that the step's product has just left in cache."""
    count, n, h = y.shape
    d = x.shape[2]
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    if y.size == 0:
        return
    grain = chunk_rows(n, h * h)
    samples = min(n, grain)
    block = block_steps(count, samples, h)
    bias = both_biases(scratch(6, h, x), b_ih, b_hh)
    inputs = weights(5, w_ih, True, block * samples, count * n)
    states = weights(4, w_hh, True, samples, count * n)
    prepare_product(y)
    arguments = (flat(y), flat(hn), flat(x), inputs, states, bias, lengths, reverse, relu, block, (count, n, d, h))
    parallel_for(_through_time, n, grain, arguments)


@compiled
def _cell_grad(z, dstate, state, relu):
    """The gradient of what the state was given; dstate is used up."""
    one, zero = z.dtype.type(1), z.dtype.type(0)
    if relu:
        for j in range(z.size):
            z[j] = zero if state[j] <= 0 else dstate[j]
    else:
        for j in range(z.size):
            z[j] = dstate[j] * (one - state[j] * state[j])


@compiled
def _back_through_time(
    begin, end, grain, dx, dh0, grads, spare, totals, dy, dhn, x, h0, y, w_ih, w_hh, lengths, reverse, relu, accumulate,
    block, sizes,
):  # fmt: skip
    """All steps of samples begin .. end from the last to the first, and their part of the weights' gradients.

    Arrays are flat; sizes: T, N, D and H. grads: dw_ih, dw_hh. spare, totals: see room_for_shares.
    """
    (count, n, d, h), samples, chunk = sizes, end - begin, begin // grain
    ldz, rows = padded(h), block * samples
    dz, given, states, dh, _, _ = parts(7, (rows * ldz, rows * d, rows * h, samples * h, 0, 0), x)
    dw_ih, dw_hh = grads
    first = (chunk - 1) * (dw_ih.size + dw_hh.size)
    dw_ih, dw_hh = share(dw_ih, spare, first, chunk), share(dw_hh, spare, first + dw_ih.size, chunk)
    total, more = row(totals, chunk, h), accumulate and chunk == 0
    zero, most = x.dtype.type(0), longest(lengths, begin, end, count)
    begin_with(dh, lines(dhn, begin, samples, h))
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, not reverse)
        for step in range(steps):
            at = first_of_block(step, 1, steps, not reverse)
            t, top = start + at, at * samples
            earlier, dz_t = t + 1 if reverse else t - 1, dz[top * ldz :]
            for i in range(samples):
                sample, z, before = begin + i, dz_t[i * ldz :][:h], row(states, top + i, h)
                length = lengths[sample] if lengths.size else count
                if t >= length:
                    fill(z, zero)
                    fill(before, zero)
                    continue
                if earlier < 0 or earlier >= length:
                    begin_with(before, row(h0, sample, h))
                else:
                    copy(before, row(y, earlier * n + sample, h))
                add(row(dh, i, h), row(dy, t * n + sample, h))
                _cell_grad(z, row(dh, i, h), row(y, t * n + sample, h), relu)
                # the product adds to what is left here: nothing, but for samples whose last step is still to come
                fill(row(dh, i, h), zero)
            if t < most:
                product(samples, h, h, matrix(dz_t, ldz, samples, True), w_hh, dh, h, True)
        rows = steps * samples
        gather(given, x, lengths, start, steps, begin, samples, n, d)
        weight_gradient(dw_ih, h, dz, ldz, rows, given, d, more)
        weight_gradient(dw_hh, h, dz, ldz, rows, states, h, more)
        add_rows(total, dz, ldz, rows)
        if dx.size:
            input_gradient(given, dz, ldz, h, rows, d, w_ih)
            scatter(dx, given, start, steps, begin, samples, n, d)
        more = True
    copy(lines(dh0, begin, samples, h), dh)


@kernel
def rnn_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, lengths, reverse, relu, accumulate
):
    """Chunks of samples in parallel, each back through all steps: step by step, then products of all rows of a block
    of dz, which has stayed in cache. Each chunk adds up gradients of weights by itself; then they are added."""
    count, n, h = y.shape
    d = x.shape[2]
    check_lengths(lengths, count)
    grain, grads = chunk_rows(n, h * h), (flat(dw_ih), flat(dw_hh))
    samples, chunks = min(n, grain), max(1, (n + grain - 1) // grain)
    block = deep_block_steps(count, samples, h)
    totals, spare = room_for_shares(chunks, h, grads, count * n, accumulate)
    states = weights(4, w_hh, False, samples, count * n)
    inputs = weights(5, w_ih, False, block * samples, count * n)
    prepare_product(y)
    outputs = (flat(dx), flat(dh0), grads, spare, totals, flat(dy), flat(dhn))
    inputs = (flat(x), flat(h0), flat(y), inputs, states, lengths, reverse, relu)
    parallel_for(_back_through_time, n, grain, (grain, *outputs, *inputs, accumulate, block, (count, n, d, h)))
    add_shares(grads, spare, totals, chunks)
    hand_over(db_ih, totals, accumulate)
    hand_over(db_hh, totals, accumulate)
