"""One pass over flat arrays of equal size: what optimizers are made of.

A block makes the numbers of the pass by its first thread, then takes tiles of the run, four neighbours of every array
at a time, so that an array is read once and written once. Blocks are few and stay: the numbers are made once by each.
Sums over all elements leave a partial one of each block behind, in float64, which the next pass adds up, in each of
its blocks in the same order.
"""

import numpy as np

from .lanes import WARPS, block_sum
from .maps import put4, take4
from .ptx import VECTOR, on_boundary
from .target import SIMULATOR, THREADS, cuda, device, empty, jit, launch

# blocks that a multiprocessor holds at once: registers are held down to that; and of a launch at most, so that all
# blocks run from the beginning, on the 132 multiprocessors of a Hopper
RESIDENT = 4
MOST = 3 if SIMULATOR else 132 * RESIDENT
# arrays of which a thread takes two vectors before it computes; of more it takes one
FEW = 2

__all__ = [
    "MOST",
    "WARPS",
    "block_sum",
    "define_pass",
    "jit",
    "on_boundary",
    "put4",
    "run",
    "sums_of",
    "take4",
    "total",
]

# names of values that arrays are called otherwise
VALUES = {"param": "p", "grad": "g"}

_SOURCE = """
@device
def element({values}):
    real = type({first})
    {element}
    return {results}


@jit(launch_bounds=(THREADS, RESIDENT))
def {name}({arguments}):
    {shared}
    {guard}
    {totals}
    if cuda.threadIdx.x == 0:
        real = {one}.dtype.type
        {begin}
        {keep}
    cuda.syncthreads()
    {fetch}
    n = {one}.size
    straight = {straight}
    i = (cuda.blockIdx.x * {loads} * THREADS + cuda.threadIdx.x) * VECTOR
    while i < n:
        {body}
        i += cuda.gridDim.x * {loads} * THREADS * VECTOR
    {leave}
    if cuda.threadIdx.x == 0:
        {end}
"""


@device
def total(parts, partial, k):
    """The sum of column k of `partial`, to all threads of a block; parts: as of block_sum, float64."""
    s, b = np.float64(0), cuda.threadIdx.x
    while b < partial.shape[0]:
        s += partial[b, k]
        b += cuda.blockDim.x
    return block_sum(parts, s)


def _joined(lines, indent):
    lines = lines.strip("\n").split("\n") if isinstance(lines, str) else lines
    return ("\n" + " " * indent).join(lines) or "pass"


def define_pass(
    namespace,
    name,
    written,
    read,
    tail,
    element,
    *,
    begin="",
    numbers=(),
    scalars=(),
    sums=(),
    totals=(),
    end="",
    guard="",
    into=None,
    reads=None,
):
    """A kernel of (*written, *read, *tail), for `run`; put into the namespace of its module, or into `into`.

    element  lines that make a new value of each written array, of their values and those of the read ones (of param
             and grad: p and g), of numbers and scalars
    numbers  names of what `begin`, lines for the first thread of a block, makes for `element`
    scalars  names of the tail that `element` takes
    sums     expressions of an element that are added up in float64: the tail has an array `sums` for them, (blocks, s)
    totals   {name: column of the array `partial` in the tail}: sums of an earlier pass, for `begin` and `end`
    end      lines for the first thread of a block behind all
    guard    lines for all threads before all
    reads    the written arrays that are read first; None: all
    """
    arrays = [*written, *read]
    loaded = [a for a in arrays if a in read or reads is None or a in reads]
    value = {a: VALUES.get(a, a) for a in arrays}
    loads = 2 if len(loaded) <= FEW else 1
    body = []
    for part in range(loads):
        at = f"at{part}"
        body.append(f"{at} = i + {part} * THREADS * VECTOR")
        body.append(f"whole{part} = straight and {at} + VECTOR <= n")
        body += [f"{a}{part} = take4({a}, {at}, n, whole{part})" for a in loaded]
    given = [*numbers, *scalars]
    several = len(written) + len(sums) > 1
    for part in range(loads):
        for k in range(VECTOR):
            body.append(f"r{k} = element({', '.join([f'{a}{part}[{k}]' for a in loaded] + given)})")
        for j, a in enumerate(written):
            four = ", ".join(f"r{k}[{j}]" if several else f"r{k}" for k in range(VECTOR))
            body.append(f"put4({a}, at{part}, n, whole{part}, ({four}))")
        for k in range(VECTOR if sums else 0):
            body.append(f"if at{part} + {k} < n:")
            for j in range(len(sums)):
                body.append(f"    sum{j} += r{k}[{len(written) + j}]" if several else f"    sum{j} += r{k}")
    shared = [f"numbers = cuda.shared.array({len(numbers)}, {arrays[0]}.dtype)"] if numbers else []
    shared += ["parts = cuda.shared.array(WARPS, np.float64)"] if sums or totals else []
    begins = [f"sum{j} = np.float64(0)" for j in range(len(sums))]
    leave = [f"sum{j} = block_sum(parts, sum{j})" for j in range(len(sums))]
    stores = [f"sums[cuda.blockIdx.x, {j}] = sum{j}" for j in range(len(sums))]
    results = [value[a] for a in written] + [f"np.float64({s})" for s in sums]
    source = _SOURCE.format(
        name=name,
        values=", ".join([value[a] for a in loaded] + given),
        first=value[loaded[0]],
        element=_joined(element, 4),
        results=", ".join(results),
        arguments=", ".join([*arrays, *tail]),
        shared=_joined(shared, 4),
        guard=_joined(guard, 4),
        totals=_joined([f"{t} = total(parts, partial, {k})" for t, k in dict(totals).items()], 4),
        one=arrays[0],
        begin=_joined(begin, 8),
        keep=_joined([f"numbers[{k}] = real({number})" for k, number in enumerate(numbers)], 8),
        fetch=_joined([f"{number} = numbers[{k}]" for k, number in enumerate(numbers)] + begins, 4),
        straight=" and ".join(f"on_boundary({a})" for a in arrays),
        loads=loads,
        body=_joined(body, 8),
        leave=_joined(leave, 4),
        end=_joined(stores + end.strip("\n").split("\n"), 8),
    )
    scope = {**globals(), **namespace}
    exec(compile(source, f"<pass {name}>", "exec"), scope)
    function = (namespace if into is None else into)[name] = scope[name]
    _loads[function] = loads


# how many vectors a thread of a kernel takes at a time
_loads: dict = {}


def blocks_of(function, n):
    return max(1, min(-(-n // (_loads[function] * VECTOR * THREADS)), MOST))


def run(function, stream, first, *rest):
    """Start a pass over arrays of the size of the first."""
    launch(function, blocks_of(function, first.size), THREADS, stream, first, *rest)


def sums_of(function, count, stream, first, *rest):
    """Start a pass that adds `count` things up, and takes the array for it last: (blocks, count) partial sums."""
    blocks = blocks_of(function, first.size)
    sums = empty((blocks, count), np.float64)
    launch(function, blocks, THREADS, stream, first, *rest, sums)
    return sums
