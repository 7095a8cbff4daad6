"""The LSTM a launch a step: the product with the states, and the cells computed from it. How: recurrent_tile.py.

Arrays are flat here, as the copies of the product want them, and t is the step. A projection takes a second launch.
"""

import functools

from .functions import tanh
from .lstm_resident import cell, cell_grad
from .recurrent_tile import ACROSS, threads_of_tile, tile
from .target import cuda, jit


@functools.cache
def forward(down, itemsize):
    make_tile, total, rows, _, elements = tile(down, 4, True, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def lstm_step(
        y, old, new, before, cells, made, given, gates, c, w_hh, b_hh, lengths, t, old_at, new_at, n, p, h, whole
    ):
        """old and before: states and cells that the step begins with, if any; new and cells: those it leaves. made:
        what a projection is given, if there is one, which then leaves the states."""
        shared = cuda.shared.array(elements, y.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * ACROSS
        make_tile(shared, old, old_at, top, n, w_hh, left, h, p if old.size > 0 else 0, whole)
        zero = y.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * ACROSS, threads):
            row, column = e // ACROSS, e % ACROSS
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                at = (t * n + sample) * 4 * h + unit
                i, f, g, o = given[at], given[at + h], given[at + 2 * h], given[at + 3 * h]
                if b_hh.size > 0:
                    i, f, g, o = i + b_hh[unit], f + b_hh[h + unit], g + b_hh[2 * h + unit], o + b_hh[3 * h + unit]
                place = sample * h + unit
                cell_before = before[place] if before.size > 0 else zero
                i, f, g, o, cell_now, state = cell(
                    i + total(shared, row, column),
                    f + total(shared, row, ACROSS + column),
                    g + total(shared, row, 2 * ACROSS + column),
                    o + total(shared, row, 3 * ACROSS + column),
                    cell_before,
                )
                active = lengths.size == 0 or t < lengths[sample]
                cells[place] = cell_now if active else cell_before
                if not active:
                    i, f, g, o, cell_now, state = zero, zero, zero, zero, zero, zero
                if gates.size > 0:
                    gates[at], gates[at + h], gates[at + 2 * h], gates[at + 3 * h] = i, f, g, o
                if c.size > 0:
                    c[t * n * h + place] = cell_now
                if made.size > 0:
                    made[place] = state
                else:
                    y[t * n * h + place] = state
                    if not active:
                        state = old[old_at + place] if old.size > 0 else zero
                    new[new_at + place] = state

    return lstm_step


@functools.cache
def projection(down, itemsize):
    make_tile, total, rows, units, elements = tile(down, 2, False, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def lstm_projection(y, old, new, made, w_hr, lengths, t, old_at, new_at, n, p, h, whole):
        shared = cuda.shared.array(elements, y.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * units
        make_tile(shared, made, 0, top, n, w_hr, left, p, h, whole)
        for e in range(cuda.threadIdx.x, rows * units, threads):
            row, column = e // units, e % units
            sample, unit = top + row, left + column
            if sample < n and unit < p:
                place = sample * p + unit
                state, kept = total(shared, row, column), y.dtype.type(0)
                if lengths.size > 0 and t >= lengths[sample]:
                    state, kept = kept, old[old_at + place] if old.size > 0 else kept
                else:
                    kept = state
                y[t * n * p + place] = state
                new[new_at + place] = kept

    return lstm_projection


@functools.cache
def backward(down, itemsize):
    make_tile, total, rows, units, elements = tile(down, 2, False, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def lstm_step_grad(
        dz, dh, dc, dout, dy, gates, c, c0, w, lengths, t, previous, earlier, n, h, depth, projects, whole
    ):
        """dz of step t. dh: what has come to the states besides the product with dz of step `previous`, if there is
        one. projects: `dout` of this step, which has it all, is what is multiplied instead, by the projection.
        """
        shared = cuda.shared.array(elements, dz.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * units
        if projects:
            make_tile(shared, dout, t * n * depth, top, n, w, left, h, depth, whole)
        else:
            make_tile(shared, dz, max(0, previous) * n * depth, top, n, w, left, h, depth, whole)
        zero = dz.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * units, threads):
            row, column = e // units, e % units
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                at, place = (t * n + sample) * 4 * h + unit, sample * h + unit
                active = lengths.size == 0 or t < lengths[sample]
                d = total(shared, row, column)
                if not projects:
                    d += dh[place]
                    dh[place] = zero if active else d
                    d += dy[t * n * h + place] if dy.size > 0 else zero
                di, df, dg, do = zero, zero, zero, zero
                if active:
                    before = c0[place] if c0.size > 0 else zero
                    if earlier >= 0 and (lengths.size == 0 or earlier < lengths[sample]):
                        before = c[earlier * n * h + place]
                    i, f, g, o = gates[at], gates[at + h], gates[at + 2 * h], gates[at + 3 * h]
                    di, df, dg, do, dbefore = cell_grad(d, dc[place], i, f, g, o, c[t * n * h + place], before)
                    dc[place] = dbefore
                dz[at], dz[at + h], dz[at + 2 * h], dz[at + 3 * h] = di, df, dg, do

    return lstm_step_grad


@functools.cache
def projection_grad(down, itemsize):
    make_tile, total, rows, units, elements = tile(down, 2, False, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def lstm_projection_grad(dout, dh, dz, dy, w, lengths, t, previous, n, p, depth, whole):
        """dout of step t, what its projected states are given; dh as in lstm_step_grad."""
        shared = cuda.shared.array(elements, dz.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * units
        make_tile(shared, dz, max(0, previous) * n * depth, top, n, w, left, p, depth, whole)
        zero = dz.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * units, threads):
            row, column = e // units, e % units
            sample, unit = top + row, left + column
            if sample < n and unit < p:
                place = sample * p + unit
                active = lengths.size == 0 or t < lengths[sample]
                d = dh[place] + total(shared, row, column)
                dh[place] = zero if active else d
                d += dy[t * n * p + place] if dy.size > 0 else zero
                dout[t * n * p + place] = d if active else zero

    return lstm_projection_grad


@jit
def made_of(made, gates, c, h):
    """What the projection was given at all steps: o * tanh(c)."""
    for i in range(cuda.grid(1), made.size, cuda.gridsize(1)):
        made[i] = gates[i // h * 4 * h + 3 * h + i % h] * tanh(c[i])
