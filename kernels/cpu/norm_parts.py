"""What the norms share: stable statistics in one pass, and the loops over a line.

Deviations are summed up about a centre that is near the mean: for the first block its own mean, for each later one the
mean of all before it. Blocks are joined in float64 (Chan, Golub, LeVeque 1979). Where a block lies far from the centre,
what the subtraction loses is small beside what the distance itself adds to the variance: nothing cancels, and an
element comes from memory once.

A mean is used in two parts, `near`, its value in the dtype, and the rest, which goes into the shift: x - near is exact
where x is close to the mean.
"""

import math

from ..jit import compiled, leaf

# elements that are summed up in the dtype before they are joined in float64: 8 KB, which the first cache holds
BLOCK = 2048
# elements that a chunk of work has at least
GRAIN = 16384


@leaf
def apart(v, centre):
    """v - centre, exactly so: where sums may be reordered, one of differences would become a difference of sums."""
    return v - centre


@compiled
def total(line):
    s = line.dtype.type(0)
    for i in range(line.size):
        s += line[i]
    return s


@compiled
def about(line, centre):
    """Sums of the deviations from centre and of their squares."""
    first, second = line.dtype.type(0), line.dtype.type(0)
    for i in range(line.size):
        d = apart(line[i], centre)
        first += d
        second += d * d
    return first, second


@compiled
def join(count, mean, square, n, centre, first, second):
    """Mean and squared deviations of count elements and n more, whose deviations from centre are summed up."""
    own = first / float(n)
    shift, whole = centre + own - mean, float(count + n)
    square += max(0.0, second - own * first) + shift * shift * (count * n / whole)
    return mean + shift * (n / whole), square


@compiled
def moments(line):
    """Mean and population variance in float64; 0 of nothing."""
    mean, square = 0.0, 0.0
    head = line[:BLOCK]
    centre = line.dtype.type(total(head) / max(head.size, 1))
    for begin in range(0, line.size, BLOCK):
        part = line[begin : begin + BLOCK]
        first, second = about(part, centre)
        mean, square = join(begin, mean, square, part.size, float(centre), float(first), float(second))
        centre = line.dtype.type(mean)
    return mean, square / max(line.size, 1)


@compiled
def inverse_root(variance, eps):
    return 1.0 / math.sqrt(variance + eps)


@compiled
def scaled(out, line, near, scale, shift):
    """out = (line - near) scale + shift"""
    for i in range(out.size):
        out[i] = (line[i] - near) * scale + shift


@compiled
def slopes(slope, line, near):
    """Sums of slope and of slope (line - near), in float64 over blocks."""
    plain, product = 0.0, 0.0
    for begin in range(0, line.size, BLOCK):
        s, v = slope[begin : begin + BLOCK], line[begin : begin + BLOCK]
        first, second = line.dtype.type(0), line.dtype.type(0)
        for i in range(v.size):
            first += s[i]
            second += s[i] * (v[i] - near)
        plain += first
        product += second
    return plain, product


@compiled
def combined(out, slope, line, near, a, p, q):
    """out = a slope + p (line - near) + q"""
    for i in range(out.size):
        out[i] = a * slope[i] + (p * (line[i] - near) + q)
