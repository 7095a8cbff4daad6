"""Products and layers of many sizes, every operand flush against a protected page: a program for test_gemm_guard.py.

One element too far, read or written, ends the process; each case is named before it runs. As tests/guard_pages.py,
which walks through every kernel, but with pages that are reused: many sizes in little time. Results are whole numbers,
and compared for equality: what is read too little, or twice, shows there.
"""

import ctypes
import itertools
import mmap
import sys

import numpy as np
from guard_pages import PAGE, protect
from hotloop.kernels import scalar
from hotloop.kernels.cpu.gemm import bmm_forward, matmul_forward
from hotloop.kernels.cpu.linear import linear_backward, linear_forward
from hotloop.kernels.cpu.matmul_packed import matmul_pack_forward, matmul_packed_forward, packed_size
from products import DENSE, TRANSPOSES, constants, integers, latin_square, operands, turned

ROOM = 2048 * PAGE  # for the largest operand


class Room:
    """Memory between two pages that may not be touched."""

    def __init__(self):
        self.memory = mmap.mmap(-1, ROOM + 2 * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        protect(self.start)
        protect(self.start + PAGE + ROOM)

    def place(self, values, end):
        """A copy whose last element (or first, if not end) lies next to such a page."""
        assert values.nbytes <= ROOM
        offset = PAGE + (ROOM - values.nbytes if end else 0)
        array = np.frombuffer(self.memory, values.dtype, values.size, offset).reshape(values.shape)
        array[...] = values
        return array


rooms = [Room() for _ in range(8)]


def at_both_ends(kernel, *args, written=1):
    """The kernel on copies at either end of their rooms; the arrays it wrote, once for each."""
    shapes = [a.shape if isinstance(a, np.ndarray) else a for a in args]
    for end in (True, False):
        print(kernel.__name__, shapes, "end" if end else "start", flush=True)
        given = [r.place(a, end) if isinstance(a, np.ndarray) else a for r, a in zip(rooms, args, strict=False)]
        given += args[len(given) :]
        kernel(*given)
        yield given[:written]


def equal(got, want):
    assert np.array_equal(got, want), "wrong numbers"


def sizes():
    """All pairs of small sizes, and each constant of the code crossed by one."""
    yield from latin_square(5, tuple(s for s in DENSE if s)[:23])
    yield from latin_square(7)
    for size in {c + more for c in constants() if c < 3000 for more in (-1, 0, 1)}:
        yield from ((size, 17, 9), (17, size, 9), (2, size, 33), (17, 9, size), (3, 9, size))


def products(dtype):
    rng = np.random.default_rng(0)
    for place, (m, n, k) in enumerate(sizes()):
        transpose, accumulate = list(TRANSPOSES.values())[place % 4], place % 8 < 4
        a, b = operands(rng, m, n, k, transpose, dtype, integers)
        left, right = turned(a, b, transpose)
        start = integers(rng, (m, n), dtype)
        want = left @ right + (start if accumulate else 0)
        for (y,) in at_both_ends(matmul_forward, start, a, b, *transpose, accumulate):
            equal(y, want)
        if place % 5 == 0:
            for (y,) in at_both_ends(bmm_forward, start[None], a[None], b[None], *transpose, accumulate):
                equal(y[0], want)
        if place % 3 == 0:
            empty = np.zeros(packed_size(k, n, dtype), dtype)
            for (packed,) in at_both_ends(matmul_pack_forward, empty, b, transpose[1]):
                for (y,) in at_both_ends(matmul_packed_forward, start, a, packed.copy(), transpose[0], accumulate):
                    equal(y, want)


def layers(dtype):
    rng = np.random.default_rng(1)
    choices = itertools.product((0, scalar.RELU), (False, True), (False, True))
    for (n, d, h), (code, keep, bias) in zip(latin_square(9), itertools.cycle(choices), strict=False):
        x, w, dy = (integers(rng, s, dtype) for s in ((n, d), (h, d), (n, h)))
        b, empty = integers(rng, h if bias else 0, dtype), np.empty((n, h), dtype)
        kept = empty if keep else empty[:0, :0]
        want = x @ w.T + (b if bias and h else 0)
        result = np.maximum(want, 0) if code else want
        for y, z in at_both_ends(linear_forward, empty, kept, x, w, b, code, written=2):
            equal(y, result)
            equal(z, want if keep else z)
        dz, dw, db = dy * (result > 0) if code else dy, integers(rng, w.shape, dtype), integers(rng, h, dtype)
        args = (np.empty_like(x), dw, db, dy, x, w, result, result[:0, :0], code, keep)
        for gradients in at_both_ends(linear_backward, *args, written=3):
            equal(gradients[0], dz @ w)
            equal(gradients[1], dz.T @ x + (dw if keep else 0))
            equal(gradients[2], dz.sum(0) + (db if keep else 0))


if __name__ == "__main__":
    products(np.dtype(sys.argv[1]))
    layers(np.dtype(sys.argv[1]))
    print("finished")
