"""What tests of the AMX path share: the path as a function, what it executed, how far a result may be off."""

import contextlib
import math
from typing import NamedTuple

import amx_emulator
import hotloop
import numpy as np
from helpers import poison, same
from hotloop.kernels.cpu import amx_gemm, matmul_packed
from hotloop.kernels.cpu.epilogue import with_activation
from hotloop.kernels.cpu.pack import BY_LINE, BY_STEP, IN_PANELS, Matrix
from hotloop.kernels.jit import standalone
from products import DENSE, Amid, excess_over

EMULATED = amx_emulator.install()
NONE = np.empty(0, np.float32)
PRECISIONS = {"highest": 6, "high": 3, "medium": 1}
# componentwise, relative to |a| @ |b|: what the parts that are left out may come to (kernels/cpu/split.py)
LEFT_OUT = {"highest": 2.0**-24, "high": 2.0**-15, "medium": 2.0**-7 + 2.0**-16}

# what comes of it on normal random operands: neither more, nor so little that it was not what was asked for
NORMWISE = {"highest": (0, 3e-7), "high": (2e-6, 1e-5), "medium": (1e-3, 5e-3)}

SIZES = [size for size in DENSE if size]
# each size in each place, each pair of neighbours in the list together
TRIPLES = [(m, SIZES[(i + 7) % len(SIZES)], SIZES[(5 * i + 3) % len(SIZES)]) for i, m in enumerate(SIZES)]
# over one panel's depth, over the rows and columns packed at a time, over the rows of a chunk
LARGE = [(40, 33, 385), (33, 40, 800), (2050, 5, 40), (5, 2070, 40), (290, 33, 20)]


class Packed(NamedTuple):
    """op(b), (K, N), packed once."""

    array: np.ndarray
    shape: tuple


def pack(b, transpose_b=False, shift=0):
    """Packed amid NaN, so many elements from where memory began."""
    k, n = b.shape[::-1] if transpose_b else b.shape
    field = Amid(poison(matmul_packed.packed_size(k, n, np.float32), np.float32), shift)
    matmul_packed.matmul_pack_forward(field.array, b, transpose_b)
    assert field.surroundings_untouched()
    return Packed(field.array, (k, n))


@standalone
def multiply(y, z, a, stride_a, layout_a, b, stride_b, layout_b, depth, accumulate, bias, activation):
    m, n, c = y.shape[0], y.shape[1], y.reshape(-1)
    left, right = Matrix(a, stride_a, m, layout_a), Matrix(b, stride_b, n, layout_b)
    amx_gemm.amx_gemm(m, n, depth, left, right, c, n, accumulate, with_activation(bias, z, activation))


def run(y, a, b, transpose, accumulate=False, bias=NONE, activation=0, z=NONE):
    """y (+)= op(a) @ op(b), or op(a) @ what was packed, on AMX."""
    depth = a.shape[0] if transpose[0] else a.shape[1]
    left = a.reshape(-1), a.shape[1], BY_STEP if transpose[0] else BY_LINE
    right = b.reshape(-1), b.shape[-1], BY_LINE if transpose[1] else BY_STEP
    if b.ndim == 1:
        right = b, depth, IN_PANELS
    multiply(y, z.reshape(-1), *left, *right, depth, accumulate, bias, activation)


def product(a, b, transpose=(False, False), start=None, bias=NONE, activation=0, z=NONE):
    """op(a) @ op(b) amid NaN, into NaN or added to start; b: an array, or Packed and as it is."""
    left = a.T if transpose[0] else a
    n = b.shape[0] if transpose[1] and not isinstance(b, Packed) else b.shape[1]
    y = Amid(poison((left.shape[0], n), np.float32) if start is None else start, 3)
    a, b = Amid(a, 5), b.array if isinstance(b, Packed) else Amid(b, 1).array
    before = b.copy()
    run(y.array, a.array, b, transpose, start is not None, bias, activation, z)
    assert y.surroundings_untouched() and a.surroundings_untouched() and same(b, before)
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
