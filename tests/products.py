"""Operands for tests of matrix products: where they lie, what surrounds them, how far a result may be off.

Every operand lies amid NaN: one that is read by mistake shows in the result, one that is written over is missed.

The bound is the standard one (Higham, Accuracy and Stability of Numerical Algorithms, section 3.5). A product that goes
through n roundings on its way into a sum of n terms, in whatever order, fused or not, is off by at most

    |error| <= gamma(n) * sum |a| |b|,   gamma(n) = n u / (1 - n u),   u = eps / 2

n is the depth, and one more for each number that is added beside the products (C, a bias). The reference is computed
in the next wider type, whose own bound is added: it counts where that type is no wider (long double on some systems).
"""

import importlib
from pathlib import Path

import numpy as np
import pytest
from helpers import Backend, poison, same
from hotloop.kernels import cache
from hotloop.kernels.cpu import gemm, linear, target

# tests of tiles, blocks and chunks, which only this backend has
CPU = Backend("cpu")
on_cpu = pytest.mark.parametrize("backend", [CPU], ids=str)

TRANSPOSES = {"NN": (False, False), "NT": (False, True), "TN": (True, False), "TT": (True, True)}
each_transpose = pytest.mark.parametrize("transpose", TRANSPOSES.values(), ids=TRANSPOSES)

# around vectors of 2 to 16 elements, tiles of up to 16 x 64, and chunks of tiles; a prime count of them
DENSE = (0, 1, 2, 3, 4, 5, 7, 8, 9, *range(13, 18), 23, *range(27, 34), 47, 48, 49, 63, 64, 65, 70)

SURROUNDINGS = 256  # elements on either side: more than any vector or row of a tile
_MARK = {4: np.uint32(0x7FC5A5A5), 8: np.uint64(0x7FF85A5A5A5A5A5A)}  # a NaN that no arithmetic makes


def latin_square(multiplier, sizes=DENSE):
    """Triples in which every pair of sizes meets in each pair of places; each multiplier gives other triples."""
    count = len(sizes)
    assert all(count % d for d in range(2, count)) and multiplier % count, "a Latin square needs a prime"
    return [(a, b, sizes[(i + multiplier * j) % count]) for i, a in enumerate(sizes) for j, b in enumerate(sizes)]


def constants():
    """Every number in capitals of the modules under a product: where blocks, chunks and ways of computing change."""
    numbers = {c for module in _modules() for c in _numbers(module)}
    panels = {c * target.ROWS for c in numbers if c <= 128}
    widths = {c * target.FLOAT_LANES for c in (target.VECTORS, 2 * target.VECTORS)}
    return sorted(numbers | panels | widths)


def _modules():
    """gemm, linear, and every file of kernels/cpu that they import, directly or not."""
    files, todo = set(), [Path(gemm.__file__), Path(linear.__file__)]
    while todo:
        file = todo.pop()
        if file not in files and file.parent.name == "cpu" and file.stem != "__init__":
            files.add(file)
            todo.extend(cache.imports(file))
    return [importlib.import_module(f"hotloop.kernels.cpu.{file.stem}") for file in sorted(files)]


def _numbers(module):
    values = [value for name, value in vars(module).items() if name.isupper() and not name.startswith("_")]
    values += [element for value in values if isinstance(value, tuple) for element in value]
    return {int(value) for value in values if isinstance(value, int | float) and value > 1}


class Amid:
    """A copy of `values` in the middle of NaN, `shift` elements further than before."""

    def __init__(self, values, shift=0):
        size = values.size
        self.memory = np.empty(size + 2 * SURROUNDINGS + shift, values.dtype)
        bits = self.memory.view(f"u{values.itemsize}")
        bits[...] = _MARK[values.itemsize]
        begin = SURROUNDINGS + shift
        self.before, self.after = bits[:begin], bits[begin + size :]
        self.array = self.memory[begin : begin + size].reshape(values.shape)
        self.array[...] = values

    def surroundings_untouched(self):
        mark = _MARK[self.memory.itemsize]
        return bool((self.before == mark).all() and (self.after == mark).all())


def run(backend, path, *args, written=1, shift=0):
    """A kernel on copies of its arguments, amid NaN; gives the `written` arrays, which come first.

    Asserts that the others are unchanged, and all memory around.
    """
    fields = [Amid(a, (shift + 3 * i) % 16) if isinstance(a, np.ndarray) else None for i, a in enumerate(args)]
    given = [a if f is None else f.array for a, f in zip(args, fields, strict=True)]
    backend.kernel(path)(*given)
    for place, (old, new, field) in enumerate(zip(args, given, fields, strict=True)):
        if field is not None:
            assert field.surroundings_untouched(), f"{path}: memory around argument {place} was written to"
            assert place < written or same(np.ascontiguousarray(old), new), f"{path}: argument {place} was changed"
    return given[:written]


def normal(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def integers(rng, shape, dtype):
    """Small whole numbers: their products and sums are exact in any order, so that results must be equal."""
    return rng.integers(-3, 4, shape).astype(dtype)


def operands(rng, m, n, k, transpose, dtype, numbers=normal):
    transpose_a, transpose_b = transpose
    a = numbers(rng, (k, m) if transpose_a else (m, k), dtype)
    b = numbers(rng, (n, k) if transpose_b else (k, n), dtype)
    return a, b


def turned(a, b, transpose):
    """op(a), op(b): views."""
    return (a.swapaxes(-1, -2) if transpose[0] else a), (b.swapaxes(-1, -2) if transpose[1] else b)


def matmul(backend, a, b, transpose=(False, False), start=None, shift=0):
    """op(a) @ op(b), into memory that holds NaN, or added to `start`."""
    left, right = turned(a, b, transpose)
    y = poison((left.shape[0], right.shape[1]), a.dtype) if start is None else start
    return run(backend, "gemm.matmul_forward", y, a, b, *transpose, start is not None, shift=shift)[0]


def bmm(backend, a, b, transpose=(False, False), start=None):
    left, right = turned(a, b, transpose)
    y = poison((left.shape[0], left.shape[1], right.shape[2]), a.dtype) if start is None else start
    return run(backend, "gemm.bmm_forward", y, a, b, *transpose, start is not None)[0]


def wider(dtype):
    return np.float64 if dtype == np.float32 else np.longdouble


def gamma(n, dtype):
    unit = float(np.finfo(dtype).eps) / 2
    return n * unit / (1 - n * unit)


def excess(got, left, right, *added):
    """The largest error of got = left @ right + added, in units of its bound: at most 1, or NaN or Inf appeared."""
    wide = wider(got.dtype)
    left, right, added = left.astype(wide), right.astype(wide), [x.astype(wide) for x in added]
    want, size = sum(added, left @ right), sum(map(np.abs, added), np.abs(left) @ np.abs(right))
    return excess_over(got, want, size, left.shape[1] + len(added))


def excess_over(got, want, size, n):
    """|got - want| in units of gamma(n) * size."""
    error = np.abs(got - want)
    # the smallest denormal: what a product that underflows may lose, and no division by zero
    limit = (gamma(n, got.dtype) + gamma(n, want.dtype)) * size + n * np.finfo(got.dtype).smallest_subnormal
    if n == 0:
        return np.inf if error.any() or np.isnan(error).any() else 0.0
    ratio = float(np.max(error / limit, initial=0.0))
    return np.inf if np.isnan(ratio) else ratio


def layer_errors(backend, rng, dtype, size, code=0, bias=True, keep=False, accumulate=False, shift=0):
    """Names of what a layer of whole numbers, forward and backward, does not compute exactly; code: none or ReLU."""
    n, d, h = size
    x, w, dy = (integers(rng, s, dtype) for s in ((n, d), (h, d), (n, h)))
    b = integers(rng, h if bias else 0, dtype)
    y, z = poison((n, h), dtype), poison((n, h) if keep else (0, 0), dtype)
    y, z = run(backend, "linear.linear_forward", y, z, x, w, b, code, written=2, shift=shift)
    sums = x @ w.T + (b if bias and h else 0)
    result = np.maximum(sums, 0) if code else sums
    dz = dy * (result > 0) if code else dy
    starts = [poison(x.shape, dtype), integers(rng, w.shape, dtype), integers(rng, h, dtype)]
    arguments = (*starts, dy, x, w, result, poison((0, 0), dtype), code, accumulate)
    gradients = run(backend, "linear.linear_backward", *arguments, written=3, shift=shift)
    added = starts[1:] if accumulate else (0, 0)
    wants = (dz @ w, dz.T @ x + added[0], dz.sum(0) + added[1])
    pairs = {"y": (y, result), "z": (z, sums if keep else z)}
    pairs.update(zip(("dx", "dw", "db"), zip(gradients, wants, strict=True), strict=True))
    return [name for name, (got, want) in pairs.items() if not np.array_equal(got, want)]
