"""The LSTM over whole sequences. How the time loop and the products lie: recurrent.py."""

from .. import recurrent_checks
from ..jit import compiled, kernel, parallel_for, scratch
from .pack import matrix
from .product import activated_product, prepare_product, product
from .recurrent import (
    add,
    add_rows,
    begin_with,
    block_steps,
    both_biases,
    chunk_rows,
    copy,
    fill,
    first_of_block,
    flat,
    hand_over,
    input_gradients,
    longest,
    padded,
    parts,
    state_weight_gradient,
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
def _through_time(begin, end, y, hn, cn, gates, c, w_hh, w_hr, lengths, reverse, start, steps):
    """A block's steps of samples begin .. end; hn and cn are their states all the way. gates: the block's rows."""
    count, n, p = y.shape
    h, rows = cn.shape[1], end - begin
    hn, cn = flat(hn)[begin * p : end * p], flat(cn)[begin * h : end * h]
    # what a projection, if there is one, is given
    full = scratch(7, rows * h, hn)
    state, projected = matrix(hn, p, rows, True), matrix(full, h, rows, True)
    zero, most = hn.dtype.type(0), longest(lengths, begin, end, count)
    for step in range(steps):
        t = first_of_block(step, 1, steps, reverse)
        top, t = t * n + begin, start + t
        z = gates[top * 4 * h : (top + rows) * 4 * h]
        top = t * n + begin
        cells, out = flat(c)[top * h : (top + rows) * h], flat(y)[top * p : (top + rows) * p]
        if t < most:
            product(rows, 4 * h, p, state, w_hh, z, 4 * h, True)
        for r in range(rows):
            row, cell, made = z[r * 4 * h : (r + 1) * 4 * h], cn[r * h : (r + 1) * h], full[r * h : (r + 1) * h]
            if lengths.size and t >= lengths[begin + r]:
                fill(row, zero)
                fill(made, zero)
                fill(cells[r * h : (r + 1) * h], zero)
            else:
                _cell(row[:h], row[h : 2 * h], row[2 * h : 3 * h], row[3 * h :], cell, made)
                copy(cells[r * h : (r + 1) * h], cell)
        if w_hr.lines:
            product(rows, p, h, projected, w_hr, out, p, False)
        else:
            copy(out, full)
        for r in range(rows):
            if lengths.size == 0 or t < lengths[begin + r]:
                copy(hn[r * p : (r + 1) * p], out[r * p : (r + 1) * p])


@kernel
def lstm_forward(y, hn, cn, gates, c, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, lengths, reverse):
    """Blocks of steps: one product for their inputs, into gates; then chunks of samples in parallel, each through the
    block's steps. Gates and cells are computed on rows that the step's product has just left in cache."""
    count, n, p = y.shape
    h, d = cn.shape[1], x.shape[2]
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
        z = flat(gates)[top * 4 * h : (top + rows) * 4 * h] if gates.size else space[4 * h : (rows + 1) * 4 * h]
        lines = matrix(flat(x)[top * d : (top + rows) * d], d, rows, True)
        activated_product(rows, 4 * h, d, lines, inputs, z, 4 * h, False, bias, z[:0], 0)
        arguments = (y, hn, cn, z, c, states, projection, lengths, reverse, start, steps)
        parallel_for(_through_time, n, grain, arguments)


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
    begin, end, dz, dh, dc, firsts, dout, made, dy, gates, c, c0, w_hh, w_hr, lengths, reverse, start, steps
):  # fmt: skip
    """A block's steps of samples begin .. end from the last to the first; dh and dc are their gradients all the way.

    firsts: if wanted, dz of each sample's first step. dout, made: with a projection, the block's gradients of what it
    gave, and what it was given.
    """
    count, n, h = c.shape
    p, rows, ldz = dh.size // n, end - begin, padded(4 * h)
    dh, dc = dh[begin * p : end * p], dc[begin * h : end * h]
    space = scratch(7, (rows + 1) * h, dc)
    source, none = space[: rows * h] if made.size else dh, space[rows * h :]
    zero, most = dc.dtype.type(0), longest(lengths, begin, end, count)
    fill(none, zero)
    for step in range(steps):
        at = first_of_block(step, 1, steps, not reverse)
        t, top = start + at, at * n + begin
        for r in range(rows):
            row, out = dh[r * p : (r + 1) * p], dout[(top + r) * p : (top + r + 1) * p]
            if lengths.size and t >= lengths[begin + r]:
                fill(out, zero)
            else:
                add(row, flat(dy)[(t * n + begin + r) * p : (t * n + begin + r + 1) * p])
                copy(out, row)
        if made.size:
            product(rows, h, p, matrix(dout[top * p : (top + rows) * p], p, rows, True), w_hr, source, h, False)
        for r in range(rows):
            length, sample = lengths[begin + r] if lengths.size else count, begin + r
            row, full = dz[(top + r) * ldz : (top + r) * ldz + 4 * h], made[(top + r) * h : (top + r + 1) * h]
            if t >= length:
                fill(row, zero)
                fill(full, zero)
                continue
            place, earlier = t * n + sample, t + 1 if reverse else t - 1
            gate, cell = flat(gates)[place * 4 * h : (place + 1) * 4 * h], flat(c)[place * h : (place + 1) * h]
            first = earlier < 0 or earlier >= length
            if not first:
                before = flat(c)[(earlier * n + sample) * h : (earlier * n + sample + 1) * h]
            else:
                before = flat(c0)[sample * h : (sample + 1) * h] if c0.size else none
            _cell_grad(row, gate, source[r * h : (r + 1) * h], dc[r * h : (r + 1) * h], cell, before, h)
            _made(full, gate, cell, h)
            if first:
                copy(firsts[sample * 4 * h : (sample + 1) * 4 * h], row)
            # the product adds to what is left here: nothing, but for samples whose last step is still to come
            fill(dh[r * p : (r + 1) * p], zero)
        if t < most:
            product(rows, p, 4 * h, matrix(dz[top * ldz :], ldz, rows, True), w_hh, dh, p, True)


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
        arguments = (dz, dh, dc, firsts, dout, made, dy, gates, c, c0, states, projection)
        parallel_for(_back_through_time, n, grain, (*arguments, lengths, reverse, start, steps))
        input_gradients(dx, dw_ih, dz, ldz, width, rows, top, x, inputs, more)
        state_weight_gradient(dw_hh, dz, ldz, width, rows, top, y, reverse, more)
        if db_ih.size or db_hh.size:
            add_rows(total, dz, ldz, width, rows)
        if dw_hr.size:
            left, right, target = matrix(dout, p, p, False), matrix(made, h, h, False), flat(dw_hr)
            product(p, h, rows, left, right, target, h, more)
        more = True
    if wanted:
        # the states that samples began with
        left, right, target = matrix(firsts, width, width, False), matrix(flat(h0), p, p, False), flat(dw_hh)
        product(width, p, n, left, right, target, p, more)
    hand_over(db_ih, total, accumulate)
    hand_over(db_hh, total, accumulate)
