"""Sums of a formula over a whole array, in float64: one of each block, which another launch adds, always in one order.

Few elements are one block, and one launch.
"""

import numpy as np

from . import functions
from .lanes import WARPS, block_sum
from .ptx import VECTOR, load4, on_boundary, wide  # noqa: F401  (in the source)
from .target import SIMULATOR, THREADS, cuda, device, empty, jit, launch  # noqa: F401  (in the source)

# elements that one block takes alone; and the most blocks, which one block can add up in few steps
ALONE, MOST = (8, 3) if SIMULATOR else (8192, 1024)
# elements that a thread should have
SHARE = 4 * VECTOR

SOURCE = """
@device
def formula(x{scalars}):
    x = np.float64(x)
    return {value}


@device
def of_four(v{scalars}):
    left = formula(v[0]{scalars}) + formula(v[1]{scalars})
    return left + (formula(v[2]{scalars}) + formula(v[3]{scalars}))


@jit
def {name}(out, of, keep{scalars}):
    parts = cuda.shared.array(WARPS, np.float64)
    total = np.float64(0)
    fours = of.size // VECTOR if on_boundary(of) else 0
    q, step = cuda.grid(1), cuda.gridsize(1)
    while q + step < fours:
        # two vectors under way
        v, w = load4(of, VECTOR * q), load4(of, VECTOR * (q + step))
        total += of_four(v{scalars}) + of_four(w{scalars})
        q += 2 * step
    if q < fours:
        total += of_four(load4(of, VECTOR * q){scalars})
    i = VECTOR * fours + cuda.grid(1)
    while i < of.size:
        total += formula(wide(of[i]){scalars})
        i += step
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        out[cuda.blockIdx.x] = out[0] + total if keep else total
"""


def define_total(name, value, scalars=()):
    """A kernel for `run_total`: the sum of a formula over x, in float64, and scalars."""
    source = SOURCE.format(name=name, value=value, scalars="".join(f", {s}" for s in scalars))
    elementary = {n: f for n, f in vars(functions).items() if not n.startswith("_")}
    scope = {**elementary, **globals()}
    exec(compile(source, f"<total {name}>", "exec"), scope)
    return scope[name]


@jit
def _add_up(out, blocks, keep):
    parts = cuda.shared.array(WARPS, np.float64)
    total = np.float64(0)
    i = cuda.threadIdx.x
    while i < blocks.size:
        total += blocks[i]
        i += THREADS
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        out[0] = out[0] + total if keep else total


def blocks_for(n):
    """How many blocks share n elements: by their number alone."""
    return 1 if n <= ALONE else min(-(-n // (SHARE * THREADS)), MOST)


def run_total(function, out, x, keep, stream, *scalars):
    """out[0] = the sum over x, added to what is there where `keep`; scalars as float64."""
    blocks = blocks_for(x.size)
    if blocks == 1:
        launch(function, 1, THREADS, stream, out, x, keep, *scalars)
        return
    sums = empty((blocks,), np.float64)
    launch(function, blocks, THREADS, stream, sums, x, False, *scalars)
    launch(_add_up, 1, THREADS, stream, out, sums, keep)
