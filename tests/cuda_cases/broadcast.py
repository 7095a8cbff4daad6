"""Arithmetic between operands of different shapes."""

import numpy as np
from helpers import poison
from hotloop.kernels.formulas import BINARY, COMPARISON

from . import case

# shapes of the operands, over (P, Q, R, S); and by which way their elements are reached
WAYS = {
    "row": ((1, 1, 9, 8), (1, 1, 1, 8)),
    "column": ((1, 1, 9, 8), (1, 1, 9, 1)),
    "odd": ((1, 1, 9, 7), (1, 1, 1, 7)),
    "short": ((2, 3, 5, 2), (1, 3, 1, 1)),
    "channels": ((2, 3, 4, 3), (1, 3, 1, 1)),
    "both": ((2, 1, 4, 3), (2, 3, 1, 3)),
    "four": ((2, 1, 3, 1), (1, 3, 1, 4)),
    "number": ((1, 1, 3, 7), (1, 1, 1, 1)),
    "alike": ((1, 2, 3, 4), (1, 2, 3, 4)),
    "ends": ((1, 1, 3, 1), (1, 1, 3, 1)),
}


def strides_of(shape, full):
    out, step = [], 1
    for n, m in zip(reversed(shape), reversed(full), strict=True):
        out.append(step if n == m and n > 1 else 0)
        step *= n
    return out[::-1]


def operands(rng, dtype, way, swapped=False):
    left, right = WAYS[way][::-1] if swapped else WAYS[way]
    full = tuple(max(n, m) for n, m in zip(left, right, strict=True))
    a, b = (rng.uniform(0.5, 2, n).astype(dtype) for n in (np.prod(left), np.prod(right)))
    return full, a, b, (*strides_of(left, full), *strides_of(right, full))


def cases(rng, dtype):
    for way in WAYS:
        for swapped in (False, True):
            full, a, b, strides = operands(rng, dtype, way, swapped)
            yield case("broadcast.sub_forward", poison(full, dtype), a, b, *strides, name=way)
    for name, (_, gradient, _) in BINARY.items():
        if name.startswith("bitwise"):
            full, a, b, strides = operands(rng, np.int64, "odd")
            yield case(f"broadcast.{name}_forward", poison(full, np.int64), a, b, *strides)
            continue
        full, a, b, strides = operands(rng, dtype, "row")
        yield case(f"broadcast.{name}_forward", poison(full, dtype), a, b, *strides, tol=1e-6)
        if gradient:
            dy, none = rng.standard_normal(full).astype(dtype), np.empty(0, dtype)
            for da, db in (
                (poison(full, dtype), poison(full, dtype)),
                (poison(full, dtype), none),
                (none, poison(full, dtype)),
            ):
                yield case(f"broadcast.{name}_backward", da, db, dy, a, b, *strides, tol=1e-5)
    for name in COMPARISON:
        full, a, b, strides = operands(rng, dtype, "column")
        yield case(f"broadcast.{name}_forward", poison(full, np.bool_), a, b, *strides)
    yield case("broadcast.add_forward", poison((1, 0, 1, 3), dtype), a[:0], b, 0, 0, 0, 1, 0, 0, 0, 1)
    for way in ("channels", "odd", "both"):
        full, a, b, strides = operands(rng, dtype, way)
        dy = rng.standard_normal(full).astype(dtype)
        yield case("broadcast.mul_backward", poison(full, dtype), poison(full, dtype), dy, a, b, *strides, name=way)


def half_cases(rng, dtype):
    for way in ("row", "odd", "number"):
        full, a, b, strides = operands(rng, dtype, way)
        yield case("broadcast.add_forward", poison(full, dtype), a, b, *strides)
        dy = rng.standard_normal(full).astype(dtype)
        yield case("broadcast.mul_backward", poison(full, dtype), poison(full, dtype), dy, a, b, *strides)
