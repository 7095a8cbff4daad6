"""The LSTM whose weights stay with the threads of a block: all steps in one launch. How: recurrent_resident.py."""

import functools

import numpy as np

from .functions import formulas, tanh
from .recurrent_resident import GROUP, LANES, clear, place, product, way
from .target import cuda, device, jit

sigmoid = formulas["sigmoid"]


@device
def cell(i, f, g, o, before):
    """Gates from what they are given, the unit's cell, and what becomes its state."""
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * before + i * g
    return i, f, g, o, c, o * tanh(c)


@device
def cell_grad(dstate, dc, i, f, g, o, c, before):
    """Gradients of what the gates were given, and of the cell before."""
    one = type(dc)(1)
    squashed = tanh(c)
    dc += dstate * o * (one - squashed * squashed)
    return (
        dc * g * i * (one - i),
        dc * before * f * (one - f),
        dc * i * (one - g * g),
        dstate * squashed * o * (one - o),
        dc * f,
    )


@device
def gates_of(a, at, units):
    return a[place(at)], a[place(at + units)], a[place(at + 2 * units)], a[place(at + 3 * units)]


@device
def put_gates(a, at, units, values):
    a[place(at)], a[place(at + units)], a[place(at + 2 * units)], a[place(at + 3 * units)] = values


@functools.cache
def forward(groups, held, samples, width):
    lay_down, take, multiply = product(4, groups, held, samples)
    depth = groups * GROUP
    elements = 2 * samples * depth

    @jit(launch_bounds=LANES * width)
    def lstm_resident(y, hn, cn, given, gates, c, h0, c0, packed, b_hh, lengths, steps, count, units, reverse):
        """Arrays are flat. given: the input's part of the gates; it may be where they are kept."""
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
        before = c0[place(sample * units + unit)] if c0.size > 0 else zero
        if writes:
            vectors[place(slot)] = h
        cuda.syncthreads()
        row, further, t, on = way(not reverse, steps, count, sample)
        here, other, following = np.int32(0), np.int32(samples * depth), (zero, zero, zero, zero)
        if steps > 0:
            following = gates_of(given, row * 4 * units + unit, units)
        for step in range(steps):
            part = following
            if step + 1 < steps:
                # on its way while this step is computed
                following = gates_of(given, (row + further) * 4 * units + unit, units)
            sums = multiply(vectors, here, lane, own, rest, thread, cuda.blockDim.x)
            # near, and not worth registers
            bias = gates_of(b_hh, unit, units) if b_hh.size > 0 else (zero, zero, zero, zero)
            i, f, g, o, new, state = cell(
                part[0] + bias[0] + sums[0],
                part[1] + bias[1] + sums[1],
                part[2] + bias[2] + sums[2],
                part[3] + bias[3] + sums[3],
                before,
            )
            if t < length:
                h, before = state, new
            else:
                i, f, g, o, new, state = zero, zero, zero, zero, zero, zero
            if writes:
                vectors[place(other + slot)] = h
                y[place(row * units + unit)] = state
                if gates.size > 0:
                    put_gates(gates, row * 4 * units + unit, units, (i, f, g, o))
                if c.size > 0:
                    c[place(row * units + unit)] = new
            row, t, here, other = np.int32(row + further), np.int32(t + on), other, here
            cuda.syncthreads()
        if writes:
            hn[place(sample * units + unit)] = h
            cn[place(sample * units + unit)] = before

    return lstm_resident


@functools.cache
def backward(groups, held, samples, width):
    lay_down, take, multiply = product(1, groups, held, samples)
    depth = groups * GROUP
    elements = 2 * samples * depth

    @jit(launch_bounds=LANES * width)
    def lstm_resident_grad(dz, dh0, dc0, dy, dhn, dcn, c0, packed, gates, c, lengths, steps, count, units, reverse):
        vectors = cuda.shared.array(elements, dz.dtype, alignment=16)
        rest = cuda.shared.array(0, dz.dtype, alignment=16)
        thread, zero = cuda.threadIdx.x, dz.dtype.type(0)
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
        dc = dcn[place(sample * units + unit)] if dcn.size > 0 else zero
        first = c0[place(sample * units + unit)] if c0.size > 0 else zero
        row, further, t, on = way(reverse, steps, count, sample)
        here, other = np.int32(0), np.int32(samples * depth)
        kept, now, from_y = (zero, zero, zero, zero), zero, zero
        if steps > 0:
            kept, now = gates_of(gates, row * 4 * units + unit, units), c[place(row * units + unit)]
            from_y = dy[place(row * units + unit)] if dy.size > 0 else zero
        for step in range(steps):
            # the cell that the step began with, and the numbers of the step before, on their way meanwhile
            earlier = np.int32(row + further)
            before = c[place(earlier * units + unit)] if t + on >= 0 and t + on < length else first
            (i, f, g, o), dstate = kept, dh + from_y
            if step + 1 < steps:
                kept = gates_of(gates, earlier * 4 * units + unit, units)
                from_y = dy[place(earlier * units + unit)] if dy.size > 0 else zero
            di, df, dg, do, dbefore = cell_grad(dstate, dc, i, f, g, o, now, before)
            active = t < length
            if active:
                dc = dbefore
            else:
                di, df, dg, do = zero, zero, zero, zero
            if writes:
                put_gates(vectors, here + slot, units, (di, df, dg, do))
                put_gates(dz, row * 4 * units + unit, units, (di, df, dg, do))
            cuda.syncthreads()
            sums = multiply(vectors, here, lane, own, rest, thread, cuda.blockDim.x)
            if active:
                dh = sums[0]
            now, t, row, here, other = before, np.int32(t + on), earlier, other, here
        if writes and dh0.size > 0:
            dh0[place(sample * units + unit)] = dh
        if writes and dc0.size > 0:
            dc0[place(sample * units + unit)] = dc

    return lstm_resident_grad
