"""What all losses share on the device: one pass for values and gradients, their reduction, and one backward.

A loss of single elements is a formula of kernels/loss_formulas.py and a call of `define_loss`: threads stride over
vectors of four elements, write the gradients that are wanted and keep the sum of the values; a block adds its threads'
sums, and a second launch those of the blocks, always in the same order. Few elements are one block, and one launch.

Loops over the grid are `while`s, here and elsewhere: a range whose step is not constant counts its steps first, by a
division of 64 bits.
"""

import numpy as np

from .. import loss_formulas
from ..binding import bind
from ..template import define
from . import status  # noqa: F401  (in LOSS)
from .functions import exp, log, log1p
from .lanes import WARPS, block_sum
from .layout import over_rows
from .ptx import VECTOR, aligned, load4, store4
from .target import SIMULATOR, THREADS, cuda, device, empty, jit, kernel, launch

NONE, MEAN, SUM = 0, 1, 2

# elements that one block takes alone; blocks of more, which a block can add up in few steps
ALONE, MOST = (8, 3) if SIMULATOR else (4096, 1024)

formulas = bind(loss_formulas, device, exp=exp, log=log, log1p=log1p)

LOSS = '''
@jit
def {name}(out, each, {arrays}, {numbers}fours, scale, factor{problem}):
    """out  every value, or for each block the sum of its values times `factor`"""
    parts = cuda.shared.array(WARPS, {x}.dtype)
    one, total, wrong = {x}.dtype.type(1), {x}.dtype.type(0), False
    ones = one, one, one, one
    q, step = cuda.grid(1), cuda.gridsize(1)
    while q < fours:
        i = VECTOR * q
        {vectors}
        if each:
            store4(out, i, (v0[0], v1[0], v2[0], v3[0]))
        total += (v0[0] + v1[0]) + (v2[0] + v3[0])
        q += step
    i = VECTOR * fours + cuda.grid(1)
    while i < {x}.size:
        {elements}
        if each:
            out[i] = v[0]
        total += v[0]
        i += step
    {report}
    if not each:
        total = block_sum(parts, total)
        if cuda.threadIdx.x == 0:
            out[cuda.blockIdx.x] = total * factor
'''


def define_loss(name, formula, gradients, inputs, numbers="", optional="", problem=""):
    """Device code `name` for a formula that gives (value, slopes ..., what is wrong) of one element.

    gradients, inputs, numbers  names of its slopes and of its arguments
    optional                    inputs that may be absent: they are 1 then
    problem                     name of a code in status.py: the formula gives last whether to report it
    """
    gradients, inputs, numbers, optional = (names.split() for names in (gradients, inputs, numbers, optional))
    vectors, elements = [], []
    for x in inputs:
        there = f" if {x}.size > 0 else " if x in optional else ""
        vectors.append(f"{x}4 = load4({x}, i){there and there + 'ones'}")
        elements.append(f"{x}1 = {x}[i]{there and there + 'one'}")
    for k in range(VECTOR):
        vectors.append(f"v{k} = formula({', '.join([f'{x}4[{k}]' for x in inputs] + numbers)})")
    elements.append(f"v = formula({', '.join([f'{x}1' for x in inputs] + numbers)})")
    for g, gradient in enumerate(gradients, 1):
        slopes = ", ".join(f"scale * v{k}[{g}]" for k in range(VECTOR))
        vectors += [f"if {gradient}.size > 0:", f"    store4({gradient}, i, ({slopes}))"]
        elements += [f"if {gradient}.size > 0:", f"    {gradient}[i] = scale * v[{g}]"]
    if problem:
        last = len(gradients) + 1
        vectors.append("wrong = wrong or " + " or ".join(f"v{k}[{last}]" for k in range(VECTOR)))
        elements.append(f"wrong = wrong or v[{last}]")
    scope = {**globals(), "formula": formula}
    define(
        scope,
        LOSS,
        name=name,
        x=inputs[0],
        arrays=", ".join(gradients + inputs),
        numbers="".join(f"{n}, " for n in numbers),
        problem=", problem" if problem else "",
        vectors="\n        ".join(vectors),
        elements="\n        ".join(elements),
        report=f"if wrong:\n        problem[0] = status.{problem}" if problem else "",
    )
    return scope[name]


def run_loss(function, loss, gradients, inputs, numbers, reduction, stream, *problem):
    """Launch what `define_loss` defined, and add up the blocks' sums."""
    x = inputs[0]
    n, real = x.size, x.dtype.type
    check_loss(loss, n, reduction)
    each = reduction == NONE
    blocks = 1 if n <= ALONE else min(-(-n // (2 * VECTOR * THREADS)), MOST)
    if each and n > ALONE:
        blocks = -(-n // (VECTOR * THREADS))
    share = (1 / n if n else np.inf) if reduction == MEAN else 1
    out = loss if each or blocks == 1 else empty((blocks,), x.dtype)
    fours = n // VECTOR if aligned(*gradients, *inputs, *([out] if each else [])) else 0
    numbers = [real(number) if isinstance(number, float) else number for number in numbers]
    factor = real(share if blocks == 1 else 1)
    # the gradient of a mean over nothing is nothing
    scale = real(share if n else 1)
    arrays = (*gradients, *inputs)
    launch(function, blocks, THREADS, stream, out, each, *arrays, *numbers, fours, scale, factor, *problem)
    if out is not loss:
        add_up(loss, out, n, reduction, stream)


@jit
def _add_up(loss, values, divisor):
    parts = cuda.shared.array(WARPS, np.float64)
    total = np.float64(0)
    i = cuda.threadIdx.x
    while i < values.size:
        total += values[i]
        i += cuda.blockDim.x
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        loss[0] = total / divisor


def add_up(loss, values, count, reduction, stream):
    """loss[0] = sum of values, divided by count for a mean; one block, float64."""
    divisor = np.float64(count if reduction == MEAN else 1)
    launch(_add_up, 1, THREADS, stream, loss, values, divisor)


def check_loss(loss, samples, reduction):
    """Refuse a reduction that is none of 0, 1, 2 and a `loss` of the wrong size."""
    if reduction not in (NONE, MEAN, SUM):
        raise ValueError("reduction: expected 0 (none), 1 (mean) or 2 (sum)")
    if loss.size != (samples if reduction == NONE else 1):
        raise ValueError("loss: expected one value a sample for reduction none, else one value")


# ---- backward


@jit
def _scale(dx, dloss, saved, fours):
    """dx = dloss * saved, or * dx where nothing is saved; dloss of one value, or of one an element."""
    single = dloss.size == 1
    factor = dloss[0]
    if saved.size == 0 and single and factor == 1:
        return
    q, step = cuda.grid(1), cuda.gridsize(1)
    while q < fours:
        i = VECTOR * q
        a = load4(saved, i) if saved.size > 0 else load4(dx, i)
        f = (factor, factor, factor, factor) if single else load4(dloss, i)
        store4(dx, i, (f[0] * a[0], f[1] * a[1], f[2] * a[2], f[3] * a[3]))
        q += step
    i = VECTOR * fours + cuda.grid(1)
    while i < dx.size:
        dx[i] = (factor if single else dloss[i]) * (saved[i] if saved.size > 0 else dx[i])
        i += step


@jit
def _scale_samples(dx, dloss, saved, rows, row, trailing):
    """Row n of dx holds `row` elements; element j goes with dloss[n, j % trailing]."""
    n = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if n < rows:
        step = cuda.gridDim.y * cuda.blockDim.x
        j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        # trailing positions go along without a division
        m, skip = j % trailing, step % trailing
        while j < row:
            i = n * row + j
            dx[i] = dloss[n * trailing + m] * (saved[i] if saved.size > 0 else dx[i])
            m += skip
            if m >= trailing:
                m -= trailing
            j += step


@kernel
def loss_backward(dx, dloss, saved, stream=0):
    """One launch: a flat pass of vectors, which does nothing in place when the upstream gradient is one; rows where
    each sample has its own."""
    n, c, m = dx.shape
    if dloss.size not in (1, n * m):
        raise ValueError("loss_backward: dloss: expected one value, or one a sample")
    flat, saved = dx.reshape(-1), saved.reshape(-1)
    if dloss.size == 1 or c == 1:
        arrays = [flat, saved] if dloss.size == 1 else [flat, dloss, saved]
        fours = flat.size // VECTOR if aligned(*arrays) else 0
        blocks = min(-(-flat.size // (VECTOR * THREADS)), 2 * MOST)
        launch(_scale, blocks, THREADS, stream, flat, dloss, saved, fours)
    else:
        over_rows(_scale_samples, n, c * m, stream, flat, dloss, saved, n, c * m, m)
