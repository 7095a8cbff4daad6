"""The steps of the simple recurrent network, all in one launch (recurrent_resident.py) or one a launch
(recurrent_tile.py). Arrays are flat; relu is as in the kernels."""

import functools

import numpy as np

from .functions import tanh
from .recurrent_resident import GROUP, LANES, clear, place, product, way
from .recurrent_tile import threads_of_tile, tile
from .target import cuda, device, jit


@device
def cell(z, relu):
    if relu:
        return type(z)(0) if z <= 0 else z
    return tanh(z)


@device
def cell_grad(d, y, relu):
    if relu:
        return type(d)(0) if y <= 0 else d
    return d * (type(d)(1) - y * y)


@functools.cache
def forward_resident(groups, held, samples, width):
    lay_down, take, multiply = product(1, groups, held, samples)
    depth = groups * GROUP
    elements = 2 * samples * depth

    @jit(launch_bounds=LANES * width)
    def rnn_resident(y, hn, h0, packed, b_hh, lengths, steps, count, units, reverse, relu):
        """y has the input's part before."""
        vectors = cuda.shared.array(elements, y.dtype, alignment=16)
        rest = cuda.shared.array(0, y.dtype, alignment=16)
        thread, zero = cuda.threadIdx.x, y.dtype.type(0)
        unit, lane = thread // LANES, thread % LANES
        mine = lane % samples
        sample = cuda.blockIdx.x * samples + mine
        # threads without a unit or sample repeat the last one's and write nothing
        writes = unit < units and sample < count and lane < samples
        lay_down(rest, packed, thread, cuda.blockDim.x)
        clear(vectors, elements)
        cuda.syncthreads()
        own = take(packed, thread, cuda.blockDim.x)
        slot = mine * depth + unit
        unit, sample = min(unit, units - 1), min(sample, count - 1)
        length = np.int32(min(lengths[sample], steps)) if lengths.size > 0 else steps
        h = h0[place(sample * units + unit)] if h0.size > 0 else zero
        bias = b_hh[place(unit)] if b_hh.size > 0 else zero
        if writes:
            vectors[place(slot)] = h
        cuda.syncthreads()
        row, further, t, on = way(not reverse, steps, count, sample)
        here, other, following = np.int32(0), np.int32(samples * depth), zero
        if steps > 0:
            following = y[place(row * units + unit)]
        for step in range(steps):
            part = following
            if step + 1 < steps:
                # on its way while this step is computed
                following = y[place((row + further) * units + unit)]
            sums = multiply(vectors, here, lane, own, rest, thread, cuda.blockDim.x)
            new = cell(part + bias + sums[0], relu)
            if t < length:
                h = new
            else:
                new = zero
            if writes:
                vectors[place(other + slot)] = h
                y[place(row * units + unit)] = new
            row, t, here, other = np.int32(row + further), np.int32(t + on), other, here
            cuda.syncthreads()
        if writes:
            hn[place(sample * units + unit)] = h

    return rnn_resident


@functools.cache
def backward_resident(groups, held, samples, width):
    lay_down, take, multiply = product(1, groups, held, samples)
    depth = groups * GROUP
    elements = 2 * samples * depth

    @jit(launch_bounds=LANES * width)
    def rnn_resident_grad(dz, dh0, dy, dhn, packed, y, lengths, steps, count, units, reverse, relu):
        vectors = cuda.shared.array(elements, y.dtype, alignment=16)
        rest = cuda.shared.array(0, y.dtype, alignment=16)
        thread, zero = cuda.threadIdx.x, y.dtype.type(0)
        unit, lane = thread // LANES, thread % LANES
        mine = lane % samples
        sample = cuda.blockIdx.x * samples + mine
        writes = unit < units and sample < count and lane < samples
        lay_down(rest, packed, thread, cuda.blockDim.x)
        clear(vectors, elements)
        cuda.syncthreads()
        own = take(packed, thread, cuda.blockDim.x)
        slot = mine * depth + unit
        unit, sample = min(unit, units - 1), min(sample, count - 1)
        length = np.int32(min(lengths[sample], steps)) if lengths.size > 0 else steps
        dh = dhn[place(sample * units + unit)] if dhn.size > 0 else zero
        row, further, t, on = way(reverse, steps, count, sample)
        here, other = np.int32(0), np.int32(samples * depth)
        out, from_y = zero, zero
        if steps > 0:
            out = y[place(row * units + unit)]
            from_y = dy[place(row * units + unit)] if dy.size > 0 else zero
        for step in range(steps):
            made, d = out, dh + from_y
            if step + 1 < steps:
                # on their way while this step is computed
                out = y[place((row + further) * units + unit)]
                from_y = dy[place((row + further) * units + unit)] if dy.size > 0 else zero
            d = cell_grad(d, made, relu)
            active = t < length
            if not active:
                d = zero
            if writes:
                vectors[place(here + slot)] = d
                dz[place(row * units + unit)] = d
            cuda.syncthreads()
            sums = multiply(vectors, here, lane, own, rest, thread, cuda.blockDim.x)
            if active:
                dh = sums[0]
            row, t, here, other = np.int32(row + further), np.int32(t + on), other, here
        if writes and dh0.size > 0:
            dh0[place(sample * units + unit)] = dh

    return rnn_resident_grad


@functools.cache
def forward(down, itemsize):
    make_tile, total, rows, units, elements = tile(down, 2, False, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def rnn_step(y, old, new, w_hh, b_hh, lengths, t, old_at, new_at, n, h, relu, whole):
        """old: the states that the step begins with, if any; new: those it leaves. y has the input's part before."""
        shared = cuda.shared.array(elements, y.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * units
        make_tile(shared, old, old_at, top, n, w_hh, left, h, h if old.size > 0 else 0, whole)
        for e in range(cuda.threadIdx.x, rows * units, threads):
            row, column = e // units, e % units
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                at = (t * n + sample) * h + unit
                z = y[at] + total(shared, row, column)
                if b_hh.size > 0:
                    z += b_hh[unit]
                place, zero = sample * h + unit, y.dtype.type(0)
                state, kept = cell(z, relu), zero
                if lengths.size > 0 and t >= lengths[sample]:
                    state, kept = zero, old[old_at + place] if old.size > 0 else zero
                else:
                    kept = state
                y[at] = state
                new[new_at + place] = kept

    return rnn_step


@functools.cache
def backward(down, itemsize):
    make_tile, total, rows, units, elements = tile(down, 2, False, itemsize)
    threads = threads_of_tile(itemsize)

    @jit(launch_bounds=threads)
    def rnn_step_grad(dz, dh, dy, y, w, lengths, t, previous, n, h, depth, relu, whole):
        """dz of step t. dh: what has come to the states besides the product with dz of step `previous`."""
        shared = cuda.shared.array(elements, dz.dtype, alignment=16)
        top, left = cuda.blockIdx.x * rows, cuda.blockIdx.y * units
        make_tile(shared, dz, max(0, previous) * n * h, top, n, w, left, h, depth, whole)
        zero = dz.dtype.type(0)
        for e in range(cuda.threadIdx.x, rows * units, threads):
            row, column = e // units, e % units
            sample, unit = top + row, left + column
            if sample < n and unit < h:
                place, at = sample * h + unit, (t * n + sample) * h + unit
                active = lengths.size == 0 or t < lengths[sample]
                d = dh[place] + total(shared, row, column)
                dh[place] = zero if active else d
                d += dy[at] if dy.size > 0 else zero
                dz[at] = cell_grad(d, y[at], relu) if active else zero

    return rnn_step_grad
