"""Scaled dot-product attention in blocks: scores live in registers, and memory holds none of them that is not wanted.

The kernels are written by attention_source.py; here is which of them are launched, in which shape, and how arrays are
brought to the form they take: rows of whole chunks of 16 bytes on boundaries of 16 bytes. Rows of other sizes are
copied, with zeros at their ends.
"""

import math
from typing import NamedTuple

import numpy as np

from . import tile_launch
from .attention_kernel import LOG2_E, kernel_of
from .attention_shapes import shape_for
from .attention_version import Version, arguments_of, strides_of
from .elementwise import fill_forward
from .half import HALVES, stored_as
from .lanes import warp_sum
from .maps import computed, raw
from .ptx import wide
from .random import threshold
from .strided import move
from .target import THREADS, WARP, cuda, device, empty, jit, kernel, launch

CHUNK_BYTES = 16
# neighbours that a kernel stores at once
NEIGHBOURS = 4


class Problem(NamedTuple):
    """The sizes, by the letters of kernels/ref."""

    n: int
    h: int
    g: int
    l: int
    s: int
    d: int
    e: int


def _problem(q, k, v, lse, state, rate):
    n, h, l, d = q.shape
    g, s, e = k.shape[1], k.shape[2], v.shape[3]
    if g == 0 or h % g:
        raise ValueError(f"attention: expected heads of q a multiple of those of k, got {h} and {g}")
    if not 0 <= rate <= 1:
        raise ValueError(f"attention: rate: expected 0 .. 1, got {rate}")
    if rate and not state.size:
        raise ValueError("attention: state: expected two words for a rate over 0")
    if lse.dtype != computed(q.dtype):
        raise TypeError(f"attention: lse: expected {np.dtype(computed(q.dtype))} for {q.dtype}, got {lse.dtype}")
    return Problem(n, h, g, l, s, d, e)


def _check_rows(**arrays):
    for name, a in arrays.items():
        if a.size and a.shape[3] > 1 and a.strides[3] != a.itemsize:
            raise ValueError(
                f"attention: {name}: expected rows whose numbers lie side by side, got strides {a.strides}"
            )


def _steps(array):
    """Elements from one index to the next, along each axis."""
    return [0 if n == 1 else step // array.itemsize for n, step in zip(array.shape, array.strides, strict=True)]


def _flat(array):
    """All of its memory as one axis."""
    size = 1 + sum((n - 1) * step for n, step in zip(array.shape, _steps(array), strict=True)) if array.size else 0
    return array.view_at((size,), (array.itemsize,))


def _whole(size, itemsize):
    """A row's size, in whole chunks and whole stores."""
    step = max(CHUNK_BYTES // itemsize, NEIGHBOURS)
    return -(-size // step) * step


def _fits(array, size):
    """Whether kernels take an array as it lies, for rows of `size`."""
    fits = all(step >= 0 and step * array.itemsize % CHUNK_BYTES == 0 for step in _steps(array)[:3])
    return array.shape[3] == size and (not array.size or (fits and array.pointer % CHUNK_BYTES == 0))


def _taken(array, size, stream):
    """An operand as kernels take it."""
    if _fits(array, size):
        return array
    copy = empty((*array.shape[:3], size), array.dtype)
    if size != array.shape[3]:
        fill_forward(copy, 0, stream)
    move(raw(copy[..., : array.shape[3]]), raw(array), stream)
    return copy


def _given(array, size):
    """Where kernels write a result."""
    return array if _fits(array, size) else empty((*array.shape[:3], size), array.dtype)


def _give(array, made, stream):
    if made is not array:
        move(raw(array), raw(made[..., : array.shape[3]]), stream)


def _mask(array, stream):
    """A matrix for each head by strides, none of which may be negative."""
    if not array.size or all(step >= 0 for step in _steps(array)):
        return array
    copy = empty(array.shape, array.dtype)
    move(raw(copy), raw(array), stream)
    return copy


def _kind(dtype):
    if dtype in HALVES:
        return "f16" if dtype == np.float16 else "bf16"
    products = tile_launch.tensor_products() if dtype == np.float32 else 0
    return {0: "fma", 3: "tf32x3", 1: "tf32"}[products]


class _Call(NamedTuple):
    """What all launches of one operation have in common."""

    problem: Problem
    arrays: dict
    scale: float
    causal: bool
    rate: float
    stream: object

    def launch(self, form, scores=False, weights=False):
        p, arrays = self.problem, self.arrays
        dtype = arrays["q"].dtype
        depth, width = arrays["q"].shape[3], arrays["v"].shape[3]
        lines = p.s if form == "keys" else p.l
        stacks = p.n * (p.g if form == "keys" else p.h)
        widest = depth if weights else max(depth, width)
        there = {name: bool(arrays[name].size) for name in ("bias", "keep")}
        there["slopes"] = "dp" in arrays and bool(arrays["dp"].size) and not weights
        drop = self.rate > 0 and not weights
        more = any(there.values()) or (drop and form == "queries")
        stored = stored_as(dtype)
        shape = shape_for(form, _kind(dtype), stored, widest, stacks, lines, more)
        version = Version(
            form,
            stored,
            shape,
            widest > shape.width,
            self.scale > 0 and not there["bias"],
            **there,
            drop=drop,
            scores=scores,
            weights=weights,
        )
        function, shared = kernel_of(version)
        names, _ = arguments_of(version)
        strided = strides_of(version)
        masks = [name for name in ("bias", "keep") if there[name]]
        real = computed(dtype)
        tiles = -(-lines // shape.rows)
        rest = 1 / (1 - self.rate) if self.rate < 1 else 0.0
        scalars = [p.h, p.h // p.g, p.l, p.s, depth, width, tiles, self.causal]
        scalars += [real(self.scale * LOG2_E), real(self.scale)]
        scalars += [step for name in strided for step in _steps(arrays[name])[:3]]
        scalars += [step for name in masks for step in _steps(arrays[name])]
        scalars += [threshold(self.rate), real(rest)] if version.drop else []
        given = [_flat(arrays[name]) if arrays[name].ndim == 4 else arrays[name].reshape(-1) for name in names]
        # a part of the results' columns each
        made = {"forward": width, "queries": depth, "keys": max(depth, width)}[form]
        slices = 1 if weights else max(1, -(-made // shape.width))
        launch(function, (stacks * tiles, slices), shape.threads, self.stream, *given, *scalars, shared=shared)


@kernel(half=True)
def attention_forward(y, lse, p, q, k, v, bias, keep, state, scale, causal, rate, stream=0):
    """One launch; where p is wanted a second one, which makes the scores again.

    A block has 64 or 128 queries of one head, a warp 16 to 32 of them, and goes along blocks of keys, in two stages of
    shared memory.
    """
    problem = _problem(q, k, v, lse, state, rate)
    _check_rows(y=y, q=q, k=k, v=v)
    depth, width = (_whole(n, q.itemsize) for n in (problem.d, problem.e))
    made = _given(y, width)
    arrays = {
        "y": made,
        "lse": lse,
        "q": _taken(q, depth, stream),
        "k": _taken(k, depth, stream),
        "v": _taken(v, width, stream),
        "bias": _mask(bias, stream),
        "keep": _mask(keep, stream),
        "state": state,
    }
    call = _Call(problem, arrays, scale, causal, rate, stream)
    call.launch("forward")
    _give(y, made, stream)
    if p.size:
        arrays |= {"p": p, "bases": empty(lse.shape, lse.dtype)}
        arrays["deltas"] = arrays["bases"]
        launch(_bases, -(-lse.size // THREADS), THREADS, stream, arrays["bases"].reshape(-1), lse.reshape(-1))
        call.launch("queries", weights=True)


@kernel(half=True)
def attention_backward(
    dq, dk, dv, dscores, dy, dp, q, k, v, bias, keep, y, lse, p, state, scale, causal, rate, stream=0
):
    """Three launches: delta of every query; dq and dscores, a block for some queries; dk and dv, for some keys.

    Both make the weights again from lse; p is read for delta alone. Sums go along a block's loop, in one order.
    """
    problem = _problem(q, k, v, lse, state, rate)
    if dp.size and not p.size:
        raise ValueError("attention_backward: the gradient of p needs p")
    _check_rows(dq=dq, dk=dk, dv=dv, dy=dy, q=q, k=k, v=v, y=y)
    depth, width = (_whole(n, q.itemsize) for n in (problem.d, problem.e))
    arrays = {
        "q": _taken(q, depth, stream),
        "k": _taken(k, depth, stream),
        "v": _taken(v, width, stream),
        "dy": _taken(dy, width, stream),
        "dq": _given(dq, depth),
        "dk": _given(dk, depth),
        "dv": _given(dv, width),
        "bias": _mask(bias, stream),
        "keep": _mask(keep, stream),
        "state": state,
        "dscores": dscores,
        "dp": dp,
        "bases": empty(lse.shape, lse.dtype),
        "deltas": empty(lse.shape, lse.dtype),
    }
    y = _taken(y, width, stream)
    given = (arrays["bases"], arrays["deltas"], lse, y, arrays["dy"], p, dp)
    given = [_flat(a) if a is y or a is arrays["dy"] else a.reshape(-1) for a in given]
    steps = *_steps(y)[:3], *_steps(arrays["dy"])[:3]
    rows = THREADS // WARP
    launch(_deltas, -(-lse.size // rows), THREADS, stream, *given, problem.h, problem.l, problem.s, width, *steps)
    call = _Call(problem, arrays, scale, causal, rate, stream)
    call.launch("queries", scores=bool(dscores.size))
    call.launch("keys")
    for name, result in (("dq", dq), ("dk", dk), ("dv", dv)):
        _give(result, arrays[name], stream)


@device
def base_of(lse):
    """What exponents of base 2 are relative to; for a query that sees no key +inf, which makes its weights 0."""
    real = type(lse)
    return real(math.inf) if lse == -real(math.inf) else lse * real(LOG2_E)


@jit
def _bases(bases, lse):
    i = cuda.grid(1)
    if i < bases.size:
        bases[i] = base_of(lse[i])


@jit
def _deltas(bases, deltas, lse, y, dy, p, dp, heads, queries, keys, width, y_n, y_h, y_l, dy_n, dy_h, dy_l):
    """A warp for each query: sum(dy y) + sum(dp p), and what exponents are relative to."""
    thread = cuda.threadIdx.x
    lane = thread % WARP
    line = cuda.blockIdx.x * (THREADS // WARP) + thread // WARP
    there = line < lse.size
    line = line if there else 0
    own = line // queries
    n, h, l = own // heads, own % heads, line % queries
    at, of = n * y_n + h * y_h + l * y_l, n * dy_n + h * dy_h + l * dy_l
    total = lse.dtype.type(0)
    for i in range(lane, width, WARP):
        total += wide(y[at + i]) * wide(dy[of + i])
    if dp.size > 0:
        for i in range(lane, keys, WARP):
            total += wide(p[line * keys + i]) * wide(dp[line * keys + i])
    total = warp_sum(total)
    if there and lane == 0:
        deltas[line] = total
        bases[line] = base_of(lse[line])
