"""Matrix products: from a few registers to far beyond the caches, the shapes of layers and their gradients.

On a machine with AMX, where that tile runs at a lower clock than the others and leaves the core there for a while, the
blocks of the contestants are half a second apart (conftest.py), and the FMA tile stands in rows of its own.
"""

import functools
from typing import NamedTuple

import ceilings
import numpy as np
import pytest
from conftest import peer
from hotloop.kernels import state
from hotloop.kernels.cpu.gemm import matmul_forward
from hotloop.kernels.cpu.matmul_packed import matmul_pack_forward, matmul_packed_forward, packed_size


class Product(NamedTuple):
    """y (m, n) = op(a) op(b), k deep; form: which of the two lie transposed.

    targets: times torch.mm's speed on one thread, and on all. ours: how our side computes it.
    """

    name: str
    m: int
    n: int
    k: int
    targets: tuple[float, float] | None = None
    form: str = "NN"
    ours: str = "hotloop"
    dtype: str = "float32"

    @property
    def transposes(self):
        return self.form[0] == "T", self.form[1] == "T"


def with_hotloop(a, b, transpose_a, transpose_b):
    y = np.empty((a.shape[transpose_a], b.shape[not transpose_b]), a.dtype)

    def run():
        matmul_forward(y, a, b, transpose_a, transpose_b, False)
        return y

    return run


def with_packed(a, b, transpose_a, transpose_b):
    """b packed beforehand, outside the clock: weights that are used many times."""
    k, n = b.shape[::-1] if transpose_b else b.shape
    packed, y = np.empty(packed_size(k, n, b.dtype), b.dtype), np.empty((a.shape[transpose_a], n), a.dtype)
    matmul_pack_forward(packed, b, transpose_b)

    def run():
        matmul_packed_forward(y, a, packed, transpose_a, False)
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
OURS = {"hotloop": with_hotloop, "packed": with_packed, "FMA": with_hotloop}

SQUARE_TARGETS = {
    **dict.fromkeys((8, 16, 24), (1.5, 1.5)),
    32: (1.3, 1.3),
    **dict.fromkeys((48, 64), (1.15, 1.15)),
    128: (1.25, 1.1),
    256: (1.4, 1.3),
    512: (1.6, 1.6),
    **dict.fromkeys((1024, 1536, 2048), (1.8, 1.8)),
}
BATCH_TARGETS = {1: None, 4: None, 32: (1.0, 1.0), 64: (1.05, 1.05), 128: (1.2, 1.2), 256: (1.2, 1.2)}
LAYER_TARGET = (1.2, 1.2)
FMA_SIZES, FMA_TARGET = (256, 512, 1024, 1536, 2048), (0.97, 0.97)


def layer(rows, d, h):
    """A layer with weights (h, d), as torch keeps them, and its two gradients."""
    return (
        Product(f"sgemm {rows}x{d}x{h} NT, layer", rows, h, d, LAYER_TARGET, "NT"),
        Product(f"sgemm {rows}x{h}x{d} NN, its input's gradient", rows, d, h, LAYER_TARGET, "NN"),
        Product(f"sgemm {h}x{rows}x{d} TN, its weights' gradient", h, d, rows, LAYER_TARGET, "TN"),
    )


PRODUCTS = [
    *(Product(f"sgemm {n}", n, n, n, goal) for n, goal in SQUARE_TARGETS.items()),
    *(Product(f"sgemm 512 {form}", 512, 512, 512, (1.6, 1.6), form) for form in ("NT", "TN", "TT")),
    Product("sgemm 509x127x1021", 509, 1021, 127),
    *(Product(f"sgemm {m}x784x128 NT", m, 128, 784, goal, "NT") for m, goal in BATCH_TARGETS.items()),
    *(
        Product(f"sgemm {m}x784x128 NT, weights packed beforehand", m, 128, 784, (1.5, 1.5), "NT", "packed")
        for m in (32, 64, 128, 256)
    ),
    # the inputs of an LSTM: steps x batch rows, 4 gates
    *layer(100 * 32, 64, 4 * 128),
    *layer(50 * 64, 128, 4 * 256),
    *(Product(f"dgemm {n}", n, n, n, (0.95, 0.95), dtype="float64") for n in (512, 1024, 1536, 2048)),
    Product("dgemm 64", 64, 64, 64, dtype="float64"),
]
# without AMX the rows of the squares are these
if ceilings.AMX:
    PRODUCTS += [Product(f"sgemm {n}, FMA tile alone", n, n, n, FMA_TARGET, ours="FMA") for n in FMA_SIZES]


@functools.lru_cache(maxsize=1)
def operands(product):
    """a, b, and their product in float64: the same for all contestants, who come one after the other."""
    rng = np.random.default_rng(0)
    (transpose_a, transpose_b), (m, n, k) = product.transposes, product[1:4]
    a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(product.dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(product.dtype)
    return a, b, np.float64(a.T if transpose_a else a) @ np.float64(b.T if transpose_b else b)


@pytest.fixture
def tiles(product):
    """The AMX tiles set aside for the rows of the FMA tile."""
    before = state.words[state.PRODUCTS]
    if product.ours == "FMA":
        state.words[state.PRODUCTS] = 0
    yield
    state.words[state.PRODUCTS] = before


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_matmul(clock, benchmark, tiles, who, product):
    a, b, want = operands(product)
    m, n, k = product[1:4]
    run = (OURS[product.ours] if who == "hotloop" else CONTESTANTS[who])(a, b, *product.transposes)
    if who == "hotloop" and product.targets:
        benchmark.extra_info["targets"] = goals(product)
    # a thin product reads its weights for little work: memory may bound it
    moved = (m * k + k * n + m * n) * a.itemsize if min(m, n) <= 32 else 0
    clock(run, product.name, want, flops=2 * m * n * k, moved=moved, dtype=product.dtype)


def goals(product):
    """[(times torch's speed, how)] for the threads of this process."""
    many = ceilings.threads() > 1
    if not ceilings.AMX and product.name in {f"sgemm {n}" for n in FMA_SIZES}:
        return [(product.targets[many], "with AMX"), (FMA_TARGET[many], "without")]
    return [(product.targets[many], "")]
