"""Sliding blocks as columns, and back."""

from helpers import poison

from . import case

# image (N, C, H, W), kernel, stride, padding, dilation
GEOMETRIES = [
    ((2, 3, 5, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((1, 2, 5, 11), (2, 3), (1, 3), (0, 2), (1, 2)),
    # a stride that shares a divisor with the dilation; strides beyond the kernel; elements that see only padding
    ((1, 1, 9, 8), (3, 2), (4, 2), (2, 1), (2, 2)),
    ((1, 1, 2, 3), (3, 4), (2, 1), (5, 4), (1, 2)),
    ((0, 2, 4, 4), (2, 2), (1, 1), (0, 0), (1, 1)),
]


def _cases(rng, dtype, geometries):
    for shape, kernel, strides, paddings, dilations in geometries:
        places = tuple(
            (i + 2 * p - d * (k - 1) - 1) // s + 1
            for i, k, s, p, d in zip(shape[2:], kernel, strides, paddings, dilations, strict=True)
        )
        x, y = (rng.standard_normal(s).astype(dtype) for s in (shape, (*shape[:2], *kernel, *places)))
        numbers = (*strides, *paddings, *dilations)
        yield case("unfold.unfold_forward", poison(y.shape, dtype), x, *numbers)
        yield case("unfold.unfold_backward", poison(x.shape, dtype), y, *numbers)


def cases(rng, dtype):
    yield from _cases(rng, dtype, GEOMETRIES)


def half_cases(rng, dtype):
    yield from _cases(rng, dtype, GEOMETRIES[:1])
