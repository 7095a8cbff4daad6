"""The GRU over whole sequences, in either form of its reset. How the time loop and the products lie: recurrent.py."""

from .. import recurrent_checks
from ..jit import compiled, kernel, parallel_for, scratch
from .pack import matrix
from .product import activated_product, prepare_product, product
from .recurrent import (
    add,
    add_rows,
    begin_with,
    block_steps,
    chunk_rows,
    copy,
    fill,
    first_gradient,
    first_of_block,
    flat,
    hand_over,
    input_gradients,
    input_products,
    lines,
    longest,
    padded,
    parts,
    row,
    state_gradient,
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
def _through_time(begin, end, y, hn, gates, w_rz, w_n, b_n, lengths, reverse, reset_after, start, steps, sizes):
    """A block's steps of samples begin .. end; hn is their state all the way. gates: the block's rows.

    Arrays are flat; sizes: T, N and H.
    """
    count, n, h = sizes
    samples, hn = end - begin, lines(hn, begin, end - begin, h)
    state = matrix(hn, h, samples, True)
    zero, most = hn.dtype.type(0), longest(lengths, begin, end, count)
    for step in range(steps):
        at = first_of_block(step, 1, steps, reverse)
        t = start + at
        z, out = lines(gates, at * n + begin, samples, 4 * h), lines(y, t * n + begin, samples, h)
        if t < most:
            product(samples, 2 * h, h, state, w_rz, z, 4 * h, True)
            if reset_after:
                a = z[3 * h :]
                activated_product(samples, h, h, state, w_n, a, 4 * h, False, b_n, a[:0], 0)
            else:
                for i in range(samples):
                    _reset(row(z, i, 4 * h), row(hn, i, h), h)
                product(samples, h, h, matrix(z[3 * h :], 4 * h, samples, True), w_n, z[2 * h :], 4 * h, True)
        for i in range(samples):
            if lengths.size and t >= lengths[begin + i]:
                fill(row(z, i, 4 * h), zero)
                fill(row(out, i, h), zero)
            else:
                _cell(row(z, i, 4 * h), row(hn, i, h), h, reset_after)
                copy(row(out, i, h), row(hn, i, h))


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
    """Blocks of steps: one product for their inputs, into gates; then chunks of samples in parallel, each through the
    block's steps. The state's part in n is a product of its own, beside gates or onto them."""
    count, n, h = y.shape
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    if y.size == 0:
        return
    block, grain = block_steps(count, n, 4 * h), chunk_rows(n, 3 * h * h)
    space = scratch(6, 4 * h + (0 if gates.size else block * n * 4 * h), x)
    bias, b_n = _bias(space[: 3 * h], b_ih, b_hh, h, reset_after), b_hh[2 * h :]
    inputs = weights(5, w_ih, True, block * n, count * n)
    w_rz = weights(4, w_hh[: 2 * h], True, min(n, grain), count * n)
    w_n = weights(3, w_hh[2 * h :], True, min(n, grain), count * n)
    prepare_product(y)
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, reverse)
        top, rows = start * n, steps * n
        z = lines(flat(gates), top, rows, 4 * h) if gates.size else lines(space, 1, rows, 4 * h)
        input_products(z, 4 * h, 3 * h, top, rows, x, inputs, bias)
        arguments = (flat(y), flat(hn), z, w_rz, w_n, b_n, lengths, reverse, reset_after, start, steps, y.shape)
        parallel_for(_through_time, n, grain, arguments)


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
    begin, end, dz, dh, firsts, dy, y, gates, h0, w_rz, w_n, lengths, reverse, reset_after, start, steps, sizes
):  # fmt: skip
    """A block's steps of samples begin .. end from the last to the first; dh is their gradient all the way.

    firsts: if wanted, dz of each sample's first step. Arrays are flat; sizes: T, N and H.
    """
    count, n, h = sizes
    samples, ldz, dh = end - begin, padded(4 * h), lines(dh, begin, end - begin, h)
    space = scratch(7, (samples + 1) * h, dh)
    dproduct, none = space[: samples * h], space[samples * h :]
    zero, most = dh.dtype.type(0), longest(lengths, begin, end, count)
    fill(none, zero)
    for step in range(steps):
        at = first_of_block(step, 1, steps, not reverse)
        t, top = start + at, at * n + begin
        earlier, block = t + 1 if reverse else t - 1, dz[top * ldz :]
        # twice over the samples where r waits for a product
        for turn in range(1 if reset_after else 2):
            for i in range(samples):
                sample, z = begin + i, block[i * ldz : i * ldz + 4 * h]
                length = lengths[sample] if lengths.size else count
                if t >= length:
                    fill(z, zero)
                    continue
                first = earlier < 0 or earlier >= length
                if first:
                    before = row(h0, sample, h) if h0.size else none
                else:
                    before = row(y, earlier * n + sample, h)
                gate = row(gates, t * n + sample, 4 * h)
                if turn == 0:
                    add(row(dh, i, h), row(dy, t * n + sample, h))
                    _cell_grad(z, gate, row(dh, i, h), before, h, reset_after)
                else:
                    _reset_grad(z, gate, row(dh, i, h), row(dproduct, i, h), before, h)
                if first:
                    copy(row(firsts, sample, 4 * h), z)
            if t < most and turn == 0:
                left = matrix(block[3 * h :], ldz, samples, True)
                if reset_after:
                    product(samples, h, h, left, w_n, dh, h, True)
                else:
                    product(samples, h, h, left, w_n, dproduct, h, False)
        if t < most:
            product(samples, h, 2 * h, matrix(block, ldz, samples, True), w_rz, dh, h, True)


@kernel
def gru_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, gates, lengths, reverse, reset_after, accumulate
):
    """Blocks of steps, from the last: chunks of samples in parallel, each back through the block's steps; then
    products of all rows of the block's dz, which has stayed in cache."""
    count, n, h = y.shape
    check_lengths(lengths, count)
    block, ldz, more = block_steps(count, n, 4 * h), padded(4 * h), accumulate
    wanted = dw_hh.size and h0.size
    dz, dh, total, firsts, _, _ = parts(3, (block * n * ldz, n * h, 4 * h, n * 4 * h if wanted else 0, 0, 0), y)
    dh = flat(dh0) if dh0.size else dh
    begin_with(dh, flat(dhn))
    for array in (total, firsts):
        fill(array, y.dtype.type(0))
    if count == 0 and not accumulate:
        for dw in (dw_ih, dw_hh):
            fill(flat(dw), y.dtype.type(0))
    dw_rz, dw_n = dw_hh[: 2 * h], dw_hh[2 * h :]
    grain = chunk_rows(n, 3 * h * h)
    w_rz = weights(4, w_hh[: 2 * h], False, min(n, grain), count * n)
    w_n = weights(6, w_hh[2 * h :], False, min(n, grain), count * n)
    inputs = weights(5, w_ih, False, block * n, count * n)
    prepare_product(y)
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, not reverse)
        top, rows = start * n, steps * n
        arguments = (dz, dh, firsts, flat(dy), flat(y), flat(gates), flat(h0), w_rz, w_n, lengths, reverse, reset_after)
        parallel_for(_back_through_time, n, grain, (*arguments, start, steps, y.shape))
        input_gradients(dx, dw_ih, dz, ldz, 3 * h, top, rows, x, inputs, more)
        state_gradient(dw_rz, dz, ldz, top, rows, y, reverse, more)
        if reset_after:
            state_gradient(dw_n, dz[3 * h :], ldz, top, rows, y, reverse, more)
        elif dw_n.size:
            left, right = matrix(dz[3 * h :], ldz, h, False), matrix(flat(gates)[(top * 4 + 3) * h :], 4 * h, h, False)
            product(h, h, rows, left, right, flat(dw_n), h, more)
        if db_ih.size or db_hh.size:
            add_rows(total, dz, ldz, rows)
        more = True
    if wanted:
        first_gradient(dw_rz, firsts, 4 * h, h0, more)
        if reset_after:
            first_gradient(dw_n, firsts[3 * h :], 4 * h, h0, more)
    hand_over(db_ih, total, accumulate)
    hand_over(db_hh[: 2 * h], total, accumulate)
    hand_over(db_hh[2 * h :], total[3 * h :], accumulate)
