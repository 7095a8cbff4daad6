"""The CTC loss on the device: two blocks a sample, one goes through its steps forwards, one meanwhile backwards.

Places (blanks, and the labels behind them) lie across the threads of a block. Two rows of sums are in shared memory,
and the probabilities of the next few steps beside them: a step is a few operations and a barrier, and what it reads of
x has come before. Sums of all steps go to a workspace, from which a second launch, with a block for each step of each
sample, makes the gradient: there, too, every sum has one thread, or one order. What is a number: ctc_formulas.py.
"""

import math

import numpy as np

from .. import ctc_checks
from ..ctc_formulas import LEAST
from . import status
from .ctc_steps import normal, power, probability, step_backwards, step_forwards, two
from .functions import log
from .lanes import WARPS, block_sum
from .loss import MEAN, NONE, add_up, check_loss
from .target import SIMULATOR, WARP, cuda, device, empty, jit, kernel, launch

# threads of a block at most; steps that are read at once at most
MOST, DEPTH = (8, 3) if SIMULATOR else (512, 8)
# shared memory of a block that any device since Ampere has
ROOM = 96 * 1024
LN2 = math.log(2)


@device
def _first(parts, sizes, step, n):
    """Where the labels of sample n begin, for all threads of a block."""
    if step > 0:
        return n * step
    before, i = np.int64(0), cuda.threadIdx.x
    while i < n:
        before += sizes[i]
        i += cuda.blockDim.x
    return block_sum(parts, before)


@device
def _refused(lengths, sizes, steps, labels, step, n, first, problem):
    """Whether the lengths of sample n lead out of x or targets; one thread reports it."""
    code = np.int32(0)
    if lengths[n] < 0 or lengths[n] > steps:
        code = np.int32(status.INPUT_LENGTH)
    elif sizes[n] < 0 or (step > 0 and sizes[n] > step):
        code = np.int32(status.TARGET_LENGTH)
    elif step == 0 and (first < 0 or first + sizes[n] > labels or (n == sizes.size - 1 and first + sizes[n] < labels)):
        code = np.int32(status.TARGET_COUNT)
    if code != 0 and cuda.threadIdx.x == 0:
        problem[0] = code
    return code != 0


@device
def _prepare(room, ahead, width, targets, first, count, classes, forwards, problem):
    """Zeros in both rows but for the place that all paths start from; where labels may follow each other directly."""
    real = room.dtype.type
    k = cuda.threadIdx.x
    while k < width:
        for field in range(4):
            nothing = real(LEAST) if field % 2 else real(0)
            room[field * width + k] = nothing
            room[(4 + field) * width + k] = nothing
        if k == (0 if forwards else count):
            room[k], room[width + k] = real(1), real(0)
        # label k after label k-1; backwards, label k+1 after label k
        later = k if forwards else k + 1
        differ = later > 0 and later < count and targets[first + later] != targets[first + later - 1]
        room[ahead + k] = real(0) if differ else real(-math.inf)
        if k < count and (targets[first + k] < 0 or targets[first + k] >= classes):
            problem[0] = status.TARGET
        k += cuda.blockDim.x


@device
def _find_next(follow, at, targets, first, count):
    """For each label the place of the next one of its class, or 0; -1 minus that for all but the first of a class."""
    k = cuda.threadIdx.x
    while k < count:
        label, seen, j = targets[first + k], False, 0
        while j < k:
            seen = seen or targets[first + j] == label
            j += 1
        j = k + 1
        while j < count and targets[first + j] != label:
            j += 1
        following = j if j < count else 0
        follow[at + k] = -1 - following if seen else following
        k += cuda.blockDim.x


@device
def _read(room, symbols, width, x, t, n, targets, first, count, blank):
    """Probabilities of one step: of each label, of none behind the last, and of the blank behind that."""
    real = room.dtype.type
    k = cuda.threadIdx.x
    while k < count + 2:
        m, e = real(0), real(0)
        if k != count:
            label = targets[first + k] if k < count else blank
            # reported; it must not index
            if label >= 0 and label < x.shape[2]:
                m, e = probability(x[t, n, label])
        room[symbols + k], room[symbols + width + k] = m, e
        k += cuda.blockDim.x


@jit
def _through_time(
    values, total, forth, back, follow, x, targets, lengths, sizes, step, blank, columns, depth, mean, zero, problem
):
    """values: losses; total (N, 2): what all paths have together; forth, back (N, T, 4, columns): sums of all steps."""
    room, parts = cuda.shared.array(0, x.dtype), cuda.shared.array(WARPS, np.int64)
    real = x.dtype.type
    steps, samples, classes = x.shape
    forwards = cuda.blockIdx.x < samples
    n = cuda.blockIdx.x if forwards else cuda.blockIdx.x - samples
    first = _first(parts, sizes, step, n)
    refused = _refused(lengths, sizes, steps, targets.size, step, n, first, problem)
    length = 0 if refused else lengths[n]
    # more labels than steps have no path, whatever they are
    fits = not refused and sizes[n] < columns
    count = sizes[n] if fits else 0
    width = columns + 1
    row, ahead, stage = 4 * width, 8 * width, 9 * width
    _prepare(room, ahead, width, targets, first, count, classes, forwards, problem)
    if forwards and forth.size > 0:
        _find_next(follow, n * columns, targets, first, count)
    old, done = 0, 0
    while done < length:
        some = min(depth, length - done)
        for d in range(some):
            t = done + d if forwards else length - 1 - done - d
            _read(room, stage + 2 * width * d, width, x, t, n, targets, first, count, blank)
        cuda.syncthreads()
        for d in range(some):
            t = done + d if forwards else length - 1 - done - d
            symbols, at = stage + 2 * width * d, (n * steps + t) * 4 * columns
            if forwards:
                step_forwards(room, old, row - old, ahead, symbols, width, count, forth, at)
            else:
                step_backwards(room, old, row - old, ahead, symbols, width, count, back, at)
            old = row - old
            cuda.syncthreads()
        done += some
    cuda.syncthreads()
    if forwards and cuda.threadIdx.x == 0:
        last = old + 2 * width + count
        m, e = two(room[old + count], room[old + width + count], room[last], room[last + width])
        m, e = normal(m if fits else real(0), e)
        loss = -(log(m) + e * real(LN2))
        total[2 * n], total[2 * n + 1] = m, e
        loss = real(0) if zero and loss == real(math.inf) else loss
        values[n] = loss / real(max(1, sizes[n])) if mean else loss


@device
def _occupied(forth, back, at, columns, share, e):
    """The part of all paths, whose number is 2^e / share, that is at a place at a step."""
    real = forth.dtype.type
    # more than 2 is what rounding has made of the largest exponents
    return forth[at] * share * back[at] * power(min(forth[at + columns] + back[at + columns] - e, real(2)))


@jit
def _gradient(dx, total, forth, back, follow, targets, lengths, sizes, step, blank, columns, mean, zero):
    """A block for each step of each sample. All of a class are added by one thread, in their order."""
    parts = cuda.shared.array(WARPS, np.int64)
    sums = cuda.shared.array(WARPS, dx.dtype)
    real = dx.dtype.type
    steps, samples, classes = dx.shape
    t = cuda.blockIdx.x // samples
    n = cuda.blockIdx.x - t * samples
    first, inside = _first(parts, sizes, step, n), t < lengths[n]
    m, e = total[2 * n], total[2 * n + 1]
    # NaN is not 0, and goes its way
    finite = m != real(0)
    count = sizes[n] if inside and finite else -1
    c, fill = cuda.threadIdx.x, real(math.nan) if inside and not finite and not zero else real(0)
    while c < classes:
        dx[t, n, c] = fill
        c += cuda.blockDim.x
    factor = real(-1) / (real(max(1, sizes[n])) * real(samples)) if mean else real(-1)
    share, at = real(1) / m, (n * steps + t) * 4 * columns
    k, blanks = cuda.threadIdx.x, real(0)
    while k <= count:
        blanks += _occupied(forth, back, at + k, columns, share, e)
        k += cuda.blockDim.x
    # behind its barriers the row is filled
    blanks = block_sum(sums, blanks)
    if cuda.threadIdx.x == 0 and count >= 0:
        dx[t, n, blank] = factor * blanks
    cuda.syncthreads()
    k, at = cuda.threadIdx.x, at + 2 * columns
    while k < count:
        following, label = follow[n * columns + k], targets[first + k]
        if following >= 0 and label >= 0 and label < classes:
            of_class = _occupied(forth, back, at + k, columns, share, e)
            while following > 0:
                of_class += _occupied(forth, back, at + following, columns, share, e)
                following = -1 - follow[n * columns + following]
            # a label may be the blank
            dx[t, n, label] += factor * of_class
        k += cuda.blockDim.x


def _plan(x, labels, step):
    """(places of a sample at most, steps that are read at once, bytes of shared memory)"""
    columns = min(step or labels, x.shape[0]) + 1
    line = (columns + 1) * x.itemsize
    depth = min(DEPTH, (ROOM // line - 9) // 2)
    if depth < 1:
        most = ROOM // (11 * x.itemsize) - 2
        raise ValueError(
            f"ctc_forward: targets: expected room for {most} labels a sample at most on CUDA, got {columns - 1}; "
            "padded targets need no more than the longest, others as much as all labels or steps"
        )
    return columns, depth, (9 + 2 * depth) * line


@kernel
def ctc_forward(loss, dx, x, targets, input_lengths, target_lengths, step, blank, zero_infinity, reduction, stream=0):
    """One launch for the loss, which goes both ways where the gradient is wanted; another for that, and one to add up
    losses. What is wrong with lengths or labels is told by the next call that waits for the device."""
    steps, samples, classes = x.shape
    check_loss(loss, samples, reduction)
    ctc_checks.check_sizes(samples, classes, targets.size, step, blank)
    columns, depth, shared = _plan(x, targets.size, step)
    values = loss if reduction == NONE else empty((samples,), x.dtype)
    total, kept = empty((2 * samples,), x.dtype), 4 * columns * steps * samples if dx.size else 0
    forth, back = empty((kept,), x.dtype), empty((kept,), x.dtype)
    follow = empty((samples * columns if dx.size else 0,), np.int32)
    flags = columns, depth, reduction == MEAN, zero_infinity
    arrays = forth, back, follow, x, targets, input_lengths, target_lengths, step, blank
    blocks, threads = samples * (2 if dx.size else 1), _threads(columns)
    launch(_through_time, blocks, threads, stream, values, total, *arrays, *flags, status.word(), shared=shared)
    if dx.size:
        arrays = total, forth, back, follow, targets, input_lengths, target_lengths, step, blank
        flags = columns, reduction == MEAN, zero_infinity
        launch(_gradient, steps * samples, _threads(max(columns, classes)), stream, dx, *arrays, *flags)
    if reduction != NONE:
        add_up(loss, values, samples, reduction, stream)


def _threads(n):
    return min(MOST, -(-n // WARP) * WARP)
