"""Matrix products: square ones from cache-resident to large, each transposition, and double precision."""

import numpy as np
import pytest
from conftest import peer
from hotloop.kernels.cpu.gemm import matmul_forward


def with_hotloop(a, b, transpose_a, transpose_b):
    y = np.empty((a.shape[transpose_a], b.shape[not transpose_b]), a.dtype)

    def run():
        matmul_forward(y, a, b, transpose_a, transpose_b, False)
        return y

    return run


def with_numpy(a, b, transpose_a, transpose_b):
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    y = np.empty((a.shape[0], b.shape[1]), a.dtype)
    return lambda: np.matmul(a, b, out=y)


def with_torch(a, b, transpose_a, transpose_b):
    torch = peer("torch")
    a, b = torch.from_numpy(a), torch.from_numpy(b)
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    y = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype)
    return lambda: torch.mm(a, b, out=y)


def with_jax(a, b, transpose_a, transpose_b):
    jax = peer("jax")
    if a.dtype == np.float64:
        pytest.skip("jax: float64 is off by default")
    a, b = jax.numpy.asarray(a), jax.numpy.asarray(b)
    product = jax.jit(lambda a, b: (a.T if transpose_a else a) @ (b.T if transpose_b else b))
    return lambda: product(a, b).block_until_ready()


CONTESTANTS = {"hotloop": with_hotloop, "numpy": with_numpy, "torch": with_torch, "jax": with_jax}
# (name, dtype, m, n, k, transpose_a, transpose_b)
PRODUCTS = [
    *((f"sgemm {n}", "float32", n, n, n, False, False) for n in (16, 64, 128, 256, 512, 1024, 2048)),
    *((f"sgemm 512 {form}", "float32", 512, 512, 512, form[0] == "T", form[1] == "T") for form in ("NT", "TN", "TT")),
    ("sgemm 32x128x784 NT", "float32", 32, 128, 784, False, True),
    ("sgemm 509x1021x127", "float32", 509, 1021, 127, False, False),
    *((f"dgemm {n}", "float64", n, n, n, False, False) for n in (64, 512, 1024)),
]


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product[0])
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_matmul(clock, who, product):
    name, dtype, m, n, k, transpose_a, transpose_b = product
    rng = np.random.default_rng(0)
    a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    want = np.float64(a.T if transpose_a else a) @ np.float64(b.T if transpose_b else b)
    run = CONTESTANTS[who](a, b, transpose_a, transpose_b)
    clock(run, name, want, flops=2 * m * n * k, dtype=dtype)
