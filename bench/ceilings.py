"""What this machine can do at best, measured in the run: multiply-adds, bytes moved at a footprint, a word handed over.

Every thread runs its own share in compiled code for many repetitions, so that starting it costs nothing.
"""

import functools
import os
import threading
import time

import numpy as np
from hotloop.kernels import state
from hotloop.kernels.cpu import amx
from hotloop.kernels.cpu.target import VECTOR_BYTES
from hotloop.kernels.jit import compiled, intrinsic, standalone
from llvmlite import ir
from numba import types
from numba.core import cgutils

# words of the state that nobody uses while no region runs
_CALL, _ANSWER = state.CLAIMED + 8 * 200, state.CLAIMED + 8 * 201

# independent chains: latency x units of any core of these days, and they fit the register file
CHAINS = 24 if VECTOR_BYTES == 64 else 12

# the features are there, and the system lets this process use them
AMX = state.words[state.PRODUCTS] > 0


@intrinsic
def _multiply_add(typing_context, steps, seed):
    """`steps` rounds of CHAINS independent fused multiply-adds on full vectors; gives a number that needs all."""

    def codegen(context, builder, signature, args):
        count, value = args
        scalar = ir.FloatType() if signature.args[1] == types.float32 else ir.DoubleType()
        bits = 32 if signature.args[1] == types.float32 else 64
        lanes = VECTOR_BYTES * 8 // bits
        vector = ir.VectorType(scalar, lanes)
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{lanes}f{bits}")
        spread = ir.Constant(vector, ir.Undefined)
        for lane in range(lanes):
            spread = builder.insert_element(spread, value, ir.Constant(ir.IntType(32), lane))
        # each chain starts elsewhere: equal ones would be merged into one
        starts = [builder.fadd(spread, ir.Constant(vector, [float(number)] * lanes)) for number in range(CHAINS)]
        before = builder.block
        body, after = builder.append_basic_block("fma.body"), builder.append_basic_block("fma.after")
        builder.branch(body)
        builder.position_at_end(body)
        index = builder.phi(ir.IntType(64))
        index.add_incoming(ir.Constant(ir.IntType(64), 0), before)
        chains = [builder.phi(vector) for _ in range(CHAINS)]
        for number, chain in enumerate(chains):
            chain.add_incoming(starts[number], before)
        updated = [builder.call(fma, [chain, spread, spread]) for chain in chains]
        for chain, new in zip(chains, updated, strict=True):
            chain.add_incoming(new, body)
        following = builder.add(index, ir.Constant(ir.IntType(64), 1))
        index.add_incoming(following, body)
        builder.cbranch(builder.icmp_signed("<", following, count), body, after)
        builder.position_at_end(after)
        total = updated[0]
        for new in updated[1:]:
            total = builder.fadd(total, new)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return seed(types.int64, seed), codegen


@compiled
def _peak(steps, seed):
    return _multiply_add(steps, seed)


@intrinsic
def _tile_products(typing_context, steps):
    """`steps` rounds of four AMX products, 16 x 16 x 32 each, into four tiles; the thread must be configured."""

    def codegen(context, builder, signature, args):
        def call(name, *tiles):
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8)] * len(tiles))
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}")
            builder.call(function, [ir.Constant(ir.IntType(8), tile) for tile in tiles])

        for tile in range(8):
            call("tilezero", tile)
        with cgutils.for_range(builder, args[0]):
            for tile in range(4):
                call("tdpbf16ps", tile, 4 + tile // 2, 6 + tile % 2)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@compiled
def _tile_peak(steps):
    amx.configure()
    _tile_products(steps)
    amx.release()


@standalone
def _call_out(count):
    for number in range(1, count + 1):
        state.store(_CALL, number)
        while state.load(_ANSWER) != number:
            pass


@standalone
def _answer(count):
    for number in range(1, count + 1):
        while state.load(_CALL) != number:
            pass
        state.store(_ANSWER, number)


@compiled
def _copy(repeats, to, source):
    # there and back: the next pass reads what this one wrote, so none can be left out
    for _ in range(repeats // 2):
        for i in range(to.size):
            to[i] = source[i]
        for i in range(to.size):
            source[i] = to[i]


@compiled
def _in_place(repeats, to, source):
    small = to.dtype.type(1e-4)
    for _ in range(repeats):
        for i in range(to.size):
            to[i] += small * source[i]


def threads():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _seconds(work, shares):
    """Wall time of work(*share) for all shares at once, a thread each; the best of ten."""
    best = np.inf
    for _ in range(10):
        team = [threading.Thread(target=work, args=share) for share in shares]
        began = time.perf_counter()
        for member in team:
            member.start()
        for member in team:
            member.join()
        best = min(best, time.perf_counter() - began)
    return best


def typical(call, budget=0.3):
    """Median wall time of a call, after one that does not count."""
    call()
    times, end = [], time.perf_counter() + budget
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


@functools.cache
def flops(dtype):
    """Floating-point operations a second of the FMA units, on all cores of this process."""
    one = np.dtype(dtype).type(0.5)
    _peak(np.int64(1), one)
    steps = 3_000_000  # some 20 ms: starting the threads costs a fifth of one
    seconds = _seconds(_peak, [(np.int64(steps), one)] * threads())
    return threads() * steps * CHAINS * 2 * (VECTOR_BYTES // one.itemsize) / seconds


@functools.cache
def amx_flops(products=6):
    """Floating-point operations a second of the AMX tiles where one float32 product takes so many of bf16."""
    _tile_peak(np.int64(1))
    steps = 200_000
    seconds = _seconds(_tile_peak, [(np.int64(steps),)] * threads())
    return threads() * steps * 4 * (2 * 16 * 16 * 32) / products / seconds


def round_trip():
    """Seconds until a word written by one core has come back from another; nan with one core.

    Some 50 ns where the two share their outer cache, several times that where they do not. A virtual machine's cores
    may be moved by its host at any time, and whatever two threads share is then as far away as that.
    """
    if threads() == 1:
        return float("nan")
    count, best = 2000, np.inf
    for _ in range(3):
        state.words[[_CALL, _ANSWER]] = 0
        other = threading.Thread(target=_answer, args=(count,))
        other.start()
        time.sleep(0.002)
        began = time.perf_counter()
        _call_out(count)
        best = min(best, time.perf_counter() - began)
        other.join()
    return best / count


def bandwidth(footprint, in_place=False):
    """Bytes a second, read and written, by a copy or an update a += s * b that touches `footprint` bytes in all."""
    # a quarter octave is as fine as it matters
    return _bandwidth(int(4 * np.log2(max(footprint, 4096))), in_place)


@functools.cache
def _bandwidth(quarters, in_place):
    team = threads()
    elements = int(2 ** (quarters / 4) / 8 / team)
    repeats = max(2, 2 * int(1e8 / team / (elements * 8)) // 2)
    arrays = [[np.ones(elements, np.float32) for _ in range(2)] for _ in range(team)]
    work, moved = (_in_place, 12) if in_place else (_copy, 8)
    work(2, *arrays[0])
    seconds = _seconds(work, [(repeats, *share) for share in arrays])
    return team * repeats * elements * moved / seconds
