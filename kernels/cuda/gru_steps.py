"""The GRU a launch a step, or two where its reset comes before the product. How: recurrent_tile.py.

Arrays are flat here, as the copies of the product want them, and t is the step.
"""

import functools

from .functions import formulas, tanh
from .gru_resident import cell, cell_grad, reset_grad
from .recurrent_tile import ACROSS, threads_of_tile, tile
from .target import cuda, jit

sigmoid = formulas["sigmoid"]


@functools.cache
def forward(down, itemsize):
    make_tile, total, rows, _, elements = tile(down, 3, True, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def gru_step(y, old, new, given, gates, w_hh, b_hh, lengths, t, old_at, new_at, n, h, whole):
        """old: the states that the step begins with, if any; new: those it leaves."""
        shared = cuda.shared.array(elements, y.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * ACROSS
        make_tile(shared, old, old_at, top, n, w_hh, left, h, h if old.size > 0 else 0, whole)
        zero = y.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * ACROSS, threads):
            row, column = e // ACROSS, e % ACROSS
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                at = (t * n + sample) * 3 * h + unit
                r, z = total(shared, row, column), total(shared, row, ACROSS + column)
                a = total(shared, row, 2 * ACROSS + column)
                if b_hh.size > 0:
                    r, z, a = r + b_hh[unit], z + b_hh[h + unit], a + b_hh[2 * h + unit]
                place = sample * h + unit
                before = old[old_at + place] if old.size > 0 else zero
                r, z, new_n, state = cell(given[at] + r, given[at + h] + z, given[at + 2 * h], a, before)
                active = lengths.size == 0 or t < lengths[sample]
                new[new_at + place] = state if active else before
                if not active:
                    r, z, new_n, a, state = zero, zero, zero, zero, zero
                y[t * n * h + place] = state
                if gates.size > 0:
                    to = (t * n + sample) * 4 * h + unit
                    gates[to], gates[to + h], gates[to + 2 * h], gates[to + 3 * h] = r, z, new_n, a

    return gru_step


@functools.cache
def reset(down, itemsize):
    make_tile, total, rows, _, elements = tile(down, 2, True, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def gru_reset_step(left_states, old, given, gates, w_hh, b_hh, lengths, t, old_at, n, h, whole):
        """r and z, and left_states (n, h): r times the state, which the product for n is given."""
        shared = cuda.shared.array(elements, given.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * ACROSS
        make_tile(shared, old, old_at, top, n, w_hh, left, h, h if old.size > 0 else 0, whole)
        zero = given.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * ACROSS, threads):
            row, column = e // ACROSS, e % ACROSS
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                at, to = (t * n + sample) * 3 * h + unit, (t * n + sample) * 4 * h + unit
                r, z = total(shared, row, column), total(shared, row, ACROSS + column)
                if b_hh.size > 0:
                    r, z = r + b_hh[unit], z + b_hh[h + unit]
                r, z = sigmoid(given[at] + r), sigmoid(given[at + h] + z)
                a = r * old[old_at + sample * h + unit] if old.size > 0 else zero
                if lengths.size > 0 and t >= lengths[sample]:
                    r, z, a = zero, zero, zero
                left_states[sample * h + unit] = a
                gates[to], gates[to + h], gates[to + 3 * h] = r, z, a

    return gru_reset_step


@functools.cache
def renew(down, itemsize):
    make_tile, total, rows, units, elements = tile(down, 2, False, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def gru_renew_step(y, old, new, left_states, given, gates, w_n, b_n, lengths, t, old_at, new_at, n, h, whole):
        """n and the new state, from what gru_reset_step has left."""
        shared = cuda.shared.array(elements, y.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * units
        make_tile(shared, left_states, 0, top, n, w_n, left, h, h, whole)
        zero = y.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * units, threads):
            row, column = e // units, e % units
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                to = (t * n + sample) * 4 * h + unit
                inner = given[((t * n + sample) * 3 + 2) * h + unit] + total(shared, row, column)
                if b_n.size > 0:
                    inner += b_n[unit]
                place = sample * h + unit
                before = old[old_at + place] if old.size > 0 else zero
                new_n, z = tanh(inner), gates[to + h]
                state = new_n + z * (before - new_n)
                active = lengths.size == 0 or t < lengths[sample]
                new[new_at + place] = state if active else before
                y[t * n * h + place] = state if active else zero
                gates[to + 2 * h] = new_n if active else zero

    return gru_renew_step


@functools.cache
def backward(down, itemsize):
    make_tile, total, rows, units, elements = tile(down, 2, False, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def gru_step_grad(first, second, dh, dy, y, h0, gates, w, lengths, t, previous, earlier, n, h, depth, after, whole):
        """The gradients of step t. dh: what has come to the states besides the product with those of step `previous`,
        if there is one; here, what goes straight to the states before.

        after: first, second: of what the input and the states gave (t, n, 3 * h), of which the latter are multiplied.
        Otherwise (t, n, 2 * h) of r and z, which are multiplied and of which r is not here yet, and (t, n, h) of n.
        """
        shared = cuda.shared.array(elements, dh.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * units
        if after:
            make_tile(shared, second, max(0, previous) * n * 3 * h, top, n, w, left, h, depth, whole)
        else:
            make_tile(shared, first, max(0, previous) * n * 2 * h, top, n, w, left, h, depth, whole)
        zero = dh.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * units, threads):
            row, column = e // units, e % units
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                place, here = sample * h + unit, (t * n + sample) * h + unit
                d = dh[place] + total(shared, row, column)
                dr, du, dn, da, direct = zero, zero, zero, zero, d
                if lengths.size == 0 or t < lengths[sample]:
                    d += dy[here] if dy.size > 0 else zero
                    before = h0[place] if h0.size > 0 else zero
                    if earlier >= 0 and (lengths.size == 0 or earlier < lengths[sample]):
                        before = y[earlier * n * h + place]
                    at = (t * n + sample) * 4 * h + unit
                    r, z, new_n, a = gates[at], gates[at + h], gates[at + 2 * h], gates[at + 3 * h]
                    du, dn, direct = cell_grad(d, z, new_n, before)
                    dr, da = reset_grad(dn * a, r), dn * r
                dh[place] = direct
                if after:
                    at = (t * n + sample) * 3 * h + unit
                    first[at], first[at + h], first[at + 2 * h] = dr, du, dn
                    second[at], second[at + h], second[at + 2 * h] = dr, du, da
                else:
                    first[((t * n + sample) * 2 + 1) * h + unit] = du
                    second[here] = dn

    return gru_step_grad


@functools.cache
def reset_down(down, itemsize):
    make_tile, total, rows, units, elements = tile(down, 2, False, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def gru_reset_step_grad(drz, dn, dh, y, h0, gates, w, lengths, t, earlier, n, h, whole):
        """dr of step t from the gradient of r times the state, dn @ w, which goes to both."""
        shared = cuda.shared.array(elements, dh.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * units
        make_tile(shared, dn, t * n * h, top, n, w, left, h, h, whole)
        zero = dh.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * units, threads):
            row, column = e // units, e % units
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                place, dr = sample * h + unit, zero
                if lengths.size == 0 or t < lengths[sample]:
                    before = h0[place] if h0.size > 0 else zero
                    if earlier >= 0 and (lengths.size == 0 or earlier < lengths[sample]):
                        before = y[earlier * n * h + place]
                    r, through = gates[(t * n + sample) * 4 * h + unit], total(shared, row, column)
                    dr = reset_grad(through * before, r)
                    dh[place] += through * r
                drz[(t * n + sample) * 2 * h + unit] = dr

    return gru_reset_step_grad


@jit
def last_of_four(out, gates, h):
    """out (rows, h): the last of four parts of each row of gates."""
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = gates[(i // h * 4 + 3) * h + i % h]
