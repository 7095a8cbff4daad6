"""Convolutions: every path, over geometries."""

import numpy as np
from helpers import absent, poison
from hotloop.kernels.scalar import GELU, RELU

from . import SIMULATED, case

# what few channels go through: a thread's sums in registers
CORES = {"_direct": {"fma.rn.f32": 8, "ld.global": 9}, "_direct_weight": {"fma.rn.f32": 9, "ld.global": 10}}

# x (N, C, D, H, W), w (K, C / groups, KD, KH, KW), strides, paddings, dilations, groups
DEPTHWISE = {
    "depthwise": ((2, 2, 1, 6, 5), (4, 1, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 2),
    "depthwise-strided": ((1, 2, 1, 9, 7), (2, 1, 1, 3, 4), (1, 2, 3), (0, 1, 2), (1, 1, 2), 2),
    "depthwise-3d": ((1, 2, 4, 5, 3), (2, 1, 2, 3, 2), (2, 1, 1), (1, 1, 0), (1, 2, 1), 2),
    "few-channels": ((2, 4, 1, 5, 5), (6, 2, 1, 2, 3), (1, 1, 2), (0, 1, 1), (1, 1, 1), 2),
}
# groups whose channels are too few for tiles of the real size go the way above there, but for the first four
MORE = 1 if SIMULATED else 12
PRODUCTS = {
    "square": ((2, 3 * MORE, 1, 4, 6), (5 * MORE, 3 * MORE, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "strided": ((1, 4 * MORE, 1, 7, 9), (4 * MORE, 4 * MORE, 1, 3, 2), (1, 2, 3), (0, 1, 2), (1, 1, 2), 1),
    "3d": ((1, 3 * MORE, 3, 4, 3), (3 * MORE, 3 * MORE, 2, 3, 2), (1, 1, 1), (1, 1, 0), (2, 1, 1), 1),
    "one-tap": ((2, 5 * MORE, 1, 4, 4 * MORE), (4 * MORE, 5 * MORE, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "groups": ((1, 6, 1, 4, 4), (8, 3, 1, 2, 3), (1, 1, 1), (0, 0, 1), (1, 2, 1), 2),
    "line": ((1, 3, 1, 1, 9), (3, 3, 1, 1, 4), (1, 1, 2), (0, 0, 3), (1, 1, 1), 1),
    "mostly-padding": ((1, 3, 1, 1, 2), (3, 3, 1, 2, 3), (1, 1, 1), (0, 2, 3), (1, 1, 1), 1),
}
WHOLE = ((2, 8 * MORE, 1, 4, 4 * MORE), (16, 8 * MORE, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1)
EMPTY = ((0, 3, 1, 4, 4), (2, 3, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1)


def operands(rng, geometry, dtype):
    """x, w, b, dy and the kernel's numbers."""
    x, w, strides, paddings, dilations, groups = geometry
    places = tuple(
        (i + 2 * p - d * (k - 1) - 1) // s + 1
        for i, k, s, p, d in zip(x[2:], w[2:], strides, paddings, dilations, strict=True)
    )
    shapes = x, w, (w[0],), (x[0], w[0], *places)
    return *(rng.standard_normal(s).astype(dtype) for s in shapes), (*strides, *paddings, *dilations, groups)


def both(rng, dtype, name, geometry, activation=0, bias=True, accumulate=False, **given):
    x, w, b, dy, numbers = operands(rng, geometry, dtype)
    none, like = absent(dtype), lambda a: poison(a.shape, dtype)
    b, z = b if bias else none, dy if activation == GELU else none
    yield case("conv.conv_forward", like(dy), z, x, w, b, activation, *numbers, name=name, **given)
    y = rng.standard_normal(dy.shape).astype(dtype) if activation else none
    gradients = like(x), w if accumulate else like(w), (b if accumulate else like(b)) if bias else none
    arguments = *gradients, dy, x, w, y, z, activation, *numbers, accumulate
    yield case("conv.conv_backward", *arguments, name=name, **given)


def cases(rng, dtype):
    for name, geometry in DEPTHWISE.items():
        yield from both(rng, dtype, name, geometry)
    yield from both(rng, dtype, "gelu", DEPTHWISE["depthwise"], GELU, False, True)
    yield from both(rng, dtype, "relu", DEPTHWISE["depthwise"], RELU, True, True)
    yield from both(rng, dtype, "empty", EMPTY, accumulate=True)
    for name, geometry in PRODUCTS.items():
        yield from both(rng, dtype, name, geometry)
    yield from both(rng, dtype, "square-gelu", PRODUCTS["square"], GELU, True, True)
    # the error of what tensor cores are given of a float32
    # one tap, for which nothing is rearranged, where places are few, and where the tap is beside them
    few = (3, 4 * MORE, 1, 1, 2), (3 * MORE, 4 * MORE, 1, 1, 1)
    yield from both(rng, dtype, "one-tap-few", (*few, (1, 1, 1), (0, 0, 0), (1, 1, 1), 1))
    yield from both(rng, dtype, "one-tap-beside", (*few, (1, 1, 1), (0, 1, 1), (1, 1, 1), 1))
    yield from both(rng, dtype, "square-high", PRODUCTS["square"], tol=1e-6, precision="high")
    yield from list(both(rng, dtype, "square-medium", PRODUCTS["square"], tol=1e-3, precision="medium"))[:1]
    # one gradient alone
    x, w, b, dy, numbers = operands(rng, DEPTHWISE["depthwise"], dtype)
    none = absent(dtype)
    for at in range(3):
        wanted = [poison(a.shape, dtype) if i == at else none for i, a in enumerate((x, w, b))]
        yield case("conv.conv_backward", *wanted, dy, x, w, none, none, 0, *numbers, np.bool_(False), name="alone")


def half_cases(rng, dtype):
    yield from both(rng, dtype, "square", PRODUCTS["square"], RELU, accumulate=True)
    yield from both(rng, dtype, "depthwise", DEPTHWISE["depthwise"], RELU)
    yield from both(rng, dtype, "whole", WHOLE, accumulate=True)
    for name in ("strided", "groups", "one-tap"):
        yield from both(rng, dtype, name, PRODUCTS[name])
