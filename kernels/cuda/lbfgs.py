"""The vector work of L-BFGS (passes.py). Sums are in float64, of each block, and added in order by who wants them.

The two loops of the direction are one pass over d, y and s for each pair: what a pair changes of d is at hand when the
next pair's product wants it. Factors stay on the device.
"""

import numpy as np

from .passes import WARPS, define_pass, run, sums_of, total
from .target import THREADS, cuda, empty, jit, kernel, launch

DOT = "np.float64({0}) * np.float64({1})"

define_pass(
    globals(),
    "_lbfgs_pair",
    ("difference", "step"),
    ("grad", "previous", "d"),
    ("t", "sums"),
    "difference = g - previous\nstep = t * d",
    scalars=("t",),
    sums=(DOT.format("difference", "step"), DOT.format("difference", "difference")),
    reads=(),
)
define_pass(globals(), "_lbfgs_dots", (), ("a", "b"), ("sums",), "pass", sums=(DOT.format("a", "b"),))
define_pass(
    globals(),
    "_lbfgs_begin",
    ("d",),
    ("grad", "along"),
    ("sums",),
    "d = -g",
    sums=(DOT.format("d", "along"),),
    reads=(),
)
define_pass(globals(), "_opposite", ("d",), ("grad",), ("scale",), "d = -g * scale", scalars=("scale",), reads=())
define_pass(globals(), "_move", ("y",), ("x", "d"), ("t",), "y = x + t * d", scalars=("t",), reads=())

# the product that the last pass left behind, and what it makes of this pair; every block works it out
BACK = """
factor = rho[pair] * dot
change, before = -factor, 1.0
"""
FORTH = """
change = factors[turn] - rho[pair] * (dot * scale)
before = scale
"""
KEEP = """
if cuda.blockIdx.x == 0:
    factors[turn] = factor
"""
for _name, _lines, _end in (("_lbfgs_back", BACK, KEEP), ("_lbfgs_forth", FORTH, "")):
    define_pass(
        globals(),
        _name,
        ("d",),
        ("x", "following"),
        ("rho", "factors", "pair", "turn", "scale", "partial", "sums"),
        "d = before * d + change * x",
        begin=_lines,
        numbers=("before", "change"),
        sums=(DOT.format("d", "following"),),
        totals={"dot": 0},
        end=_end,
    )


@jit
def _lbfgs_products(products, rho, partial):
    parts = cuda.shared.array(WARPS, np.float64)
    for j in range(products.size):
        dot = total(parts, partial, j)
        if cuda.threadIdx.x == 0:
            products[j] = dot
            if j == 0 and rho.size > 0:
                rho[0] = 1 / dot


@kernel
def memory_forward(difference, step, rho, products, grad, previous, d, t, stream=0):
    """One pass that makes the pair and both products, and a launch that adds these up."""
    t = d.dtype.type(t)
    partial = sums_of(_lbfgs_pair, 2, stream, difference, step, grad, previous, d, t)  # noqa: F821
    launch(_lbfgs_products, 1, THREADS, stream, products, rho, partial)


@kernel
def direction_forward(d, grad, differences, steps, rho, first, count, scale, stream=0):
    """Two passes for each pair, over three arrays each."""
    rows = rho.size
    if count < 0 or count > rows or first < 0 or first >= max(rows, 1):
        raise ValueError("direction_forward: expected 0 <= first < M and 0 <= count <= M")
    if count == 0:
        run(_opposite, stream, d, grad, d.dtype.type(scale))  # noqa: F821
        return
    factors = empty((count,), np.float64)
    last = (first + count - 1) % rows
    partial = sums_of(_lbfgs_begin, 1, stream, d, grad, steps[last])  # noqa: F821
    for i in range(count - 1, -1, -1):
        k = (first + i) % rows
        # at the end the first pair of the second loop is the same one
        following = steps[(first + i - 1) % rows] if i > 0 else differences[k]
        args = d, differences[k], following, rho, factors, k, i, 1.0, partial
        partial = sums_of(_lbfgs_back, 1, stream, *args)  # noqa: F821
    for i in range(count):
        k = (first + i) % rows
        # what the scale does to d it does to the product
        by = scale if i == 0 else 1.0
        args = d, steps[k], differences[(first + i + 1) % rows], rho, factors, k, i, by, partial
        partial = sums_of(_lbfgs_forth, 1, stream, *args)  # noqa: F821


@kernel
def dot_forward(total, a, b, stream=0):
    """One pass over both, and a launch that adds up what it leaves."""
    partial = sums_of(_lbfgs_dots, 1, stream, a, b)  # noqa: F821
    launch(_lbfgs_products, 1, THREADS, stream, total, total[:0], partial)


@kernel
def move_forward(y, x, d, t, stream=0):
    """One pass over all three."""
    run(_move, stream, y, x, d, d.dtype.type(t))  # noqa: F821
