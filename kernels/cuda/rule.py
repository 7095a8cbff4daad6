"""Update rules: what all share, and the one source of those that go through their arrays once.

A rule is a few lines about the numbers of a step and a few about one element (`define`). The numbers are made on the
device, in float64 as the CPU does, from `hyper` and the counters: so a captured step goes on counting and sees a new
learning rate. Then the block takes its part of the flat run (passes.py).

The step is counted in the same launch. Every block adds its share to step[0] when it is done, and all shares together
are 1; the sum is exact, in whatever order, since shares are multiples of 1 / SHARES. So step[0] rounded down is the
old count for every block that has still to read it, no block waits for another, nothing has to be zeroed before the
next launch, and the block that completes the sum knows that all others have read the counters: it writes those that
the rule moves on, and the rest of step.
"""

import numpy as np

from .functions import sqrt as sqrt  # for the lines of rules
from .passes import MOST, define_pass
from .target import cuda, device

# a power of two, no less than there are blocks
SHARES = 1 << (MOST - 1).bit_length()
# numbers of hyper that all rules may have behind their own: of what is done to the gradient (kernels/ref/rule.py)
SHAPING = 3

# the numbers of `descent`, for `define` and for its formula
PULL = ("factor", "bound", "decay", "l1")


@device
def steps_before(step):
    """Steps made before this one, though some blocks may have added their shares."""
    return np.float64(int(step[0]))


@device
def counted(step):
    """Add this block's share to step, by one of its threads; whether that was the last share of the step."""
    blocks, share = cuda.gridDim.x, np.float64(1.0 / SHARES)
    mine = share if cuda.blockIdx.x > 0 else np.float64(1) - (blocks - 1) * share
    # what was read is read before
    cuda.threadfence()
    now = cuda.atomic.add(step, 0, mine) + mine
    if now != np.float64(int(now)):
        return False
    for i in range(1, step.size):
        step[i] = now
    return True


@device
def power(x, t):
    """x**t for a whole t above 0, by squares: a tenth of pow's instructions, and x itself for t = 1."""
    n, found = int(t), np.float64(1)
    while n > 0:
        if n & 1:
            found *= x
        x *= x
        n >>= 1
    return found


@device
def pulled(hyper, own, weight_decay, maximize):
    """The numbers of `descent` in float64: (factor, bound, decay, l1)."""
    scale, bound, l1 = np.float64(1), np.float64(np.inf), np.float64(0)
    if hyper.size > own:
        scale, bound, l1 = hyper[own], hyper[own + 1], hyper[own + 2]
    return -scale if maximize else scale, bound, weight_decay, l1


@device
def descent(p, g, factor, bound, decay, l1):
    """What is gone down at an element. Without a decay the parameter is not multiplied: it may be infinite."""
    g = factor * g
    # a NaN is neither above nor below
    g = bound if g > bound else g
    g = -bound if g < -bound else g
    if l1 != 0:
        g += signed(p, l1)
    if decay != 0:
        g += decay * p
    return g


@device
def signed(x, size):
    """sign(x) * size, where sign(0) = 0 and NaN stays NaN."""
    return size if x > 0 else -size if x < 0 else x * size


def check(name, hyper, own, *counters):
    """ValueError for hyper of another size, and for counters that are not there."""
    if hyper.size not in (own, own + SHAPING):
        raise ValueError(f"{name}: hyper: expected the rule's numbers, and of the gradient three or none")
    if any(c.size == 0 for c in counters):
        raise ValueError(f"{name}: step, and what is counted with it, needs size 1 or more, got size 0")


def define(
    namespace, name, states, begin, numbers, element, scalars=(), counters=(), after="", guard="", counts="", totals=()
):
    """namespace[name]: a rule of one pass (passes.py) over (param, *states, grad, step, *counters, hyper, *scalars).

    states    arrays that the rule keeps, read and written
    begin     lines that make the numbers, in float64, of hyper, counters and scalars
    numbers   names of what `begin` makes for `element`
    element   lines that move p and a value for each state, of these, the gradient g, numbers and scalars
    counters  arrays that move on with step, by the lines of `after`
    guard     lines for all threads before anything else
    counts    a condition of the counting
    totals    as of define_pass: the scalars have `partial`
    """
    end = "if {}counted(step):\n{}\n    pass".format(
        counts and f"{counts} and ", "\n".join("    " + line for line in after.strip("\n").split("\n"))
    )
    tail = ("step", *counters, "hyper", *scalars)
    define_pass(
        {**globals(), **namespace},
        name,
        ("param", *states),
        ("grad",),
        tail,
        element,
        begin=begin,
        numbers=numbers,
        scalars=[scalar for scalar in scalars if scalar not in ("problem", "partial")],
        end=end,
        guard=guard,
        totals=totals,
        into=namespace,
    )
