"""The LSTM over whole sequences. How the time loop and the products lie: recurrent.py."""

from .. import recurrent_checks
from ..jit import compiled, kernel, parallel_for, scratch
from .pack import matrix
from .product import prepare_product, product
from .recurrent import (
    add,
    add_rows,
    begin_with,
    block_steps,
    both_biases,
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
check_projection = compiled(recurrent_checks.check_projection)


@compiled
def _cell(i, f, g, o, cell, state):
    """One sample's step: gates from what they are given, in place; its cells and states."""
    for j in range(state.size):
        i[j] = sigmoid(i[j])
        f[j] = sigmoid(f[j])
        g[j] = tanh(g[j])
        o[j] = sigmoid(o[j])
        cell[j] = f[j] * cell[j] + i[j] * g[j]
        state[j] = o[j] * tanh(cell[j])


@compiled
def _through_time(begin, end, y, hn, cn, gates, c, w_hh, w_hr, lengths, reverse, start, steps, sizes):
    """A block's steps of samples begin .. end; hn and cn are their states all the way. gates: the block's rows.

    Arrays are flat; sizes: T, N, H and P.
    """
    (count, n, h, p), samples = sizes, end - begin
    hn, cn = lines(hn, begin, samples, p), lines(cn, begin, samples, h)
    # what a projection, if there is one, is given
    full = scratch(7, samples * h, hn)
    state, projected = matrix(hn, p, samples, True), matrix(full, h, samples, True)
    zero, most = hn.dtype.type(0), longest(lengths, begin, end, count)
    for step in range(steps):
        at = first_of_block(step, 1, steps, reverse)
        t = start + at
        z, out = lines(gates, at * n + begin, samples, 4 * h), lines(y, t * n + begin, samples, p)
        if t < most:
            product(samples, 4 * h, p, state, w_hh, z, 4 * h, True)
        for i in range(samples):
            gate, cell, kept, made = row(z, i, 4 * h), row(cn, i, h), row(c, t * n + begin + i, h), row(full, i, h)
            if lengths.size and t >= lengths[begin + i]:
                fill(gate, zero)
                fill(made, zero)
                fill(kept, zero)
            else:
                _cell(gate[:h], gate[h : 2 * h], gate[2 * h : 3 * h], gate[3 * h :], cell, made)
                copy(kept, cell)
        if w_hr.lines:
            product(samples, p, h, projected, w_hr, out, p, False)
        else:
            copy(out, full)
        for i in range(samples):
            if lengths.size == 0 or t < lengths[begin + i]:
                copy(row(hn, i, p), row(out, i, p))


@kernel
def lstm_forward(y, hn, cn, gates, c, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, lengths, reverse):
    """Blocks of steps: one product for their inputs, into gates; then chunks of samples in parallel, each through the
    block's steps. Gates and cells are computed on rows that the step's product has just left in cache."""
    count, n, p = y.shape
    h = cn.shape[1]
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    begin_with(flat(cn), flat(c0))
    if y.size == 0:
        return
    block, grain = block_steps(count, n, 4 * h), chunk_rows(n, 4 * h * p)
    space = scratch(6, 4 * h + (0 if gates.size else block * n * 4 * h), x)
    bias = both_biases(space[: 4 * h], b_ih, b_hh)
    inputs = weights(5, w_ih, True, block * n, count * n)
    states = weights(4, w_hh, True, min(n, grain), count * n)
    projection = weights(3, w_hr, True, min(n, grain), count * n)
    prepare_product(y)
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, reverse)
        top, rows = start * n, steps * n
        z = lines(flat(gates), top, rows, 4 * h) if gates.size else lines(space, 1, rows, 4 * h)
        input_products(z, 4 * h, 4 * h, top, rows, x, inputs, bias)
        arguments = (flat(y), flat(hn), flat(cn), z, flat(c), states, projection, lengths, reverse, start, steps)
        parallel_for(_through_time, n, grain, (*arguments, (count, n, h, p)))


@compiled
def _cell_grad(z, gates, dstate, dcell, cell, before, h):
    """One sample's step backwards: z = dgates, dcell to the cell before; gates i, f, g, o side by side."""
    i, f, g, o = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    di, df, dg, do = z[:h], z[h : 2 * h], z[2 * h : 3 * h], z[3 * h :]
    one = cell.dtype.type(1)
    for j in range(cell.size):
        squashed = tanh(cell[j])
        dc = dcell[j] + dstate[j] * o[j] * (one - squashed * squashed)
        di[j] = dc * g[j] * i[j] * (one - i[j])
        df[j] = dc * before[j] * f[j] * (one - f[j])
        dg[j] = dc * i[j] * (one - g[j] * g[j])
        do[j] = dstate[j] * squashed * o[j] * (one - o[j])
        dcell[j] = dc * f[j]


@compiled
def _made(state, gates, cell, h):
    """What the projection was given: o * tanh(c)."""
    o = gates[3 * h :]
    for j in range(state.size):
        state[j] = o[j] * tanh(cell[j])


@compiled
def _back_through_time(
    begin, end, dz, dh, dc, firsts, dout, made, dy, gates, c, c0, w_hh, w_hr, lengths, reverse, start, steps, sizes
):  # fmt: skip
    """A block's steps of samples begin .. end from the last to the first; dh and dc are their gradients all the way.

    firsts: if wanted, dz of each sample's first step. dout, made: with a projection, the block's gradients of what it
    gave, and what it was given. Arrays are flat; sizes: T, N, H and P.
    """
    (count, n, h, p), samples = sizes, end - begin
    ldz = padded(4 * h)
    dh, dc = lines(dh, begin, samples, p), lines(dc, begin, samples, h)
    space = scratch(7, (samples + 1) * h, dc)
    source, none = space[: samples * h] if made.size else dh, space[samples * h :]
    zero, most = dc.dtype.type(0), longest(lengths, begin, end, count)
    fill(none, zero)
    for step in range(steps):
        at = first_of_block(step, 1, steps, not reverse)
        t, top = start + at, at * n + begin
        for i in range(samples):
            if lengths.size and t >= lengths[begin + i]:
                fill(row(dout, top + i, p), zero)
            else:
                add(row(dh, i, p), row(dy, t * n + begin + i, p))
                copy(row(dout, top + i, p), row(dh, i, p))
        if made.size:
            product(samples, h, p, matrix(lines(dout, top, samples, p), p, samples, True), w_hr, source, h, False)
        for i in range(samples):
            sample = begin + i
            length = lengths[sample] if lengths.size else count
            z, full = dz[(top + i) * ldz : (top + i) * ldz + 4 * h], row(made, top + i, h)
            if t >= length:
                fill(z, zero)
                fill(full, zero)
                continue
            gate, cell = row(gates, t * n + sample, 4 * h), row(c, t * n + sample, h)
            earlier = t + 1 if reverse else t - 1
            first = earlier < 0 or earlier >= length
            if first:
                before = row(c0, sample, h) if c0.size else none
            else:
                before = row(c, earlier * n + sample, h)
            _cell_grad(z, gate, row(source, i, h), row(dc, i, h), cell, before, h)
            _made(full, gate, cell, h)
            if first:
                copy(row(firsts, sample, 4 * h), z)
            # the product adds to what is left here: nothing, but for samples whose last step is still to come
            fill(row(dh, i, p), zero)
        if t < most:
            product(samples, p, 4 * h, matrix(dz[top * ldz :], ldz, samples, True), w_hh, dh, p, True)


@kernel
def lstm_backward(
    dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dw_hr,
    dy, dhn, dcn, x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths, reverse, accumulate,
):  # fmt: skip
    """Blocks of steps, from the last: chunks of samples in parallel, each back through the block's steps; then
    products of all rows of the block's dz, which has stayed in cache."""
    count, n, p = y.shape
    h = c.shape[2]
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, count)
    block, ldz, width = block_steps(count, n, 4 * h), padded(4 * h), 4 * h
    dz = scratch(3, block * n * ldz, y)
    wanted, kept = dw_hh.size and h0.size, block * n if w_hr.size else 0
    sizes = n * p, n * h, width, n * width if wanted else 0, kept * p, kept * h
    dh, dc, total, firsts, dout, made = parts(6, sizes, y)
    dh, dc = flat(dh0) if dh0.size else dh, flat(dc0) if dc0.size else dc
    begin_with(dh, flat(dhn))
    begin_with(dc, flat(dcn))
    fill(total, y.dtype.type(0))
    fill(firsts, y.dtype.type(0))
    if count == 0 and not accumulate:
        for dw in (dw_ih, dw_hh, dw_hr):
            fill(flat(dw), y.dtype.type(0))
    grain = chunk_rows(n, width * p)
    states = weights(4, w_hh, False, min(n, grain), count * n)
    inputs = weights(5, w_ih, False, block * n, count * n)
    projection, more = matrix(flat(w_hr), h, h, False), accumulate
    prepare_product(y)
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, not reverse)
        top, rows = start * n, steps * n
        arguments = (dz, dh, dc, firsts, dout, made, flat(dy), flat(gates), flat(c), flat(c0), states, projection)
        parallel_for(_back_through_time, n, grain, (*arguments, lengths, reverse, start, steps, (count, n, h, p)))
        input_gradients(dx, dw_ih, dz, ldz, width, top, rows, x, inputs, more)
        state_gradient(dw_hh, dz, ldz, top, rows, y, reverse, more)
        if db_ih.size or db_hh.size:
            add_rows(total, dz, ldz, rows)
        if dw_hr.size:
            left, right, target = matrix(dout, p, p, False), matrix(made, h, h, False), flat(dw_hr)
            product(p, h, rows, left, right, target, h, more)
        more = True
    if wanted:
        first_gradient(dw_hh, firsts, width, h0, more)
    hand_over(db_ih, total, accumulate)
    hand_over(db_hh, total, accumulate)
