"""Hopper's instructions one by one, against their layouts: where a product is wrong on a device, these say which.

In the order in which things are built upon each other: the copy of a tile (its description, permutation, zeros outside
and rounding to TF32), then the product of two tiles that were copied (descriptors, ways to lie, fragments of sums).
What all of it is for is in test_cuda_hopper.py.
"""

from itertools import product

import numpy as np
import pytest
from helpers import close
from hotloop.kernels import cuda
from hotloop.kernels.cuda.half import HALVES
from test_cuda_hopper import SIMULATED, hopper  # noqa: F401  a fixture

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from hotloop.kernels.cuda.ptx_hopper import (
    acquire_map,
    barrier_expect,
    barrier_init,
    barrier_wait,
    copy_tile,
    descriptor_bits,
    fence_barriers,
    finish,
    load_shared4,
    multiply,
    shared_address,
)
from hotloop.kernels.cuda.target import cuda as numba
from hotloop.kernels.cuda.target import jit, launch
from hotloop.kernels.cuda.tensor_map import tensor_map

# of the tiles here at most
TILE = 32 * 1024


def test_copy_tile(hopper, rng):  # noqa: F811
    """16-byte word c of row r lies where word c ^ r % 8 would; what is outside is zero; float32 comes as TF32."""

    @jit
    def brought(out, map_, x, y, z):
        at = (shared_address(numba.shared.array(0, np.uint8)) + 1023) & -1024
        barrier = at + out.size * 4
        if numba.threadIdx.x == 0:
            acquire_map(map_)
            barrier_init(barrier, 1)
            fence_barriers()
            barrier_expect(barrier, out.size * 4)
            copy_tile(at, map_, barrier, x, y, z)
        numba.syncthreads()
        barrier_wait(barrier, 0)
        for i in range(numba.threadIdx.x, out.size // 4, numba.blockDim.x):
            out[4 * i], out[4 * i + 1], out[4 * i + 2], out[4 * i + 3] = load_shared4(at + 16 * i)

    for dtype, shape, corner in (
        (HALVES[0], (1, 48, 128), (64, 8, 0)),
        (HALVES[-1], (2, 40, 72), (64, 16, 1)),
        (np.dtype(np.float32), (2, 40, 72), (64, 16, 1)),
    ):
        inner = 128 // dtype.itemsize
        x = rng.standard_normal(shape).astype(dtype)
        device, out = cuda.to_device(x), cuda.empty((32 * 32,), np.float32)
        map_ = tensor_map(dtype.name, device.pointer, device.shape, device.strides[:2], (32, inner))
        launch(brought, 1, 8 if SIMULATED else 32, 0, out, map_, *corner, shared=TILE)
        want = np.zeros((32, inner), dtype)
        part = x[corner[2], corner[1] : corner[1] + 32, corner[0] : corner[0] + inner]
        want[: part.shape[0], : part.shape[1]] = part
        got = cuda.to_host(out).view(np.uint8).reshape(32, 8, 16)
        words = np.arange(8) ^ np.arange(32)[:, None] % 8
        got = np.take_along_axis(got, words[:, :, None], axis=1).reshape(32, 128).view(dtype)
        if dtype == np.float32:
            assert not (got.view(np.uint32) & 0x1FFF).any(), "ten bits behind the point"
            assert np.abs(got - want).max() <= np.abs(want).max() * 2**-11, "to nearest"
        else:
            assert np.array_equal(got, want)


# TF32 wants both operands along K
WAYS = [("float32", "kk"), *product([half.name for half in HALVES], ("kk", "kn", "mk", "mn"))]


@pytest.mark.parametrize(("kind", "ways"), WAYS)
def test_multiply(hopper, rng, kind, ways):  # noqa: F811
    """One slice of 64 x 128 results, each thread's share of them."""
    columns, count = 128, 64
    a_along, b_along = ways[0] == "k", ways[1] == "k"
    size = 4 if kind == "float32" else 2
    inner, a_bytes = 128 // size, 64 * 128
    a_bits, b_bits = (descriptor_bits(way, inner * 128) for way in (a_along, b_along))
    b_boxes, b_lines = (1, columns) if b_along else (2, inner)
    slice_product, done, zeros = multiply(kind, columns, a_along, b_along), finish(columns), (np.float32(0),) * count

    @jit
    def multiplied(out, map_a, map_b):
        at = (shared_address(numba.shared.array(0, np.uint8)) + 1023) & -1024
        barrier, thread = at + 3 * a_bytes, numba.threadIdx.x
        if thread == 0:
            acquire_map(map_a)
            acquire_map(map_b)
            barrier_init(barrier, 1)
            fence_barriers()
            barrier_expect(barrier, 3 * a_bytes)
            copy_tile(at, map_a, barrier, 0, 0, 0)
            for box in range(b_boxes):
                copy_tile(at + a_bytes * (1 + box), map_b, barrier, 64 * box, 0, 0)
        numba.syncthreads()
        barrier_wait(barrier, 0)
        a = np.uint64(a_bits) | np.uint64(at) >> np.uint64(4)
        b = np.uint64(b_bits) | np.uint64(at + a_bytes) >> np.uint64(4)
        sums = done(slice_product(zeros, a, b))
        for i in range(count):
            out[thread, i] = sums[i]

    dtype = {d.name: d for d in (*HALVES, np.dtype(np.float32))}[kind]
    a, b = rng.standard_normal((64, inner)).astype(dtype), rng.standard_normal((columns, inner)).astype(dtype)
    stored = [np.ascontiguousarray(m if way else m.T)[None] for m, way in ((a, a_along), (b, b_along))]
    device, out = [cuda.to_device(m) for m in stored], cuda.empty((128, count), np.float32)
    boxes = (64 if a_along else inner, inner), (b_lines, inner)
    maps = [tensor_map(kind, m.pointer, m.shape, m.strides[:2], box) for m, box in zip(device, boxes, strict=True)]
    launch(multiplied, 1, 128, 0, out, *maps, shared=TILE)
    # registers 4 j .. 4 j + 3 of lane l of warp w: rows 16 w + l // 4 and eight below, columns 8 j + 2 (l % 4) and next
    shares = cuda.to_host(out).reshape(4, 8, 4, columns // 8, 2, 2)
    got = shares.transpose(0, 4, 1, 3, 2, 5).reshape(64, columns)
    want = a.astype(np.float64) @ b.astype(np.float64).T
    close(got, want, 5e-4 if kind == "float32" else 1e-6)
