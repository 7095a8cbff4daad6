"""Copies, fills and arithmetic."""

import numpy as np
from helpers import poison
from hotloop.kernels.formulas import BINARY, COMPARISON

from . import case

# between float32 and float64; and what is given as a number of Python's
DOUBLE = {"_convert", "_arange"}
N = 70


def cases(rng, dtype):
    a, b = rng.standard_normal((2, N)).astype(dtype)
    b[5], a[6], b[7] = a[5], 0, 0.5
    whole, parts = rng.integers(-9, 9, 12), rng.integers(1, 5, 12)
    for name, (_, gradient, _) in BINARY.items():
        bits = name.startswith("bitwise")
        if bits:
            for left in (whole, whole > 0):
                right = parts.astype(left.dtype)
                yield case(f"elementwise.{name}_forward", poison(12, left.dtype), left, right)
            continue
        left = np.abs(a) if name == "pow" else a
        yield case(f"elementwise.{name}_forward", poison(N, dtype), left, b, tol=1e-5 if name == "pow" else None)
        if name not in ("div", "pow"):  # they are computed in float64
            yield case(f"elementwise.{name}_forward", poison(12, np.int64), whole, parts, name="int")
        if gradient:
            left = left + dtype.type(0.5) if name == "pow" else left
            none, path = np.empty(0, dtype), f"elementwise.{name}_backward"
            for da, db in ((poison(N, dtype), poison(N, dtype)), (poison(N, dtype), none), (none, poison(N, dtype))):
                yield case(path, da, db, a[::-1].copy(), left, b + (b == 0), tol=1e-5)
    for name in COMPARISON:
        yield case(f"elementwise.{name}_forward", poison(N, np.bool_), a, b)
        yield case(f"elementwise.{name}_forward", poison(12, np.bool_), whole, parts, name="int")
    for other in (np.float32, np.float64, np.int64, np.uint8, np.bool_):
        yield case("elementwise.copy_forward", poison(N, other), np.abs(a) * 9)
        yield case("elementwise.fill_forward", poison((2, 3), other), 3.0)
        yield case("elementwise.arange_forward", poison(9, other), 1.0, 0.5)
    yield case("elementwise.copy_forward", poison((0, 2), dtype), a[:0].reshape(0, 2))
    yield from _assign(rng, dtype)


def _assign(rng, dtype):
    x = rng.standard_normal((1, 2, 5, 6)).astype(dtype)
    wide = rng.standard_normal((1, 1, 9, 8)).astype(dtype)
    names = {
        "packed": x,
        "sliced": x[:, :, 1::2, ::3],
        "turned": x.transpose(0, 1, 3, 2),
        "turned_wide": wide.transpose(0, 1, 3, 2),
        "channels_last": x.transpose(0, 2, 3, 1),
        "reversed": x.transpose(3, 2, 1, 0),
        "spread": np.broadcast_to(x[:, :1, :, :1], (3, 2, 5, 3)),
        "one": x[:1, :1, :1, :1],
    }
    for name, view in names.items():
        yield case("elementwise.assign_forward", poison(view.shape, dtype), view, name=name)
    yield case("elementwise.assign_forward", poison((1, 2, 6, 5), np.int64), names["turned"] * 9, name="converted")
    yield case("elementwise.assign_forward", poison((1, 2, 6, 5), np.bool_), names["turned"] > 0, name="bool")
    yield case("elementwise.assign_forward", poison((1, 2, 0, 5), dtype), names["turned"][:, :, :0], name="none")


def half_cases(rng, dtype):
    a, b = rng.standard_normal((2, N)).astype(dtype)
    for name in ("add", "mul", "maximum"):
        yield case(f"elementwise.{name}_forward", poison(N, dtype), a, b)
    yield case("elementwise.div_forward", poison(N, dtype), a, np.abs(b) + dtype.type(1))
    yield case("elementwise.mul_backward", poison(N, dtype), poison(N, dtype), a, b, a)
    yield case("elementwise.lt_forward", poison(N, np.bool_), a, b)
    yield case("elementwise.fill_forward", poison(N, dtype), 0.3)
    for other in (np.float32, np.float64, np.int64, np.float16):
        yield case("elementwise.copy_forward", poison(N, other), a, name="from")
        yield case("elementwise.copy_forward", poison(N, dtype), (np.abs(a) * 9).astype(other), name="to")
    yield case("elementwise.assign_forward", poison((1, 1, 10, 7), dtype), a.reshape(1, 1, 7, 10).transpose(0, 1, 3, 2))
