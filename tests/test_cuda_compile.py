"""Every CUDA kernel compiles to PTX for Hopper (cc 9.0), with no GPU and no driver: NVVM alone.

The public kernels run as they are; where they would launch, the launch's types are compiled instead.
"""

import re
import types as python_types

import numpy as np
import pytest

# float64 on purpose: long sums, Box and Muller's transform, steps and hyper-parameters, numbers given as Python's
DOUBLE = {
    "reduce_values",
    "_count",
    "_samples",
    "_normal",
    "_step",
    "_begin",
    "_pass",
    "_fill",
    "_arange",
    "_copy",
    "_uniform_double",
}


@pytest.fixture
def compiled(monkeypatch):
    """{name of the device kernel: PTX of every launch}, filled while public kernels are called."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from numba import cuda

    if "simulator" in cuda.jit.__module__:
        pytest.skip("the simulator has no compiler")
    from numba.cuda import dispatcher, types

    pathfinder = pytest.importorskip("cuda.pathfinder", reason="numba-cuda's toolkit is not installed")
    try:
        for library in ("nvvm", "nvrtc"):
            pathfinder.load_nvidia_dynamic_lib(library)
    except pathfinder.DynamicLibNotFoundError:
        pytest.skip("no NVVM or NVRTC here: the extras cuda12 and cuda13 bring them")
    from hotloop.kernels.cuda import target
    from hotloop.kernels.cuda.array import Array

    found: dict[str, list[str]] = {}

    def type_of(value):
        if isinstance(value, Array):
            layout = "C" if value.flags.c_contiguous else "A"
            return types.Array(getattr(types, value.dtype.name), value.ndim, layout)
        if isinstance(value, (bool, np.bool_)):
            return types.boolean
        if isinstance(value, np.generic):
            return getattr(types, value.dtype.name)
        return types.int64 if isinstance(value, int) else types.float64

    def compile_instead(function, configuration):
        def launched(*args):
            signature = types.void(*map(type_of, args))
            ptx, _ = cuda.compile_ptx(function.py_func, signature, cc=(9, 0))
            found.setdefault(function.py_func.__name__, []).append(ptx)

        return launched

    device = python_types.SimpleNamespace(compute_capability=(9, 0))
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)
    monkeypatch.setattr(dispatcher.CUDADispatcher, "__getitem__", compile_instead)
    monkeypatch.setattr(target, "_numba_array", lambda array: array)
    monkeypatch.setattr(target, "empty", fake)
    monkeypatch.setattr("hotloop.kernels.cuda.status._words", python_types.SimpleNamespace(array=fake(1, np.int32)))
    for module in ("elementwise", "adam"):
        monkeypatch.setattr(f"hotloop.kernels.cuda.{module}.empty", fake)
    return found


def fake(shape, dtype):
    """An Array over no memory."""
    from hotloop.kernels.cuda.array import Array

    return Array(None, 0, (shape,) if isinstance(shape, int) else shape, dtype)


def arguments(spec, dtype):
    """Arguments of every documented shape, each letter a size of its own, that a kernel admits."""
    sizes: dict[str, int] = {}

    def size(dim):
        for letter in re.findall(r"[A-Z][A-Z0-9]*", dim):
            sizes.setdefault(letter, 8)
        return eval(dim, dict(sizes))

    for argument in spec.arguments:
        if not argument.is_array:
            yield {"float": 0.25, "int": 1, "bool": False}[argument.kind]
            continue
        kind = np.dtype(dtype if argument.dtype in ("", "any", "same") else argument.dtype)
        yield fake((24,) if argument.any_shape else tuple(map(size, argument.dims)), kind)


def every_kernel():
    import importlib
    import pkgutil

    package = importlib.import_module("hotloop.kernels.cuda")
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name, kernel in vars(module).items():
            if re.search(r"_(forward|backward|update)$", name) and kernel.__module__ == module.__name__:
                yield info.name, name, kernel


def test_every_kernel_compiles(compiled):
    from hotloop.kernels import spec

    def call(module, name, kernel, dtype):
        ref = __import__(f"hotloop.kernels.ref.{module}", fromlist=[name])
        args = list(arguments(spec.parse(getattr(ref, name)), dtype))
        names = list(spec.parse(getattr(ref, name)).names)
        if name == "randint_forward":
            args[names.index("low")], args[names.index("high")] = -2, 5
        if module in ("loss", "cross_entropy"):
            args[names.index("loss" if "loss" in names else "dloss")] = fake((1,), dtype)
        kernel(*args)

    count = 0
    for module, name, kernel in every_kernel():
        for dtype in (np.float32, np.float64):
            before = {k: len(v) for k, v in compiled.items()}
            call(module, name, kernel, dtype)
            fresh = {k: v[before.get(k, 0) :] for k, v in compiled.items() if len(v) > before.get(k, 0)}
            assert fresh, f"{module}.{name} launches nothing"
            count += len(fresh)
            for function, texts in fresh.items():
                for ptx in texts:
                    assert ".target sm_90" in ptx
                    if dtype == np.float32 and function not in DOUBLE:
                        assert ".f64" not in ptx, f"{module}.{name}: float64 in the float32 kernel {function}"
    assert count > 60


def test_the_tile_product_keeps_its_sums_in_registers(compiled):
    from hotloop.kernels.cuda import gemm

    y, a, b = (fake((96, 96), np.float32) for _ in range(3))
    gemm.matmul_forward(y, a, b, False, True, False)
    (ptx,) = compiled["tile_product"]
    assert ptx.count("fma.rn.f32") >= gemm.DEPTH * gemm.THREAD_TILE**2
    assert ".local" not in ptx, "the sums spill to local memory"
    assert len(re.findall(r"\.shared \.align", ptx)) == 2


def test_uniform_rounds_its_product(compiled):
    """A fused multiply-add would give other bits than the CPU."""
    from hotloop.kernels.cuda import random

    random.uniform_forward(fake(64, np.float32), fake(2, np.uint64), 0.1, 0.7)
    (ptx,) = compiled["_uniform_single"]
    assert "mul.rn.f32" in ptx
    assert "fma" not in ptx
