"""Rotary positions against the definition, the definition against complex numbers and slopes."""

import numpy as np
import pytest
from helpers import agree, arguments_of, close, finite_difference, poison, same
from hotloop.kernels import cuda, ref

# (N, L, H, D), pairs: nothing, one, odd, more than a vector and a remainder, all of a row and part of it
SHAPES = [
    ((0, 3, 2, 4), 2),
    ((2, 0, 2, 4), 2),
    ((2, 3, 0, 4), 2),
    ((2, 3, 2, 0), 0),
    ((1, 1, 1, 1), 0),
    ((1, 2, 1, 2), 1),
    ((2, 3, 5, 7), 3),
    ((3, 5, 2, 37), 11),
    ((2, 7, 3, 70), 35),
    ((5, 40, 4, 64), 32),
]
PAIRS = [pytest.param(True, id="neighbours"), pytest.param(False, id="halves")]


def tables(rng, samples, length, pairs, dtype):
    angles = rng.uniform(-10, 10, (samples, length, pairs))
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)


def packed(rng, shape, dtype):
    """Queries as a view of (N, L, 3, H, D), and as one of (L, N, H, D)."""
    n, length, heads, width = shape
    yield rng.standard_normal((n, length, 3, heads, width)).astype(dtype)[:, :, 1]
    yield rng.standard_normal((length, n, heads, width)).astype(dtype).transpose(1, 0, 2, 3)
    yield rng.standard_normal((n, length, heads, width + 3)).astype(dtype)[..., 2:-1]


@pytest.mark.parametrize("interleaved", PAIRS)
@pytest.mark.parametrize(("shape", "pairs"), SHAPES, ids=str)
def test_rotary(backend, dtype, rng, shape, pairs, interleaved):
    x = rng.standard_normal(shape).astype(dtype)
    for samples in (1, shape[0]):
        cos, sin = tables(rng, samples, shape[1], pairs, dtype)
        agree(backend, "rotary.rotary_forward", poison(shape, dtype), x, cos, sin, interleaved)
        agree(backend, "rotary.rotary_backward", poison(shape, dtype), x, cos, sin, interleaved)


@pytest.mark.parametrize("interleaved", PAIRS)
def test_views_of_other_arrays(backend, rng, interleaved):
    shape, dtype = (2, 5, 3, 22), np.float32
    cos, sin = tables(rng, 1, 5, 9, dtype)
    for x, out in zip(packed(rng, shape, dtype), packed(rng, shape, dtype), strict=True):
        want = np.empty(shape, dtype)
        ref.rotary.rotary_forward(want, x, cos, sin, interleaved)
        whole = out.base.copy()
        backend("rotary.rotary_forward", out, x, cos, sin, interleaved)
        close(out, want)
        out[...] = 0
        view = np.lib.stride_tricks.as_strided(
            whole.ravel()[(out.ctypes.data - out.base.ctypes.data) // out.itemsize :], out.shape, out.strides
        )
        view[...] = 0
        assert same(out.base, whole), "a number outside of the view was written"


@pytest.mark.parametrize("interleaved", PAIRS)
def test_in_place(backend, rng, interleaved):
    x = rng.standard_normal((2, 5, 3, 70)).astype(np.float32)
    cos, sin = tables(rng, 2, 5, 33, np.float32)
    want = np.empty_like(x)
    kernel = backend.kernel("rotary.rotary_forward")
    if backend.name == "cuda":
        y = cuda.to_device(x)
        kernel(y, y, cuda.to_device(cos), cuda.to_device(sin), interleaved)
        y = cuda.to_host(y)
    else:
        y = x.copy()
        kernel(y, y, cos, sin, interleaved)
    ref.rotary.rotary_forward(want, x, cos, sin, interleaved)
    close(y, want)


@pytest.mark.parametrize("interleaved", PAIRS)
def test_ref_turns_complex_numbers(rng, interleaved):
    """And keeps the product of a query and a key where only their distance does not change."""
    q, k = rng.standard_normal((2, 1, 1, 1, 8))
    frequencies = 10000.0 ** -(np.arange(4) / 4)

    def turned(x, position):
        angles = (position * frequencies).reshape(1, 1, 4)
        y = np.empty_like(x)
        ref.rotary.rotary_forward(y, x, np.cos(angles), np.sin(angles), interleaved)
        return y.ravel()

    y, row = turned(q, 5.0), q.ravel()
    z = row[::2] + 1j * row[1::2] if interleaved else row[:4] + 1j * row[4:]
    z = z * np.exp(5j * frequencies)
    close(y[::2] if interleaved else y[:4], z.real)
    close(y[1::2] if interleaved else y[4:], z.imag)
    close(turned(q, 7.0) @ turned(k, 3.0), turned(q, 104.0) @ turned(k, 100.0), 1e-12)


@pytest.mark.parametrize("interleaved", PAIRS)
def test_ref_gradients_are_slopes(rng, interleaved):
    x, dy = rng.standard_normal((2, 2, 3, 2, 7))
    cos, sin = tables(rng, 2, 3, 3, np.float64)
    y, dx = np.empty_like(x), np.empty_like(x)

    def weighted():
        ref.rotary.rotary_forward(y, x, cos, sin, interleaved)
        return float((y * dy).sum())

    ref.rotary.rotary_backward(dx, dy, cos, sin, interleaved)
    close(dx, finite_difference(weighted, x), 1e-8)


def test_what_is_refused(backend, rng):
    x, y = rng.standard_normal((2, 3, 2, 6)), np.empty((2, 3, 2, 6))
    cos, sin = tables(rng, 1, 3, 3, np.float64)

    def refused(words, *args):
        with pytest.raises(ValueError, match=words):
            backend("rotary.rotary_forward", *args, False)

    refused("numbers lie side by side", y, x.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2), cos, sin)
    refused("one sample, or of as many", y, x, *tables(rng, 3, 3, 3, np.float64))
    refused("half as many pairs", y, x, *tables(rng, 1, 3, 4, np.float64))
    refused("dtype of x", y, x, cos.astype(np.float32), sin.astype(np.float32))
    if backend.name != "ref":
        refused("expected shape", y, x, *tables(rng, 1, 4, 3, np.float64))
    assert [a.name for a in arguments_of("rotary.rotary_backward")][:2] == ["dx", "dy"]
