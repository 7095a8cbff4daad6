"""Weights of the states that stay where they are used: one launch goes through all steps, and blocks never meet.

A block owns a few samples from the first step to the last. LANES neighbouring threads share a unit and hold its weights
among them, each every LANES-th group of four of the depth: in registers, as many as there are, the others in shared
memory, beside those of the neighbouring threads. What is multiplied by them (states, or gradients of gates) lies in
shared memory, twice, so that a step has one barrier. The threads of a unit add up what each has found, by shuffles.
"""

import functools
from typing import NamedTuple

import numpy as np

from ..template import define
from . import target
from .ptx import VECTOR, load4, shuffle_xor, store4
from .ptx_recurrent import held_products, holding
from .target import SIMULATOR, WARP, cuda, device, empty, jit, launch, spread

# threads that share a unit; and what they take of the depth at a time
LANES = 2 if SIMULATOR else 4
GROUP = LANES * VECTOR
# the numbers of units that there are versions for
WIDTHS = (8, 16) if SIMULATOR else (32, 64, 96, 128)
# samples up to which each has a block of its own: two blocks for each of the 132 multiprocessors of an H100
SINGLE = 3 if SIMULATOR else 256
# registers of a multiprocessor; the most that a thread has
REGISTERS, MOST = 65536, 255


def samples_of_block(count):
    return 1 if count <= SINGLE else LANES


def threads_of_block(units):
    return -(-units * LANES // WARP) * WARP


class Layout(NamedTuple):
    """Which version of a kernel takes so many units, and where its weights are."""

    groups: int  # of the depth, GROUP each
    held: int  # of them in registers, the others in shared memory
    samples: int  # of a block
    width: int  # the most units

    def shared_bytes(self, sums, units, itemsize):
        return (self.groups - self.held) * sums * VECTOR * threads_of_block(units) * itemsize


def _shared_limit():
    """Bytes of shared memory that a block can have."""
    capability = target.compute_capability()
    return (227 if capability[0] in (9, 10, 11) else 163 if capability == (8, 0) else 48) * 1024


def _weights_in_registers(width, samples, itemsize):
    """What is left beside sums, numbers of this step and the next, and places in memory; from assembled kernels."""
    others = (72 if samples == 1 else 96) + (40 if itemsize == 8 else 0)
    return 16 if SIMULATOR else (min(MOST, REGISTERS // (LANES * width) // 8 * 8) - others) * 4 // itemsize


def layout(gates, units, steps, count, itemsize, transposed):
    """The Layout for so many units, steps and samples; or None where the weights do not fit into a multiprocessor, or
    32 bits do not count the gates.

    A thread has gates * width / LANES weights. Of float32, 4 gates and a sample for each block: for 64 units 64, all in
    registers; for 96 likewise 96 of 168 registers; for 128 units 128, of which registers (512 threads, 128 registers
    each) take 48 and shared memory 80, 160 KB.
    """
    width = next((w for w in WIDTHS if units <= w), None)
    if width is None or not units or steps * count * units * (gates + 1) >= 2**31:
        return None
    if transposed and gates > 1 and width > 64 and target.compute_capability()[0] < 9:
        # as gradients are assembled for Ampere, registers do not suffice
        return None
    samples = samples_of_block(count)
    sums = 1 if transposed else gates
    groups = width * (gates if transposed else 1) // GROUP
    held = min(groups, _weights_in_registers(width, samples, itemsize) // (sums * VECTOR))
    found = Layout(groups, held, samples, width)
    vectors = 2 * samples * groups * GROUP * itemsize
    return found if held > 0 and found.shared_bytes(sums, width, itemsize) + vectors <= _shared_limit() else None


@device
def place(index):
    """An index of 32 bits that Numba need not ask whether it counts from the end."""
    return np.uint32(index)


@device
def way(forwards, steps, count, sample):
    """The first row of a sample, the distance to its next one, the first step, and that to the next step."""
    if forwards:
        return np.int32(sample), np.int32(count), np.int32(0), np.int32(1)
    return np.int32((steps - 1) * count + sample), np.int32(-count), np.int32(steps - 1), np.int32(-1)


@device
def clear(vectors, count):
    for e in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        vectors[e] = vectors.dtype.type(0)


@device
def _add_up(a, bit):
    return a + shuffle_xor(a, bit)


@device
def _sort_out(a, b, lane, bit):
    """The sum of both threads' a where this lane has not the bit, of their b where it has."""
    odd = lane & bit != 0
    return (b if odd else a) + shuffle_xor(a if odd else b, bit)


@functools.cache
def _adding(sums, samples):
    """add_up(p, lane): the sums over the threads of a unit of its parts p, each sum for one of the samples."""
    results = []
    for g in range(sums):
        found, bit = [f"p[{s * sums + g}]" for s in range(samples)], 1
        while bit < LANES:
            if len(found) > 1:
                found = [f"_sort_out({a}, {b}, lane, {bit})" for a, b in zip(found[::2], found[1::2], strict=True)]
            else:
                found = [f"_add_up({found[0]}, {bit})"]
            bit *= 2
        results += found
    namespace = globals() | {}
    define(namespace, "def add_up(p, lane):\n    return ({results},)\n", results=", ".join(results))
    return device(namespace["add_up"])


@functools.cache
def product(sums, groups, held, samples):
    """(lay_down, take, multiply): device functions for so many sums of a unit and samples of a block."""
    hold = holding(sums * held)
    parts_of = held_products(sums, groups, held, samples, GROUP)
    add_up = _adding(sums, samples)

    @device
    def lay_down(rest, packed, thread, threads):
        """The weights that this thread keeps in shared memory; no other thread reads them."""
        first = (sums * held * threads + thread) * VECTOR
        for j in range(sums * (groups - held)):
            at = j * threads * VECTOR
            store4(rest, at + thread * VECTOR, load4(packed, first + at))

    @device
    def take(packed, thread, threads):
        """The weights that this thread keeps in registers."""
        return hold(packed, thread * VECTOR, threads * VECTOR)

    @device
    def multiply(vectors, at, lane, own, rest, thread, threads):
        """The sums of this thread's unit for sample lane % samples of the block, whose vectors lie side by side from
        `at` on, with zeros beyond what there is of each."""
        parts = parts_of(own, vectors, at + lane * VECTOR, rest, thread * VECTOR, threads * VECTOR)
        return add_up(parts, lane)

    return lay_down, take, multiply


def run(kernel, found, sums, units, count, stream, *args):
    """Launch a version of a kernel, a block for each few samples."""
    shared = found.shared_bytes(sums, units, args[0].itemsize)
    launch(kernel, -(-count // found.samples), threads_of_block(units), stream, *args, shared=shared)


@jit
def _pack(packed, w, sums, units, threads, transposed):
    """packed[group, sum, thread, four of the depth]; 0 beyond the units and the depth there are."""
    for e in range(cuda.grid(1), packed.size, cuda.gridsize(1)):
        c, thread, sum_of_group = e % VECTOR, e // VECTOR % threads, e // (VECTOR * threads)
        unit, k = thread // LANES, sum_of_group // sums * GROUP + thread % LANES * VECTOR + c
        row, column = (k, unit) if transposed else (sum_of_group % sums * units + unit, k)
        there = unit < units and row < w.shape[0] and column < w.shape[1]
        packed[e] = w[row, column] if there else w.dtype.type(0)


def packed_weights(w, sums, groups, units, transposed, stream):
    """The weights w (sums * units, units), each group's four of all threads side by side. transposed: those of a single
    sum of a unit, over all rows of w."""
    threads = threads_of_block(units)
    packed = empty(groups * sums * threads * VECTOR, w.dtype)
    spread(_pack, packed.size, stream, packed, w, sums, units, threads, transposed)
    return packed
