"""Products with a packed operand, and the packing."""

from helpers import poison

from . import case


def cases(rng, dtype):
    for m, n, k in ((6, 5, 7), (20, 36, 8), (0, 2, 3), (2, 3, 0)):
        for transposed in (False, True):
            a = rng.standard_normal((k, m) if transposed else (m, k)).astype(dtype)
            b = rng.standard_normal((n, k) if transposed else (k, n)).astype(dtype)
            packed = (b.T if transposed else b).reshape(-1).copy()
            yield case("matmul_packed.matmul_pack_forward", poison(k * n, dtype), b, transposed)
            y = rng.standard_normal((m, n)).astype(dtype)
            yield case("matmul_packed.matmul_packed_forward", y, a, packed, transposed, transposed)


def half_cases(rng, dtype):
    a, b = rng.standard_normal((9, 6)).astype(dtype), rng.standard_normal((6, 7)).astype(dtype)
    yield case("matmul_packed.matmul_pack_forward", poison(42, dtype), b, True)
    yield case("matmul_packed.matmul_packed_forward", poison((9, 7), dtype), a, b.reshape(-1), False, False)
