"""What tests of the AMX path share: the path as a function, what it executed, how far a result may be off."""

import contextlib
import math

import amx_emulator
import hotloop
import numpy as np
from helpers import poison
from hotloop.kernels import scalar
from hotloop.kernels.cpu import amx_gemm
from hotloop.kernels.cpu.epilogue import with_activation
from hotloop.kernels.cpu.pack import matrix
from hotloop.kernels.jit import standalone
from products import Amid, excess_over, turned

EMULATED = amx_emulator.install()
NONE = np.empty(0, np.float32)
PRECISIONS = {"highest": 6, "high": 3, "medium": 1}
# componentwise, relative to |a| @ |b|: what the parts that are left out may come to (kernels/cpu/split.py)
LEFT_OUT = {"highest": 2.0**-24, "high": 2.0**-15, "medium": 2.0**-7 + 2.0**-16}

# what comes of it on normal random operands: neither more, nor so little that it was not what was asked for
NORMWISE = {"highest": (0, 3e-7), "high": (2e-6, 1e-5), "medium": (1e-3, 5e-3)}


@standalone
def multiply(y, a, b, transpose_a, transpose_b, accumulate, bias, relu):
    m, k = (a.shape[1], a.shape[0]) if transpose_a else a.shape
    n, c = y.shape[1], y.reshape(-1)
    lines = matrix(a.reshape(-1), a.shape[1], m, not transpose_a)
    columns = matrix(b.reshape(-1), b.shape[1], n, transpose_b)
    amx_gemm.amx_gemm(
        m, n, k, lines, columns, c, n, accumulate, with_activation(bias, c[:0], scalar.RELU if relu else 0)
    )


@standalone
def multiply_activated(y, z, a, b, bias, activation):
    m, n, k, c = a.shape[0], y.shape[1], a.shape[1], y.reshape(-1)
    lines, columns = matrix(a.reshape(-1), k, m, True), matrix(b.reshape(-1), n, n, False)
    amx_gemm.amx_gemm(m, n, k, lines, columns, c, n, False, with_activation(bias, z.reshape(-1), activation))


def product(a, b, transpose=(False, False), start=None, bias=NONE, relu=False):
    """op(a) @ op(b) amid NaN, into NaN or added to start."""
    left, right = turned(a, b, transpose)
    y = Amid(poison((left.shape[0], right.shape[1]), np.float32) if start is None else start, 3)
    a, b = Amid(a, 5), Amid(b, 1)
    multiply(y.array, a.array, b.array, *transpose, start is not None, bias, relu)
    assert all(field.surroundings_untouched() for field in (y, a, b))
    return y.array


def tiles_used(m, n, k):
    return math.ceil(m / 32) * math.ceil(n / 32) * math.ceil(k / 32)


class Counted:
    """Asserts that tiles did the whole of a product: no block of depth went another way."""

    def __init__(self, m, n, k, products=6):
        self.expected = tiles_used(m, n, k) * products * 4

    def __enter__(self):
        self.before = amx_emulator.executed()["tdpbf16ps"]

    def __exit__(self, kind, value, trace):
        done = amx_emulator.executed()["tdpbf16ps"] - self.before
        assert kind or not EMULATED or done == self.expected, f"{done} tile products, expected {self.expected}"


def excess(got, left, right, *added, left_out=LEFT_OUT["highest"]):
    """The error in units of its bound: a plain sum's, eight roundings more, and what the split leaves out."""
    left, right, added = left.astype("d"), right.astype("d"), [x.astype("d") for x in added]
    products, n = np.abs(left) @ np.abs(right), left.shape[1] + 8 + len(added)
    # excess_over multiplies by n unit roundoffs
    size = sum(map(np.abs, added), products * (1 + left_out / (n * 2.0**-24)))
    return excess_over(got, sum(added, left @ right), size, n)


@contextlib.contextmanager
def at_precision(name):
    hotloop.set_matmul_precision(name)
    yield
    hotloop.set_matmul_precision("highest")


def normal(rng, m, n, k):
    return rng.standard_normal((m, k)), rng.standard_normal((k, n))
