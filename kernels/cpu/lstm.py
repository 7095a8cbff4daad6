"""The LSTM over whole sequences. How the time loop and the products lie: recurrent.py."""

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
from .vecmath import sigmoid, tanh

check_lengths = compiled(recurrent_checks.check_lengths)
check_projection = compiled(recurrent_checks.check_projection)


@compiled
def _cell(i, f, g, o, cell, state):
    """One sample's step: gates from what they are given, in place; its cells and states."""
    # a loop for each gate: all constants of one function, not of all five, stay in registers
    for gate in (i, f, o):
        for j in range(gate.size):
            gate[j] = sigmoid(gate[j])
    for j in range(g.size):
        g[j] = tanh(g[j])
    for j in range(state.size):
        cell[j] = f[j] * cell[j] + i[j] * g[j]
        state[j] = o[j] * tanh(cell[j])


@compiled
def _through_time(begin, end, y, hn, cn, gates, c, x, w_ih, w_hh, w_hr, bias, lengths, reverse, block, sizes):
    """All steps of samples begin .. end, whose states are in hn and cn. Arrays are flat; sizes: T, N, D, H and P."""
    (count, n, d, h, p), samples, width = sizes, end - begin, 4 * sizes[3]
    hn, cn = lines(hn, begin, samples, p), lines(cn, begin, samples, h)
    rows, one = block * samples, samples * h
    given, room, state, cells, full, _ = parts(7, (rows * d, rows * width, samples * p, one, one, 0), hn)
    # what a step's products are given: states, and what a projection, if there is one, makes them of
    left, projected = matrix(state, p, samples, True), matrix(full, h, samples, True)
    zero, most = hn.dtype.type(0), longest(lengths, begin, end, count)
    copy(state, hn)
    copy(cells, cn)
    # all samples: gates may be computed where they are kept
    in_place = samples == n and gates.size > 0
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, reverse)
        gather(given, x, lengths, start, steps, begin, samples, n, d)
        block_z = lines(gates, start * n, steps * n, width) if in_place else room
        input_products(block_z, width, width, steps * samples, given, d, w_ih, bias)
        for step in range(steps):
            at = first_of_block(step, 1, steps, reverse)
            t, top = start + at, (start + at) * n + begin
            z, out = lines(block_z, at * samples, samples, width), lines(y, top, samples, p)
            if t < most:
                product(samples, width, p, left, w_hh, z, width, True)
            for i in range(samples):
                gate, cell, made = row(z, i, width), row(cells, i, h), row(full, i, h)
                kept = row(c, top + i, h)
                if lengths.size and t >= lengths[begin + i]:
                    fill(gate, zero)
                    fill(made, zero)
                    fill(kept, zero)
                else:
                    _cell(gate[:h], gate[h : 2 * h], gate[2 * h : 3 * h], gate[3 * h :], cell, made)
                    copy(kept, cell)
                if not in_place:
                    copy(row(gates, top + i, width), gate)
            if w_hr.lines:
                product(samples, p, h, projected, w_hr, out, p, False)
            else:
                copy(out, full)
            for i in range(samples):
                if lengths.size == 0 or t < lengths[begin + i]:
                    copy(row(state, i, p), row(out, i, p))
    copy(hn, state)
    copy(cn, cells)


@kernel
def lstm_forward(y, hn, cn, gates, c, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, lengths, reverse):
    """Chunks of samples in parallel, each through all steps: a product for the inputs of a block of steps, then step by
    step. Gates and cells are computed on rows that the step's product has just left in cache."""
    count, n, p = y.shape
    d, h = x.shape[2], cn.shape[1]
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    begin_with(flat(cn), flat(c0))
    if y.size == 0:
        return
    grain = chunk_rows(n, 4 * h * p)
    samples = min(n, grain)
    block = block_steps(count, samples, 4 * h)
    bias = both_biases(scratch(6, 4 * h, x), b_ih, b_hh)
    inputs = weights(5, w_ih, True, block * samples, count * n)
    states = weights(4, w_hh, True, samples, count * n)
    projection = weights(3, w_hr, True, samples, count * n)
    prepare_product(y)
    arguments = (flat(y), flat(hn), flat(cn), flat(gates), flat(c), flat(x), inputs, states, projection, bias, lengths)
    parallel_for(_through_time, n, grain, (*arguments, reverse, block, (count, n, d, h, p)))


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
    begin, end, grain, dx, dh0, dc0, grads, spare, totals, dy, dhn, dcn, x, h0, c0, y, gates, c, w_ih, w_hh, w_hr,
    lengths, reverse, accumulate, block, sizes,
):  # fmt: skip
    """All steps of samples begin .. end from the last to the first, and their part of the weights' gradients.

    Arrays are flat; sizes: T, N, D, H and P. grads: dw_ih, dw_hh, dw_hr. spare, totals: see room_for_shares.
    """
    (count, n, d, h, p), samples, chunk, width = sizes, end - begin, begin // grain, 4 * sizes[3]
    ldz, rows, projects = padded(width), block * samples, w_hr.data.size > 0
    kept = rows if projects else 0
    pieces = (rows * ldz, rows * d, rows * p, kept * p, kept * h, samples * (2 * h + p) + h)
    dz, given, before, dout, made, space = parts(7, pieces, x)
    dh, dc, none = space[: samples * p], space[samples * p :][: samples * h], space[samples * (p + h) :][:h]
    source = space[samples * (p + h) + h :] if projects else dh
    dw_ih, dw_hh, dw_hr = grads
    room = dw_ih.size + dw_hh.size + dw_hr.size
    first = (chunk - 1) * room
    dw_ih, dw_hh = share(dw_ih, spare, first, chunk), share(dw_hh, spare, first + dw_ih.size, chunk)
    dw_hr = share(dw_hr, spare, first + dw_ih.size + dw_hh.size, chunk)
    total, more = row(totals, chunk, width), accumulate and chunk == 0
    zero, most = x.dtype.type(0), longest(lengths, begin, end, count)
    begin_with(dh, lines(dhn, begin, samples, p))
    begin_with(dc, lines(dcn, begin, samples, h))
    fill(none, zero)
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, not reverse)
        for step in range(steps):
            at = first_of_block(step, 1, steps, not reverse)
            t, top = start + at, at * samples
            earlier = t + 1 if reverse else t - 1
            for i in range(samples):
                if lengths.size and t >= lengths[begin + i]:
                    fill(row(dout, top + i, p), zero)
                else:
                    add(row(dh, i, p), row(dy, t * n + begin + i, p))
                    copy(row(dout, top + i, p), row(dh, i, p))
            if projects:
                product(samples, h, p, matrix(lines(dout, top, samples, p), p, samples, True), w_hr, source, h, False)
            for i in range(samples):
                sample = begin + i
                length = lengths[sample] if lengths.size else count
                z, full, state = dz[(top + i) * ldz :][:width], row(made, top + i, h), row(before, top + i, p)
                if t >= length:
                    fill(z, zero)
                    fill(full, zero)
                    fill(state, zero)
                    continue
                gate, cell = row(gates, t * n + sample, width), row(c, t * n + sample, h)
                if earlier < 0 or earlier >= length:
                    begin_with(state, row(h0, sample, p))
                    cell_before = row(c0, sample, h) if c0.size else none
                else:
                    copy(state, row(y, earlier * n + sample, p))
                    cell_before = row(c, earlier * n + sample, h)
                _cell_grad(z, gate, row(source, i, h), row(dc, i, h), cell, cell_before, h)
                _made(full, gate, cell, h)
                # the product adds to what is left here: nothing, but for samples whose last step is still to come
                fill(row(dh, i, p), zero)
            if t < most:
                product(samples, p, width, matrix(dz[top * ldz :], ldz, samples, True), w_hh, dh, p, True)
        rows = steps * samples
        gather(given, x, lengths, start, steps, begin, samples, n, d)
        weight_gradient(dw_ih, width, dz, ldz, rows, given, d, more)
        weight_gradient(dw_hh, width, dz, ldz, rows, before, p, more)
        weight_gradient(dw_hr, p, dout, p, rows, made, h, more)
        add_rows(total, dz, ldz, rows)
        if dx.size:
            input_gradient(given, dz, ldz, width, rows, d, w_ih)
            scatter(dx, given, start, steps, begin, samples, n, d)
        more = True
    copy(lines(dh0, begin, samples, p), dh)
    copy(lines(dc0, begin, samples, h), dc)


@kernel
def lstm_backward(
    dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dw_hr,
    dy, dhn, dcn, x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths, reverse, accumulate,
):  # fmt: skip
    """Chunks of samples in parallel, each back through all steps: step by step, then products of all rows of a block
    of dz, which has stayed in cache. Each chunk adds up gradients of weights by itself; then they are added."""
    count, n, p = y.shape
    d, h = x.shape[2], c.shape[2]
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, count)
    grain, grads = chunk_rows(n, 4 * h * p), (flat(dw_ih), flat(dw_hh), flat(dw_hr))
    samples, chunks = min(n, grain), max(1, (n + grain - 1) // grain)
    block = deep_block_steps(count, samples, 4 * h)
    totals, spare = room_for_shares(chunks, 4 * h, grads, count * n, accumulate)
    inputs = weights(5, w_ih, False, block * samples, count * n)
    states = weights(4, w_hh, False, samples, count * n)
    prepare_product(y)
    outputs = (flat(dx), flat(dh0), flat(dc0), grads, spare, totals, flat(dy), flat(dhn), flat(dcn))
    projection = matrix(flat(w_hr), h, h, False)
    saved = flat(x), flat(h0), flat(c0), flat(y), flat(gates), flat(c), inputs, states, projection
    arguments = (grain, *outputs, *saved, lengths, reverse, accumulate, block, (count, n, d, h, p))
    parallel_for(_back_through_time, n, grain, arguments)
    add_shares(grads, spare, totals, chunks)
    hand_over(db_ih, totals, accumulate)
    hand_over(db_hh, totals, accumulate)
