"""Products by Hopper's own instructions: against NumPy, in the simulator or on such a device, and by the assembler.

The simulator's stand-ins have the hardware's layouts (swizzled tiles, descriptors, fragments) and its unkindness
(copies and products happen as late as they may), so that rings, phases and index arithmetic are all exercised.
"""

import ctypes
import os

import numpy as np
import pytest
from helpers import ROOT, TOLERANCE, close, poison, require_cuda
from hotloop.kernels import cuda
from hotloop.kernels.cuda.half import HALVES
from hotloop.kernels.scalar import GELU_TANH, IDENTITY, RELU, SIGMOID
from test_cuda_compile import HOPPER, compiler  # noqa: F401  a fixture

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
SINGLE = np.dtype(np.float32)
PARTS = str(ROOT / "tests/test_cuda_hopper_parts.py")
# of TF32: 11 bits; of its three products 22, and float32's sums
TOLERANCES = {1: 5e-4, 3: 1e-6}


@pytest.mark.process(__file__, PARTS, env={"NUMBA_ENABLE_CUDASIM": "1"}, needs="numba_cuda")
def test_in_the_simulator(process):
    process()


@pytest.fixture
def hopper(monkeypatch):
    """The module, where its products run: on such a device, or in the simulator, which is told that it is one."""
    require_cuda()
    from hotloop.kernels.cuda import hopper, target

    if SIMULATED:
        monkeypatch.setattr(target, "compute_capability", lambda: (9, 0))
    elif target.compute_capability()[0] != 9:
        pytest.skip("this device is no Hopper: it has none of these instructions")
    # of any size
    monkeypatch.setattr(hopper, "LEAST", 1)
    return hopper


def operands(rng, dtype, stack, m, n, k, transpose_a, transpose_b):
    a = rng.standard_normal((stack, k, m) if transpose_a else (stack, m, k)).astype(dtype)
    b = rng.standard_normal((stack, n, k) if transpose_b else (stack, k, n)).astype(dtype)
    return a, b


def expected(a, b, transpose_a, transpose_b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a.swapaxes(1, 2) if transpose_a else a) @ (b.swapaxes(1, 2) if transpose_b else b)


# several tiles and blocks, remainders along each axis, more slices than stages; plan: (columns of a tile, depth of a
# part, blocks of a cluster), where it is not left to the module
PRODUCTS = {
    "one slice": (1, 128, 64, 64, "nt", None, False),
    "several tiles": (1, 136, 200, 200, "nt", None, True),
    "both turned": (1, 136, 72, 136, "tn", None, True),
    "a turned": (2, 72, 136, 72, "tt", None, False),
    "b turned": (1, 72, 136, 328, "nn", (128, 1 << 20, 1), True),
    "split": (2, 72, 72, 264, "nn", (64, 128, 1), True),
    "clusters": (1, 304, 136, 264, "nt", (128, 1 << 20, 2), True),
    "clusters, split, turned": (1, 136, 72, 328, "nn", (128, 192, 2), False),
}
CASES = [
    *[(HALVES[-1], 0, name) for name in PRODUCTS],
    (HALVES[0], 0, "several tiles"),
    (SINGLE, 1, "both turned"),
    (SINGLE, 3, "several tiles"),
    (SINGLE, 3, "split"),
    (SINGLE, 3, "clusters, split, turned"),
]


@pytest.mark.parametrize(("dtype", "passes", "name"), CASES, ids=lambda value: str(value).replace(" ", "-"))
def test_as_numpy(hopper, rng, monkeypatch, dtype, passes, name):
    stack, m, n, k, ways, plan, full = PRODUCTS[name]
    if plan:
        monkeypatch.setattr(hopper, "plan", lambda *_: plan)
    if dtype == SINGLE:
        # extents whose lines are off the boundaries that copies want
        m, k = m - 1, k - 3
    ways = [way == "t" for way in ways]
    a, b = operands(rng, dtype, stack, m, n, k, *ways)
    y = rng.standard_normal((stack, m, n)).astype(dtype) if full else poison((stack, m, n), dtype)
    z, bias = poison(y.size if full else 0, dtype), rng.standard_normal(n if full else 0).astype(dtype)
    before = after = expected(a, b, *ways)
    activation = IDENTITY
    if full:
        activation = RELU if ways[0] else SIGMOID
        before = before + y.astype(np.float64) + bias.astype(np.float64)
        after = np.maximum(before, 0) if ways[0] else 1 / (1 + np.exp(-before))
    device = [cuda.to_device(array) for array in (y, a, b, z, bias)]
    assert hopper.takes(*device[:3], *ways, *device[3:], passes)
    hopper.product(*device[:3], *ways, full, 0, *device[3:], activation, passes)
    tol = TOLERANCES.get(passes) or TOLERANCE[dtype]
    close(cuda.to_host(device[0]), after, tol)
    if full:
        close(cuda.to_host(device[3]), before.reshape(-1), tol)


def test_what_it_takes(hopper):
    def takes(dtype, shape_a, shape_b, columns, passes=0, offset=0):
        y, a, b = (cuda.empty(shape, dtype) for shape in ((1, shape_a[1], columns), shape_a, shape_b))
        a = a.view_at(a.shape, a.strides, offset)
        absent = y.reshape(-1)[:0]
        return hopper.takes(y, a, b, False, False, absent, absent, passes)

    half = HALVES[0]
    assert takes(half, (1, 128, 512), (1, 512, 64), 64)
    assert not takes(half, (1, 128, 512), (1, 512, 64), 64, offset=8), "a tile begins on 16 bytes"
    assert not takes(half, (1, 128, 516), (1, 516, 64), 64), "so does every line"
    assert not takes(SINGLE, (1, 128, 512), (1, 512, 64), 64), "float32 is not TF32 unasked"
    assert takes(SINGLE, (1, 128, 513), (1, 513, 64), 64, passes=3, offset=4)
    assert not takes(SINGLE, (1, 128, 512), (1, 512, 66), 66, passes=3), "results are written by fours"
    assert not takes(np.float64, (1, 128, 512), (1, 512, 64), 64, passes=1)


def test_matmul_goes_there(hopper, rng, monkeypatch):
    """The public kernel asks, and computes what it always does."""
    from hotloop.kernels.cuda import gemm

    went = []
    product = hopper.product
    monkeypatch.setattr(hopper, "product", lambda *args: went.append(args) or product(*args))
    a, b = operands(rng, HALVES[0], 1, 256, 128, 72 if SIMULATED else 512, False, True)
    y = cuda.empty((256, 128), HALVES[0])
    gemm.matmul_forward(y, cuda.to_device(a[0]), cuda.to_device(b[0]), False, True, False)
    assert went
    close(cuda.to_host(y), expected(a, b, False, True)[0], TOLERANCE[HALVES[0]])


def test_plans():
    """Tiles enough for every multiprocessor, as wide as they may be; long depths of few tiles are split."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from hotloop.kernels.cuda import hopper

    if SIMULATED:
        pytest.skip("tiles are small in the simulator")
    for size in (2048, 4096, 8192):
        assert hopper.plan("bfloat16", 1, size, size, size, 1) == (256, size, 2)
    width, per, _ = hopper.plan("bfloat16", 1, 1024, 1024, 1024, 1)
    assert 1024**2 // 128 // width >= 32
    assert per == 1024
    assert hopper.plan("bfloat16", 1, 256, 256, 1 << 16, 1)[1] < 1 << 14
    assert hopper.plan("float32", 1, 4096, 4096, 4096, 3) == (128, 4096, 2)


# (type, columns of a tile, whether a and b lie along K, activation, products, blocks of a cluster)
VARIANTS = {
    "bfloat16": ("bfloat16", 256, True, True, IDENTITY, 1, 2),
    "bfloat16 turned, an activation": ("bfloat16", 256, False, False, GELU_TANH, 1, 2),
    "float16, half as wide": ("float16", 128, True, False, RELU, 1, 1),
    "TF32": ("float32", 256, True, True, IDENTITY, 1, 1),
    "three of TF32": ("float32", 128, True, True, IDENTITY, 3, 2),
    "three of TF32, narrow": ("float32", 64, True, True, SIGMOID, 3, 1),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_assembles(compiler, name):  # noqa: F811
    """Sums stay in registers, and nothing makes the assembler wait for one product before the next."""
    from hotloop.kernels.cuda import hopper_core
    from numba.cuda import types

    kind, width, a_along, b_along, _, passes, cluster = variant = VARIANTS[name]
    element = types.Array({"bfloat16": types.uint16, "float16": types.float16}.get(kind, types.float32), 1, "C")
    signature = *[element] * 3, *[types.uint64] * 2, *[types.int64] * 6, types.boolean
    compiler.cc = HOPPER
    version = compiler.compile(hopper_core.core(*variant), signature)
    assert version.spilled == 0
    assert version.registers <= 255
    assert "Potential Performance Loss" not in version.said
    assert ".f64" not in version.ptx
    shape = f"wgmma.mma_async.sync.aligned.m64n{width}k{8 if kind == 'float32' else 16}.f32"
    assert version.ptx.count(shape) == 4 * passes
    boxes = (1 if a_along else 2) + (1 if b_along else width // cluster // 64)
    boxes *= 2 if passes == 3 else 1
    # before the first slice, and after each
    assert version.ptx.count("cp.async.bulk.tensor.3d") >= 2 * boxes
    assert (".reqnctapercluster 2, 1, 1" in version.ptx) == (cluster == 2)
    for instruction in ("mbarrier.try_wait", "fence.proxy.tensormap::generic.acquire.sys", "ld.shared.v4.f32"):
        assert instruction in version.ptx
    # of a block and of the system, in 228 KB
    assert hopper_core.shared_bytes(width, passes) + 1024 <= 228 * 1024


def test_what_the_driver_is_told(compiler, monkeypatch):  # noqa: F811
    """Extents innermost first, no stride for the innermost, on a boundary of 64 bytes."""
    from hotloop.kernels.cuda import tensor_map

    def numbers(address, kind, count):
        return list((kind * count).from_address(address))

    def driver(out, type_, rank, pointer, extents, strides, box, every, *modes):
        assert out % 64 == 0
        assert (type_, rank, pointer, modes) == (11, 3, 4096, (0, 3, 3, 0))
        assert numbers(extents, ctypes.c_uint64, 3) == [100, 70, 2]
        assert numbers(strides, ctypes.c_uint64, 2) == [416, 29120]
        assert numbers(box, ctypes.c_uint32, 3) == [32, 64, 1]
        assert numbers(every, ctypes.c_uint32, 3) == [1, 1, 1]
        return 0

    monkeypatch.setattr(tensor_map, "_encode", lambda: driver)
    assert tensor_map.encoded("float32", 4096, (2, 70, 100), (29120, 416), (64, 32)).nbytes == 128
    monkeypatch.setattr(tensor_map, "_encode", lambda: lambda *_: 1)
    with pytest.raises(RuntimeError, match="CUDA error 1"):
        tensor_map.encoded("float32", 4096, (2, 70, 100), (29120, 416), (64, 32))
