"""What update rules share: the gradient that they go down, the count of their steps, the size of a chunk."""

import math

import numpy as np

from ..jit import compiled, inlined

# a chunk is tens of microseconds of memory traffic
GRAIN = 32768


@compiled
def pulled(hyper, own, weight_decay, maximize, real):
    """What makes a gradient into what a rule goes down, for `descent`: (factor, plain, bound, decay, l1)."""
    if hyper.size != own and hyper.size != own + 3:
        raise ValueError("hyper: expected the rule's numbers, and of the gradient three or none")
    scale, bound, l1 = 1.0, np.inf, 0.0
    if hyper.size > own:
        scale, bound, l1 = hyper[own], hyper[own + 1], hyper[own + 2]
    factor = -scale if maximize else scale
    plain = weight_decay == 0 and l1 == 0 and bound == np.inf
    return real(factor), plain, real(bound), real(weight_decay), real(l1)


@inlined
def descent(param, grad, pull):
    """g, of one element. Without a decay the parameter is not multiplied: it may be infinite."""
    factor, plain, bound, decay, l1 = pull
    g = factor * grad
    # one question that LLVM settles outside of the loop
    if not plain:
        # a NaN is neither above nor below
        g = bound if g > bound else g
        g = -bound if g < -bound else g
        g += signed(param, l1)
        if decay != 0:
            g += decay * param
    return g


@inlined
def signed(x, size):
    """sign(x) * size, where sign(0) = 0 and NaN stays NaN."""
    return size if x > 0 else -size if x < 0 else x * size


@compiled
def count(step):
    """t: the number of the step that begins."""
    if step.size == 0:
        raise ValueError("step needs size 1 or more, got size 0")
    for i in range(step.size):
        step[i] += 1
    return step[0]


@compiled
def sign(maximize, real):
    """What the gradient is multiplied by."""
    return real(-1) if maximize else real(1)


@compiled
def norms(squares):
    """Two norms from their sums of squares, which lie in turn, chunk by chunk; added in order."""
    first = second = 0.0
    for chunk in range(squares.size // 2):
        first += squares[2 * chunk]
        second += squares[2 * chunk + 1]
    return math.sqrt(first), math.sqrt(second)
