"""Transposed convolutions: the same paths the other way round."""

from helpers import absent, poison
from hotloop.kernels.scalar import GELU, RELU

from . import case

# x (N, C, D, H, W), w (C, K / groups, KD, KH, KW), strides, paddings, dilations, output paddings, groups
DEPTHWISE = {
    "depthwise": ((2, 2, 1, 4, 3), (2, 2, 1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), (0, 1, 0), 2),
    "dilated": ((1, 2, 2, 3, 3), (2, 1, 2, 2, 3), (1, 2, 3), (0, 0, 1), (1, 2, 2), (0, 1, 2), 2),
}
PRODUCTS = {
    "square": ((2, 3, 1, 4, 3), (3, 4, 1, 2, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), (0, 0, 0), 1),
    "strided": ((1, 4, 1, 3, 4), (4, 3, 1, 4, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), (0, 0, 1), 1),
}
EMPTY = ((0, 3, 1, 4, 4), (3, 2, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), (0, 0, 0), 1)


def both(rng, dtype, name, geometry, activation=0, bias=True, accumulate=False):
    x, w, strides, paddings, dilations, more, groups = geometry
    places = tuple(
        (i - 1) * s - 2 * p + d * (k - 1) + m + 1
        for i, k, s, p, d, m in zip(x[2:], w[2:], strides, paddings, dilations, more, strict=True)
    )
    channels = w[1] * groups
    shapes = x, w, (channels,), (x[0], channels, *places)
    x, w, b, dy = (rng.standard_normal(s).astype(dtype) for s in shapes)
    numbers = *strides, *paddings, *dilations, groups
    none, like = absent(dtype), lambda a: poison(a.shape, dtype)
    b, z = b if bias else none, dy if activation == GELU else none
    yield case("conv_transpose.conv_transpose_forward", like(dy), z, x, w, b, activation, *numbers, name=name)
    y = rng.standard_normal(dy.shape).astype(dtype) if activation else none
    gradients = like(x), w if accumulate else like(w), (b if accumulate else like(b)) if bias else none
    arguments = *gradients, dy, x, w, y, z, activation, *numbers, accumulate
    yield case("conv_transpose.conv_transpose_backward", *arguments, name=name)


def cases(rng, dtype):
    for name, geometry in DEPTHWISE.items():
        yield from both(rng, dtype, name, geometry)
    yield from both(rng, dtype, "gelu", DEPTHWISE["dilated"], GELU, True, True)
    yield from both(rng, dtype, "empty", EMPTY, accumulate=True)
    for name, geometry in PRODUCTS.items():
        yield from both(rng, dtype, name, geometry, RELU)


def half_cases(rng, dtype):
    yield from both(rng, dtype, "strided", PRODUCTS["strided"])
    yield from both(rng, dtype, "depthwise", DEPTHWISE["depthwise"], RELU)
