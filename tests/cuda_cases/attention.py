"""Attention: sizes beside those of blocks, every option, heads inside a projection, queries that see no key."""

import numpy as np
from helpers import absent

from . import SIMULATED, case
from .random import STATE

CORES = {f"attention_{form}": {"ex2.approx.ftz.f32": 8} for form in ("forward", "queries", "keys")}
# (N, H, G, L, S, D, E)
SMALL = (2, 2, 1, 11, 10, 8, 8)


def inputs(rng, dtype, shape, inside=False):
    """q, k, v, dy; inside: as heads of a projection, (N, L, H, D) in memory."""
    n, h, g, l, s, d, e = shape

    def drawn(heads, lines, size):
        if inside:
            return rng.standard_normal((n, lines, heads, size)).astype(dtype).transpose(0, 2, 1, 3)
        return rng.standard_normal((n, heads, lines, size)).astype(dtype)

    return drawn(h, l, d), drawn(g, s, d), drawn(g, s, e), drawn(h, l, e)


def both(rng, dtype, shape, name, bias=None, keep=None, causal=False, rate=0.0, weights=False, inside=False, **options):
    """forward, and backward after ref's forward."""
    from hotloop.kernels.ref.attention import attention_forward

    n, h, _, l, s, d, _ = shape
    q, k, v, dy = inputs(rng, dtype, shape, inside)
    q = q * dtype.type(options.pop("large", 1))
    bias, keep = absent(dtype) if bias is None else bias, absent(bool) if keep is None else keep
    state = STATE if rate else absent(np.uint64)
    sums = np.float32 if dtype.itemsize == 2 else dtype
    p, slopes, scores = (np.empty((n, h, l, s), dtype) if weights else absent(dtype) for _ in range(3))
    read = q, k, v, bias, keep
    last = state, options.pop("scale", max(d, 1) ** -0.5), causal, rate
    y, lse = np.empty_like(dy), np.empty((n, h, l), sums)
    tol = options.pop("tol", None)
    yield case("attention.attention_forward", np.empty_like(dy), lse.copy(), p.copy(), *read, *last, name=name, tol=tol)
    wide = [a.astype(np.float64) if a.dtype.kind not in "bu" else a for a in read]
    found = [np.empty(a.shape) for a in (y, lse, p)]
    attention_forward(*found, *wide, *last)
    for kept, made in zip((y, lse, p), found, strict=True):
        kept[...] = made
    slopes = rng.standard_normal(p.shape).astype(dtype) if weights else slopes
    results = np.empty_like(q), np.empty_like(k), np.empty_like(v)
    yield case(
        "attention.attention_backward", *results, scores, dy, slopes, *read, y, lse, p, *last, name=name, tol=tol
    )  # fmt: skip


def masks(rng, dtype, shape):
    """(bias, keep): a number for each score in part broadcast, a query that sees no key, and a key that none sees."""
    n, h, _, l, s, _, _ = shape
    bias = np.broadcast_to(rng.standard_normal((1, h, l, s)).astype(dtype), (n, h, l, s))
    keep = rng.random((n, 1, l, s)) < 0.7
    keep[:, :, l // 2] = False
    keep[:, :, :, s // 3] = False
    return bias, np.broadcast_to(keep, (n, h, l, s))


def cases(rng, dtype):
    bias, keep = masks(rng, dtype, SMALL)
    yield from both(rng, dtype, SMALL, "plain", inside=True)
    yield from both(rng, dtype, SMALL, "causal", causal=True)
    yield from both(rng, dtype, SMALL, "masked", bias=bias, keep=keep, rate=0.5, weights=True)
    yield from both(rng, dtype, SMALL, "all", bias=bias, keep=keep, rate=0.25, weights=True, causal=True, scale=-0.3)
    # more queries than keys, rows that are no whole chunks, rows longer than a block holds
    yield from both(rng, dtype, (1, 1, 1, 13, 5, 8, 4), "long", causal=True)
    yield from both(rng, dtype, (1, 2, 1, 9, 10, 3, 5), "odd", inside=True)
    yield from both(rng, dtype, (1, 2, 1, 9, 10, *((20, 12) if SIMULATED else (160, 200))), "parts", causal=True)
    for shape in ((0, 1, 1, 3, 3, 4, 4), (1, 1, 1, 0, 3, 4, 4), (1, 1, 1, 3, 0, 4, 4), (1, 1, 1, 2, 3, 0, 4)):
        yield from both(rng, dtype, shape, "empty")
    # scores that a naive softmax overflows on
    yield from both(rng, dtype, (2, 2, 2, 5, 13, 4, 8), "large", large=40, tol=1e-4)
    if dtype != np.float32:
        return
    for precision, tol in (("high", 2e-6), ("medium", 2e-3)):
        for found in both(rng, dtype, (1, 2, 1, 40, 36, 32, 32), precision, causal=precision == "high"):
            yield found._replace(precision=precision, tol=tol)
    yield from larger_cases(rng, dtype)


def larger_cases(rng, dtype):
    """Blocks of other shapes."""
    if not SIMULATED:
        yield from both(rng, dtype, (3, 4, 2, 130, 700, 64, 48), "blocks", causal=True, inside=True)
        yield from both(rng, dtype, (4, 16, 16, 520, 260, 64, 64), "many")


def half_cases(rng, dtype):
    # weights and gradients of scores are rounded to 16 bits as well
    tol = 3e-3 if dtype == np.float16 else 2e-2
    shape = (1, 2, 1, 40, 36, 16, 24)
    bias, keep = masks(rng, dtype, shape)
    masked = dict(bias=bias, keep=keep, causal=True, rate=0.25, weights=True)

    def every():
        yield from both(rng, dtype, (1, 1, 1, 40, 36, 16, 24), "plain", inside=True)
        yield from both(rng, dtype, shape, "masked", **masked)
        yield from both(rng, dtype, (1, 1, 1, 20, 36, 36, 5), "parts", causal=True)
        yield from larger_cases(rng, dtype)
        if not SIMULATED:
            yield from both(rng, dtype, (2, 4, 4, 260, 260, 128, 128), "wide", rate=0.1)
            yield from both(rng, dtype, (4, 64, 64, 260, 260, 128, 128), "wide", causal=True)

    for found in every():
        yield found._replace(tol=tol)
