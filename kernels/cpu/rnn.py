"""The simple recurrent network over whole sequences. How the time loop and the products lie: recurrent.py."""

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
def _through_time(begin, end, y, hn, w_hh, lengths, reverse, relu, start, steps, sizes):
    """A block's steps of samples begin .. end; hn is their state all the way, y what it is given, then the state.

    Arrays are flat; sizes: T, N and H.
    """
    count, n, h = sizes
    samples, hn = end - begin, lines(hn, begin, end - begin, h)
    state = matrix(hn, h, samples, True)
    zero, most = hn.dtype.type(0), longest(lengths, begin, end, count)
    for step in range(steps):
        t = start + first_of_block(step, 1, steps, reverse)
        z = lines(y, t * n + begin, samples, h)
        if t < most:
            product(samples, h, h, state, w_hh, z, h, True)
        if lengths.size == 0:
            _cell(z, relu)
            copy(hn, z)
            continue
        for i in range(samples):
            if t >= lengths[begin + i]:
                fill(row(z, i, h), zero)
            else:
                _cell(row(z, i, h), relu)
                copy(row(hn, i, h), row(z, i, h))


@kernel
def rnn_forward(y, hn, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, relu):
    """Blocks of steps: one product for their inputs, into y; then chunks of samples in parallel, each through the
    block's steps. States are computed on rows that the step's product has just left in cache."""
    count, n, h = y.shape
    check_lengths(lengths, count)
    begin_with(flat(hn), flat(h0))
    if y.size == 0:
        return
    block, grain = block_steps(count, n, h), chunk_rows(n, h * h)
    bias = both_biases(scratch(6, h, x), b_ih, b_hh)
    inputs = weights(5, w_ih, True, block * n, count * n)
    states = weights(4, w_hh, True, min(n, grain), count * n)
    prepare_product(y)
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, reverse)
        input_products(lines(flat(y), start * n, steps * n, h), h, h, start * n, steps * n, x, inputs, bias)
        arguments = (flat(y), flat(hn), states, lengths, reverse, relu, start, steps, y.shape)
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
def _back_through_time(begin, end, dz, dh, firsts, dy, y, w_hh, lengths, reverse, relu, start, steps, sizes):
    """A block's steps of samples begin .. end from the last to the first; dh is their gradient all the way.

    firsts: if wanted, dz of each sample's first step. Arrays are flat; sizes: T, N and H.
    """
    count, n, h = sizes
    samples, ldz, dh = end - begin, padded(h), lines(dh, begin, end - begin, h)
    zero, most = dh.dtype.type(0), longest(lengths, begin, end, count)
    for step in range(steps):
        at = first_of_block(step, 1, steps, not reverse)
        t, block = start + at, dz[(at * n + begin) * ldz :]
        for i in range(samples):
            sample, z = begin + i, block[i * ldz : i * ldz + h]
            length = lengths[sample] if lengths.size else count
            if t >= length:
                fill(z, zero)
                continue
            add(row(dh, i, h), row(dy, t * n + sample, h))
            _cell_grad(z, row(dh, i, h), row(y, t * n + sample, h), relu)
            if t == (length - 1 if reverse else 0):
                copy(row(firsts, sample, h), z)
            # the product adds to what is left here: nothing, but for samples whose last step is still to come
            fill(row(dh, i, h), zero)
        if t < most:
            product(samples, h, h, matrix(block, ldz, samples, True), w_hh, dh, h, True)


@kernel
def rnn_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, lengths, reverse, relu, accumulate
):
    """Blocks of steps, from the last: chunks of samples in parallel, each back through the block's steps; then
    products of all rows of the block's dz, which has stayed in cache."""
    count, n, h = y.shape
    check_lengths(lengths, count)
    block, ldz, more = block_steps(count, n, h), padded(h), accumulate
    wanted = dw_hh.size and h0.size
    dz, dh, total, firsts, _, _ = parts(3, (block * n * ldz, n * h, h, n * h if wanted else 0, 0, 0), y)
    dh = flat(dh0) if dh0.size else dh
    begin_with(dh, flat(dhn))
    for array in (total, firsts):
        fill(array, y.dtype.type(0))
    if count == 0 and not accumulate:
        for dw in (dw_ih, dw_hh):
            fill(flat(dw), y.dtype.type(0))
    grain = chunk_rows(n, h * h)
    states = weights(4, w_hh, False, min(n, grain), count * n)
    inputs = weights(5, w_ih, False, block * n, count * n)
    prepare_product(y)
    for done in range(0, count, block):
        steps = min(block, count - done)
        start = first_of_block(done, steps, count, not reverse)
        top, rows = start * n, steps * n
        arguments = (dz, dh, firsts, flat(dy), flat(y), states, lengths, reverse, relu, start, steps, y.shape)
        parallel_for(_back_through_time, n, grain, arguments)
        input_gradients(dx, dw_ih, dz, ldz, h, top, rows, x, inputs, more)
        state_gradient(dw_hh, dz, ldz, top, rows, y, reverse, more)
        if db_ih.size or db_hh.size:
            add_rows(total, dz, ldz, rows)
        more = True
    if wanted:
        first_gradient(dw_hh, firsts, h, h0, more)
    hand_over(db_ih, total, accumulate)
    hand_over(db_hh, total, accumulate)
