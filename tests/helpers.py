"""What every test file shares: backends, poisoned outputs, comparison by ratio of norms, finite differences.

The workhorse is `agree`: it runs one kernel on one backend and compares all it writes with `kernels/ref` in float64.

    @pytest.mark.parametrize("shape", [(0, 3), (1, 1), (17, 63)], ids=str)
    def test_softmax_forward(backend, dtype, rng, shape):
        x = rng.standard_normal(shape).astype(dtype)
        agree(backend, "softmax.softmax_forward", poison(shape, dtype), x)

Arrays are NumPy's on every backend; `agree` and `Backend.__call__` move them to the device and back.
"""

import functools
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hotloop.kernels import cuda, spec
from hotloop.kernels.cuda.half import HALVES

ROOT = Path(__file__).resolve().parent.parent
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

# nothing, one, a prime, a vector and its neighbours, several blocks and a remainder
SIZES = (0, 1, 2, 7, 16, 17, 61, 127, 1000)
# ratios of norms: a few rounding errors of the dtype, against a float64 reference
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 2e-14}
# 16-bit floats, on CUDA alone: every element of a result is rounded once, to 11 bits or to 8
TOLERANCE |= {half: 5e-4 if half == np.float16 else 4e-3 for half in HALVES}


class Backend:
    """One of the sibling packages `hotloop.kernels.{ref,cpu,cuda}`, called with NumPy arrays whatever it runs on."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name

    def kernel(self, path):
        """The kernel at `module.function`. A CUDA kernel that is not written yet skips the test in words."""
        module, function = path.split(".")
        try:
            return getattr(importlib.import_module(f"hotloop.kernels.{self.name}.{module}"), function)
        except (ModuleNotFoundError, AttributeError):
            if self.name != "cuda":
                raise
            pytest.skip(f"kernels/cuda has no {path}")

    def __call__(self, path, *args):
        """Run the kernel; arrays it writes are written in place, arrays it only reads must come back unchanged."""
        kernel = self.kernel(path)
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        if self.name == "cuda":
            _call_on_device(kernel, args)
        else:
            assert kernel(*args) is None, f"{path} must return None"
        for arg, old, new in zip(arguments_of(path), before, args, strict=True):
            if arg.is_array and not arg.written:
                assert same(old, new), f"{path} changed its input {arg.name}"


def _call_on_device(kernel, args):
    moved = [_on_device(a) if isinstance(a, np.ndarray) else a for a in args]
    assert kernel(*moved) is None
    for host, device in zip(args, moved, strict=True):
        if isinstance(host, np.ndarray) and host.size and host.flags.writeable:
            host[...] = cuda.to_host(device)


def _on_device(a):
    """A copy on the device, with the strides that it has here."""
    if a.flags.c_contiguous:
        return cuda.to_device(a)
    base = a
    while isinstance(base.base, np.ndarray):
        base = base.base
    in_order = cuda.to_device(base.ravel(order="K"))
    return in_order.view_at(a.shape, a.strides, a.ctypes.data - base.ctypes.data)


@functools.cache
def cuda_missing():
    """Why CUDA tests cannot run here, in words; empty where there is a device or the simulator."""
    try:
        from numba import cuda
    except ImportError:
        return "CUDA: numba-cuda is not installed"
    return "" if cuda.is_available() else "CUDA: no device here; NUMBA_ENABLE_CUDASIM=1 runs the simulator"


def require_cuda():
    if cuda_missing():
        pytest.skip(cuda_missing())


def arguments_of(path):
    """The documented arguments of a kernel (name, shape, role ...), from its definition in ref."""
    module, function = path.split(".")
    return spec.parse(getattr(importlib.import_module(f"hotloop.kernels.ref.{module}"), function)).arguments


def is_floating(dtype):
    return dtype.kind == "f" or dtype in HALVES


def poison(shape, dtype):
    """An output array as a kernel may find it: full of NaN (integers: an absurd value)."""
    dtype = np.dtype(dtype)
    if is_floating(dtype):
        return np.full(shape, np.nan, dtype)
    return np.full(shape, True if dtype.kind == "b" else np.iinfo(dtype).max // 2, dtype)


def absent(dtype=np.float32):
    """An optional array that is not there."""
    return np.empty(0, dtype)


def same(a, b):
    """Bit for bit, NaN equal to itself."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def error(got, want):
    """RMS(got - want) / RMS(want) in float64; inf where NaN appears, infinities differ or a zero is missed."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"shape: expected {want.shape}, got {got.shape}"
    got, want = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    if np.isnan(got).any() or np.isnan(want).any():
        return np.inf
    infinite = np.isinf(want) | np.isinf(got)
    if not np.array_equal(got[infinite], want[infinite]):
        return np.inf
    got, want = got[~infinite], want[~infinite]
    # scaled by the largest value: squares of float64 extremes stay finite
    scale = np.max(np.abs(want), initial=0.0)
    if scale == 0.0:
        return 0.0 if not got.any() else np.inf
    return float(np.sqrt(np.mean(((got - want) / scale) ** 2) / np.mean((want / scale) ** 2)))


def close(got, want, tol=None, name="result"):
    """Assert that the ratio of norms is within `tol` (default: by got's dtype); print it. NaN is an error."""
    if tol is None:
        tol = TOLERANCE[np.asarray(got).dtype]
    ratio = error(got, want)
    print(f"{name}: error {ratio:.2e} (tolerance {tol:.0e})")
    assert ratio <= tol, f"{name}: error {ratio:.2e} is over the tolerance {tol:.0e}"


def agree(backend, path, *args, tol=None):
    """Run kernel `path` on `backend` and compare every array it writes with ref in float64.

    The dtype is that of the arrays given. `[out]` and `[work]` arrays are poisoned here; `[acc]` and `[inout]` keep
    what the caller put there. Integer and boolean outputs must be equal.
    """
    documented = arguments_of(path)
    assert len(documented) == len(args), f"{path} takes {len(documented)} arguments: {[d.name for d in documented]}"
    # what is only read keeps its strides
    args = [a.copy() if d.written else a for d, a in zip(documented, args, strict=True)]
    for d, a in zip(documented, args, strict=True):
        if d.role in ("out", "work"):
            a[...] = poison(a.shape, a.dtype)
    wide = [_in_float64(a) if isinstance(a, np.ndarray) else a for a in args]
    Backend("ref")(path, *wide)
    backend(path, *args)
    for d, got, want in zip(documented, args, wide, strict=True):
        if d.role not in ("out", "acc", "inout"):
            continue
        if is_floating(got.dtype):
            close(got, want, tol, f"{path} {d.name}")
        else:
            assert np.array_equal(got, want), f"{path} {d.name} differs"
    return args


def _in_float64(a):
    return a.astype(np.float64) if is_floating(a.dtype) else a.copy()


def ulps(got, want):
    """Largest error of `got` in units of its last place, against a more precise `want`; special values must match."""
    got, want = np.asarray(got), np.asarray(want)
    special = ~np.isfinite(want.astype(got.dtype))
    assert np.array_equal(got[special], want[special].astype(got.dtype), equal_nan=True), "NaN or infinity differs"
    got, want = got[~special], want[~special]
    if not got.size:
        return 0.0
    unit = np.spacing(np.abs(want.astype(got.dtype)))
    return float(np.max(np.abs(got.astype(want.dtype) - want) / unit))


def finite_difference(f, x, eps=1e-5):
    """Gradient of the scalar f() with respect to the float64 array x (changed in place and put back), central."""
    assert x.dtype == np.float64, "finite differences need float64"
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + eps
        up = f()
        x[i] = old - eps
        down = f()
        x[i] = old
        gradient[i] = (up - down) / (2 * eps)
    return gradient


def python(*args, env=None, cwd=ROOT, timeout=600):
    """Run Python with extra environment variables; gives its stdout, or fails with all it said."""
    full = {**os.environ, **{k: str(v) for k, v in (env or {}).items()}}
    done = subprocess.run(
        [sys.executable, *map(str, args)], cwd=cwd, env=full, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    return done.stdout


def run_tests(*selection, env=None, timeout=900):
    """Run the selected tests in a process of their own; see conftest.py."""
    env = {**(env or {}), "HOTLOOP_TEST_PROCESS": "1"}
    out = python("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *selection, env=env, timeout=timeout)
    passed = re.search(r"(\d+) passed", out)
    assert passed and int(passed[1]) > 0, f"no test ran:\n{out[-4000:]}"
    return out


def data_folder(name):
    """$HOTLOOP_DATA/name, or a skip that says what is missing."""
    root = os.environ.get("HOTLOOP_DATA")
    if not root:
        pytest.skip(f"HOTLOOP_DATA is not set: no {name} data")
    folder = Path(root) / name
    if not folder.is_dir():
        pytest.skip(f"no folder {name} in HOTLOOP_DATA ({root})")
    return folder
