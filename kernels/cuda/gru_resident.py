"""The GRU whose weights stay with the threads of a block: all steps in one launch. How: recurrent_resident.py.

Its reset comes after the product; where it comes before, n takes a second product, and steps are launched singly.
"""

import functools

import numpy as np

from .functions import formulas, tanh
from .recurrent_resident import GROUP, LANES, clear, place, product, way
from .target import cuda, device, jit

sigmoid = formulas["sigmoid"]


@device
def cell(r, z, n, a, h):
    """Gates from what they are given, and the new state; a: the state's part of n, which r resets."""
    r, z = sigmoid(r), sigmoid(z)
    n = tanh(n + r * a)
    return r, z, n, n + z * (h - n)


@device
def cell_grad(d, z, n, before):
    """Gradients of what z and n were given, and what goes straight to the state before."""
    one = type(d)(1)
    return d * (before - n) * z * (one - z), d * (one - z) * (one - n * n), d * z


@device
def reset_grad(d, r):
    """Of what r was given, from that of r."""
    return d * r * (type(d)(1) - r)


@device
def three_of(a, at, units):
    return a[place(at)], a[place(at + units)], a[place(at + 2 * units)]


@device
def put_three(a, at, units, values):
    a[place(at)], a[place(at + units)], a[place(at + 2 * units)] = values


@functools.cache
def forward(groups, held, samples, width):
    lay_down, take, multiply = product(3, groups, held, samples)
    depth = groups * GROUP
    elements = 2 * samples * depth

    @jit(launch_bounds=LANES * width)
    def gru_resident(y, hn, given, gates, h0, packed, b_hh, lengths, steps, count, units, reverse):
        """Arrays are flat. given: the input's part of r, z and n."""
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
        if writes:
            vectors[place(slot)] = h
        cuda.syncthreads()
        row, further, t, on = way(not reverse, steps, count, sample)
        here, other, following = np.int32(0), np.int32(samples * depth), (zero, zero, zero)
        if steps > 0:
            following = three_of(given, row * 3 * units + unit, units)
        for step in range(steps):
            part = following
            if step + 1 < steps:
                # on its way while this step is computed
                following = three_of(given, (row + further) * 3 * units + unit, units)
            sums = multiply(vectors, here, lane, own, rest, thread, cuda.blockDim.x)
            # near, and not worth registers
            bias = three_of(b_hh, unit, units) if b_hh.size > 0 else (zero, zero, zero)
            a = sums[2] + bias[2]
            r, z, n, new = cell(part[0] + bias[0] + sums[0], part[1] + bias[1] + sums[1], part[2], a, h)
            if t < length:
                h = new
            else:
                r, z, n, a, new = zero, zero, zero, zero, zero
            if writes:
                vectors[place(other + slot)] = h
                y[place(row * units + unit)] = new
                if gates.size > 0:
                    put_three(gates, row * 4 * units + unit, units, (r, z, n))
                    gates[place((row * 4 + 3) * units + unit)] = a
            row, t, here, other = np.int32(row + further), np.int32(t + on), other, here
            cuda.syncthreads()
        if writes:
            hn[place(sample * units + unit)] = h

    return gru_resident


@functools.cache
def backward(groups, held, samples, width):
    lay_down, take, multiply = product(1, groups, held, samples)
    depth = groups * GROUP
    elements = 2 * samples * depth

    @jit(launch_bounds=LANES * width)
    def gru_resident_grad(dgiven, dstates, dh0, dy, dhn, h0, packed, y, gates, lengths, steps, count, units, reverse):
        """dgiven: of what the input gave r, z and n; dstates: of what the states did."""
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
        first = h0[place(sample * units + unit)] if h0.size > 0 else zero
        row, further, t, on = way(reverse, steps, count, sample)
        here, other = np.int32(0), np.int32(samples * depth)
        kept, a, from_y = (zero, zero, zero), zero, zero
        if steps > 0:
            kept, a = three_of(gates, row * 4 * units + unit, units), gates[place((row * 4 + 3) * units + unit)]
            from_y = dy[place(row * units + unit)] if dy.size > 0 else zero
        for step in range(steps):
            # the state that the step began with, and the numbers of the step before, on their way meanwhile
            earlier = np.int32(row + further)
            before = y[place(earlier * units + unit)] if t + on >= 0 and t + on < length else first
            (r, z, n), inner, d = kept, a, dh + from_y
            if step + 1 < steps:
                at = earlier * 4 * units + unit
                kept, a = three_of(gates, at, units), gates[place(at + 3 * units)]
                from_y = dy[place(earlier * units + unit)] if dy.size > 0 else zero
            du, dn, direct = cell_grad(d, z, n, before)
            dr, da = reset_grad(dn * inner, r), dn * r
            if t >= length:
                dr, du, dn, da, direct = zero, zero, zero, zero, dh
            if writes:
                put_three(vectors, here + slot, units, (dr, du, da))
                put_three(dgiven, row * 3 * units + unit, units, (dr, du, dn))
                put_three(dstates, row * 3 * units + unit, units, (dr, du, da))
            cuda.syncthreads()
            # of samples without this step the sum is 0
            dh = direct + multiply(vectors, here, lane, own, rest, thread, cuda.blockDim.x)[0]
            t, row, here, other = np.int32(t + on), earlier, other, here
        if writes and dh0.size > 0:
            dh0[place(sample * units + unit)] = dh

    return gru_resident_grad
