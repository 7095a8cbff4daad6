"""What update rules share: the gradient that they go down, the count of their steps, the size of a chunk."""

import math

from ..jit import compiled, inlined

# a chunk is tens of microseconds of memory traffic
GRAIN = 16384


@inlined
def descent(param, grad, sign, decay):
    """g, of one element; sign is -1 to climb. Without decay the parameter is not multiplied: it may be infinite."""
    g = sign * grad
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
