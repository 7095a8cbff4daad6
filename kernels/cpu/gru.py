"""The GRU over whole sequences, in either form of its reset. How the time loop and the products lie: recurrent.py."""

from .. import recurrent_checks
from ..jit import compiled, kernel, parallel_for, scratch
from .pack import matrix
from .product import activated_product, prepare_product, product
from .recurrent import (
    add,
    add_rows,
    add_shares,
    begin_with,
    block_steps,
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
from .vecmath import sigmoid, tanh

check_lengths = compiled(recurrent_checks.check_lengths)


@compiled
def _reset(gates, state, h):
    """r and z from what they are given, in place, and r * h beside them."""
    rz, r, a = gates[: 2 * h], gates[:h], gates[3 * h :]
    for j in range(rz.size):
        rz[j] = sigmoid(rz[j])
    for j in range(r.size):
        a[j] = r[j] * state[j]


@compiled
def _cell(gates, state, h, reset_after):
    """One sample's step: gates from what they are given, in place; the state."""
    r, z, n, a = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    if reset_after:
        for j in range(state.size):
            r[j] = sigmoid(r[j])
            z[j] = sigmoid(z[j])
            n[j] = tanh(n[j] + r[j] * a[j])
            state[j] = n[j] + z[j] * (state[j] - n[j])
    else:
        for j in range(state.size):
            n[j] = tanh(n[j])
            state[j] = n[j] + z[j] * (state[j] - n[j])


@compiled
def _through_time(
    begin, end, y, hn, gates, x, w_ih, w_rz, w_n, bias, b_n, lengths, reverse, reset_after, block, sizes
):  # fmt: skip
    """All steps of samples begin .. end, whose state is in hn. Arrays are flat; sizes: T, N, D and H."""
    (count, n, d, h), samples, width = sizes, end - begin, 4 * sizes[3]
    hn, rows = lines(hn, begin, samples, h), block * samples
    given, room, states, _, _, _ = parts(7, (rows * d, rows * width, samples * h, 0, 0, 0), hn)
    left = matrix(states, h, samples, True)
    zero, most = hn.dtype.type(0), longest(lengths, begin, end, count)
    copy(states, hn)
    # all samples: gates may be computed where they are kept
    in_place = samples == n and gates.size > 0
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, reverse)
        gather(given, x, lengths, start, steps, begin, samples, n, d)
        block_z = lines(gates, start * n, steps * n, width) if in_place else room
        input_products(block_z, width, 3 * h, steps * samples, given, d, w_ih, bias)
        for step in range(steps):
            at = first_of_block(step, 1, steps, reverse)
            t, top = start + at, (start + at) * n + begin
            z = lines(block_z, at * samples, samples, width)
            if t < most:
                product(samples, 2 * h, h, left, w_rz, z, width, True)
                if reset_after:
                    a = z[3 * h :]
                    activated_product(samples, h, h, left, w_n, a, width, False, b_n, a[:0], 0)
                else:
                    for i in range(samples):
                        _reset(row(z, i, width), row(states, i, h), h)
                    right = matrix(z[3 * h :], width, samples, True)
                    product(samples, h, h, right, w_n, z[2 * h :], width, True)
            for i in range(samples):
                gate, state, out = row(z, i, width), row(states, i, h), row(y, top + i, h)
                if lengths.size and t >= lengths[begin + i]:
                    fill(gate, zero)
                    fill(out, zero)
                else:
                    _cell(gate, state, h, reset_after)
                    copy(out, state)
                if not in_place:
                    copy(row(gates, top + i, width), gate)
    copy(hn, states)


@compiled
def _bias(total, b_ih, b_hh, h, reset_after):
    """What is added to the inputs' products: all biases but that of the state's part in n, if it is reset with it."""
    if b_ih.size == 0 and b_hh.size == 0:
        return b_ih
    begin_with(total, b_ih)
    add(total, b_hh[: 2 * h] if reset_after else b_hh)
    return total


@kernel
def gru_forward(y, hn, gates, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after):
    """Chunks of samples in parallel, each through all steps: a product for the inputs of a block of steps, then step by
    step. The state's part in n is a product of its own, beside gates or onto them."""
    count, n, h = y.shape
    d = x.shape[2]
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    if y.size == 0:
        return
    grain = chunk_rows(n, 2 * h * h)
    samples = min(n, grain)
    block = block_steps(count, samples, 4 * h)
    bias, b_n = _bias(scratch(6, 3 * h, x), b_ih, b_hh, h, reset_after), b_hh[2 * h :]
    inputs = weights(5, w_ih, True, block * samples, count * n)
    w_rz = weights(4, w_hh[: 2 * h], True, samples, count * n)
    w_n = weights(3, w_hh[2 * h :], True, samples, count * n)
    prepare_product(y)
    arguments = (flat(y), flat(hn), flat(gates), flat(x), inputs, w_rz, w_n, bias, b_n, lengths, reverse, reset_after)
    parallel_for(_through_time, n, grain, (*arguments, block, (count, n, d, h)))


@compiled
def _cell_grad(z, gates, dstate, before, h, reset_after):
    """One sample's step backwards: z = gradients of what r, z and n were given, and of the state's part in n.

    dstate becomes what goes straight to the state before. With the reset before, r and the state before wait for the
    gradient of their product.
    """
    dr, du, dn, da = z[:h], z[h : 2 * h], z[2 * h : 3 * h], z[3 * h :]
    r, u, n, a = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    one = before.dtype.type(1)
    for j in range(before.size):
        d, new = dstate[j], n[j]
        dnew = d * (one - u[j]) * (one - new * new)
        du[j] = d * (before[j] - new) * u[j] * (one - u[j])
        dr[j] = dnew * a[j] * r[j] * (one - r[j])
        dn[j] = dnew
        da[j] = dnew * r[j] if reset_after else dnew
        dstate[j] = d * u[j]


@compiled
def _reset_grad(z, gates, dstate, dproduct, before, h):
    """The gradient of r * h, handed to both."""
    dr, r = z[:h], gates[:h]
    one = before.dtype.type(1)
    for j in range(before.size):
        dr[j] = dproduct[j] * before[j] * r[j] * (one - r[j])
        dstate[j] += dproduct[j] * r[j]


@compiled
def _back_through_time(
    begin, end, grain, dx, dh0, grads, spare, totals, dy, dhn, x, h0, y, gates, w_ih, w_rz, w_n,
    lengths, reverse, reset_after, accumulate, block, sizes,
):  # fmt: skip
    """All steps of samples begin .. end from the last to the first, and their part of the weights' gradients.

    Arrays are flat; sizes: T, N, D and H. grads: dw_ih, dw_hh. spare, totals: see room_for_shares.
    """
    (count, n, d, h), samples, chunk, width = sizes, end - begin, begin // grain, 4 * sizes[3]
    ldz, rows = padded(width), block * samples
    pieces = (rows * ldz, rows * d, rows * h, 0 if reset_after else rows * h, samples * h, samples * h)
    dz, given, states, products, dproduct, dh = parts(7, pieces, x)
    dw_ih, dw_hh = grads
    first = (chunk - 1) * (dw_ih.size + dw_hh.size)
    dw_ih, dw_hh = share(dw_ih, spare, first, chunk), share(dw_hh, spare, first + dw_ih.size, chunk)
    total, more = row(totals, chunk, width), accumulate and chunk == 0
    zero, most = x.dtype.type(0), longest(lengths, begin, end, count)
    begin_with(dh, lines(dhn, begin, samples, h))
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, not reverse)
        for step in range(steps):
            at = first_of_block(step, 1, steps, not reverse)
            t, top = start + at, at * samples
            earlier, dz_t = t + 1 if reverse else t - 1, dz[top * ldz :]
            # twice over the samples where r waits for a product
            for turn in range(1 if reset_after else 2):
                for i in range(samples):
                    sample, z, before = begin + i, dz_t[i * ldz :][:width], row(states, top + i, h)
                    length = lengths[sample] if lengths.size else count
                    if t >= length:
                        fill(z, zero)
                        fill(before, zero)
                        fill(row(products, top + i, h), zero)
                        continue
                    gate = row(gates, t * n + sample, width)
                    if turn == 0:
                        if earlier < 0 or earlier >= length:
                            begin_with(before, row(h0, sample, h))
                        else:
                            copy(before, row(y, earlier * n + sample, h))
                        add(row(dh, i, h), row(dy, t * n + sample, h))
                        _cell_grad(z, gate, row(dh, i, h), before, h, reset_after)
                    else:
                        copy(row(products, top + i, h), gate[3 * h :])
                        _reset_grad(z, gate, row(dh, i, h), row(dproduct, i, h), before, h)
                if t < most and turn == 0:
                    left = matrix(dz_t[3 * h :], ldz, samples, True)
                    product(samples, h, h, left, w_n, dh if reset_after else dproduct, h, reset_after)
            if t < most:
                product(samples, h, 2 * h, matrix(dz_t, ldz, samples, True), w_rz, dh, h, True)
        rows = steps * samples
        gather(given, x, lengths, start, steps, begin, samples, n, d)
        weight_gradient(dw_ih, 3 * h, dz, ldz, rows, given, d, more)
        weight_gradient(dw_hh[: 2 * h * h], 2 * h, dz, ldz, rows, states, h, more)
        weight_gradient(dw_hh[2 * h * h :], h, dz[3 * h :], ldz, rows, states if reset_after else products, h, more)
        add_rows(total, dz, ldz, rows)
        if dx.size:
            input_gradient(given, dz, ldz, 3 * h, rows, d, w_ih)
            scatter(dx, given, start, steps, begin, samples, n, d)
        more = True
    copy(lines(dh0, begin, samples, h), dh)


@kernel
def gru_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, gates, lengths, reverse, reset_after, accumulate
):
    """Chunks of samples in parallel, each back through all steps: step by step, then products of all rows of a block
    of dz, which has stayed in cache. Each chunk adds up gradients of weights by itself; then they are added."""
    count, n, h = y.shape
    d = x.shape[2]
    check_lengths(lengths, count)
    grain, grads = chunk_rows(n, 2 * h * h), (flat(dw_ih), flat(dw_hh))
    samples, chunks = min(n, grain), max(1, (n + grain - 1) // grain)
    block = deep_block_steps(count, samples, 4 * h)
    totals, spare = room_for_shares(chunks, 4 * h, grads, count * n, accumulate)
    w_rz = weights(4, w_hh[: 2 * h], False, samples, count * n)
    w_n = weights(3, w_hh[2 * h :], False, samples, count * n)
    inputs = weights(5, w_ih, False, block * samples, count * n)
    prepare_product(y)
    outputs = (flat(dx), flat(dh0), grads, spare, totals, flat(dy), flat(dhn))
    inputs = (flat(x), flat(h0), flat(y), flat(gates), inputs, w_rz, w_n, lengths, reverse, reset_after)
    parallel_for(_back_through_time, n, grain, (grain, *outputs, *inputs, accumulate, block, (count, n, d, h)))
    add_shares(grads, spare, totals, chunks)
    hand_over(db_ih, totals, accumulate)
    hand_over(db_hh[: 2 * h], totals, accumulate)
    hand_over(db_hh[2 * h :], totals[3 * h :], accumulate)
