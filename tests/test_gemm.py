"""kernels/*/gemm.py: products of every shape and transpose, edges of tiles and blocks, threads, special values."""

import numpy as np
import pytest
from helpers import agree, close, poison, python
from hotloop.kernels import threads
from hypothesis import given
from hypothesis import strategies as st

# around the tiles (14 or 6 or 8 rows; 8 .. 32 columns), around the depth of a panel, over the rows packed at a time
SHAPES = [
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 1, 1),
    (1, 700, 9),
    (7, 5, 3),
    (13, 31, 15),
    (14, 32, 16),
    (15, 33, 17),
    (28, 64, 256),
    (29, 65, 257),
    (61, 127, 513),
    (913, 10, 33),
    (30, 2081, 20),
]
TRANSPOSES = [(False, False), (False, True), (True, False), (True, True)]


def operands(rng, m, n, k, transpose_a, transpose_b, dtype):
    a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    return a, b


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("transpose", TRANSPOSES, ids=["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_matmul(backend, dtype, rng, shape, transpose, accumulate):
    m, n, k = shape
    a, b = operands(rng, m, n, k, *transpose, dtype)
    y = rng.standard_normal((m, n)).astype(dtype) if accumulate else poison((m, n), dtype)
    agree(backend, "gemm.matmul_forward", y, a, b, *transpose, accumulate)


@given(m=st.integers(0, 70), n=st.integers(0, 70), k=st.integers(0, 70), transpose=st.sampled_from(TRANSPOSES))
def test_matmul_small_sizes(m, n, k, transpose):
    from helpers import Backend

    a, b = operands(np.random.default_rng(m * 5041 + n * 71 + k), m, n, k, *transpose, np.float32)
    agree(Backend("cpu"), "gemm.matmul_forward", poison((m, n), np.float32), a, b, *transpose, False)


@pytest.mark.parametrize("batch, m, n, k", [(0, 2, 2, 2), (1, 5, 6, 7), (33, 8, 9, 10), (3, 150, 130, 140)])
@pytest.mark.parametrize("transpose", TRANSPOSES, ids=["NN", "NT", "TN", "TT"])
def test_bmm(backend, dtype, rng, batch, m, n, k, transpose):
    a = rng.standard_normal((batch, k, m) if transpose[0] else (batch, m, k)).astype(dtype)
    b = rng.standard_normal((batch, n, k) if transpose[1] else (batch, k, n)).astype(dtype)
    agree(backend, "gemm.bmm_forward", poison((batch, m, n), dtype), a, b, *transpose, False)


def test_error_bound(backend, rng):
    # componentwise: |error| <= c * eps * |a| @ |b|, with c far under the k of the worst case
    a, b = (rng.standard_normal((300, 300)).astype(np.float32) for _ in range(2))
    y = poison((300, 300), np.float32)
    backend("gemm.matmul_forward", y, a, b, False, False, False)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64) * np.finfo(np.float32).eps
    worst = np.max(np.abs(y - exact) / bound)
    print(f"componentwise error {worst:.2f} eps")
    assert worst < 8


def test_special_values_stay_where_they_are(backend, dtype):
    # an Inf or NaN in row i of a and in column j of b touches that row and that column, nothing else
    a, b = np.ones((33, 40), dtype), np.ones((40, 50), dtype)
    a[3, 7], a[20, 1], b[0, 49] = np.inf, np.nan, -np.inf
    y = poison((33, 50), dtype)
    backend("gemm.matmul_forward", y, a, b, False, False, False)
    want = np.full((33, 50), 40.0)
    want[3], want[:, 49], want[20] = np.inf, -np.inf, np.nan
    want[3, 49] = np.nan
    assert np.array_equal(y, want, equal_nan=True)


def test_denormals_are_kept(backend):
    a, b = np.full((20, 3), 1e-30, np.float32), np.full((3, 20), 1e-10, np.float32)
    y = poison((20, 20), np.float32)
    backend("gemm.matmul_forward", y, a, b, False, False, False)
    # a unit of the smallest denormal is 1.4e-45
    assert np.abs(y.astype(np.float64) - 3e-40).max() < 3e-45


@pytest.mark.parametrize("shape", [(300, 500, 600), (2000, 40, 300), (40, 2300, 300)], ids=str)
def test_same_bits_for_any_number_of_threads(rng, shape):
    from helpers import Backend

    m, n, k = shape
    a, b = operands(rng, m, n, k, False, True, np.float32)
    before, results = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3, 7):
            threads.set_num_threads(count)
            results.append(poison((m, n), np.float32))
            Backend("cpu")("gemm.matmul_forward", results[-1], a, b, False, True, False)
    finally:
        threads.set_num_threads(before)
    assert all(r.tobytes() == results[0].tobytes() for r in results[1:])
    close(results[0], a.astype(np.float64) @ b.astype(np.float64).T)


def test_shapes_that_do_not_fit(backend):
    a, b = np.zeros((4, 5), np.float32), np.zeros((6, 7), np.float32)
    with pytest.raises(ValueError, match=r"expected .*\(M, N\).*\(4, 7\)|mismatch"):
        backend("gemm.matmul_forward", np.zeros((4, 7), np.float32), a, b, False, False, False)
    with pytest.raises(ValueError, match=r"expected .*\(4, 6\)"):
        backend(
            "gemm.matmul_forward", np.zeros((4, 6), np.float32), a, np.zeros((5, 7), np.float32), False, False, False
        )


def test_arguments_that_kernels_refuse():
    from hotloop.kernels.cpu.gemm import matmul_forward

    a, b, y = (np.zeros((8, 8), np.float32) for _ in range(3))
    with pytest.raises(TypeError, match=r"b: expected float32 .* got float64"):
        matmul_forward(y, a, b.astype(np.float64), False, False, False)
    with pytest.raises(ValueError, match=r"a: expected a C-contiguous array"):
        matmul_forward(y, np.zeros((8, 16), np.float32)[:, ::2], b, False, False, False)
    y.flags.writeable = False
    with pytest.raises(ValueError, match=r"y: expected a writable array"):
        matmul_forward(y, a, b, False, False, False)
    # what is only read may be read-only
    matmul_forward(np.empty((8, 8), np.float32), y, b, False, False, False)


def test_tile_is_what_it_claims():
    """On AVX-512 and AVX2 the inner loop is fused multiply-adds on full vectors with accumulators in registers."""
    code = """
import numpy as np
from hotloop.kernels.cpu import gemm, target, tiles
x = np.ones((64, 64), np.float32)
gemm.matmul_forward(x.copy(), x, x, False, False, False)
asm = "".join(tiles.tiles_32.inspect_asm().values())
register = {64: "zmm", 32: "ymm", 16: "xmm"}[target.VECTOR_BYTES]
loops = [b for b in asm.split(":") if b.count("vfmadd") >= target.ROWS * target.VECTORS and "j" in b]
print(register, max((sum(register in l for l in b.splitlines() if "vfmadd" in l) for b in loops), default=0))
"""
    from hotloop.kernels.cpu import target

    if target.VECTOR_BYTES < 32:
        pytest.skip("this machine has no fused multiply-add on vectors of 256 bits")
    register, count = python("-c", code, env={"HOTLOOP_CACHE": "0"}).split()
    assert int(count) >= target.ROWS * target.VECTORS, f"{count} multiply-adds on {register} in the longest loop"
