"""The clock of every benchmark: nothing is timed before its result is right, and every figure has a ceiling beside it.

    CONTESTANTS = {"hotloop": with_hotloop, "numpy": with_numpy, "torch": with_torch}   # each: inputs -> run()

    @pytest.mark.parametrize("n", (64, 512))
    @pytest.mark.parametrize("who", CONTESTANTS)
    def bench_matmul(clock, who, n):
        a, b = ...
        clock(CONTESTANTS[who](a, b), f"sgemm {n}", want=a @ b, flops=2 * n**3)

`pytest bench` uses the cores of its process; `taskset -c 0 pytest bench` is the one-thread run (a whole process on one
core, because some peers take no other order). `make bench` does both.
"""

import os
import time

import ceilings
import hotloop
import numpy as np
import pytest
from helpers import close, error

# between one contestant's block and the next: OpenBLAS's workers spin for some 30 ms after their last region, and AMX
# keeps a core's clock low for a while
PAUSE = 0.5 if ceilings.AMX else 0.05

# TensorFlow reads these when it is imported: it says nothing below a warning, and Keras runs on it
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def pytest_collection_modifyitems(items):
    """The contestants of a workload one after the other: what the machine does meanwhile happens to all of them."""
    first = {}
    for place, item in enumerate(items):
        workload = (
            item.nodeid.replace(item.callspec.params.get("who", ""), "", 1)
            if hasattr(item, "callspec")
            else item.nodeid
        )
        item.workload = first.setdefault(workload, place)
    items.sort(key=lambda item: item.workload)


def peer(name):
    """A peer's module, on as many threads as this process has cores; skips, in words, where it is not installed."""
    if name in ("keras", "tensorflow"):
        tensorflow = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
        # before its first operation starts the threads; the same again later is no error
        for pool in ("intra", "inter"):
            getattr(tensorflow.config.threading, f"set_{pool}_op_parallelism_threads")(ceilings.threads())
    module = pytest.importorskip(name, reason=f"{name} is not installed")
    if name == "torch":
        module.set_num_threads(ceilings.threads())
    return module


@pytest.fixture
def clock(benchmark):
    def run(call, group, want, flops=0, moved=0, in_place=False, dtype=np.float32, tol=None):
        """Time `call` under the name `group`, after one call whose result (or results) must be close to `want`.

        flops: floating-point operations a call; moved: bytes read and written. in_place: moved is read and written
        again, not copied from one place to another.
        """
        hotloop.set_num_threads(ceilings.threads())
        got = call()
        if not isinstance(want, tuple):
            got, want = (got,), (want,)
        for one, other in zip(map(np.asarray, got), want, strict=True):
            assert one.dtype == dtype, f"{group}: expected a result in {dtype}, got {one.dtype}"
            close(one, other, tol or {4: 1e-5, 8: 1e-12}[np.dtype(dtype).itemsize], group)
        benchmark.group = group
        info = benchmark.extra_info
        info["threads"] = ceilings.threads()
        if np.dtype(dtype) == np.float32:
            info["error"] = max(error(one, other) for one, other in zip(map(np.asarray, got), want, strict=True))
        info["round trip, ns"] = 1e9 * ceilings.round_trip()
        time.sleep(PAUSE)
        benchmark(call)
        if benchmark.stats is None:
            return
        seconds = benchmark.stats.stats.median
        if flops:
            info["GFLOP/s"] = flops / seconds / 1e9
            info["% of FMA peak"] = 100 * flops / seconds / ceilings.flops(np.dtype(dtype).name)
            if ceilings.AMX and np.dtype(dtype) == np.float32:
                info["% of AMX peak"] = 100 * flops / seconds / ceilings.amx_flops()
        if moved:
            info["GB/s"] = moved / seconds / 1e9
            footprint = moved / 1.5 if in_place else moved
            info["% of bandwidth"] = 100 * moved / seconds / ceilings.bandwidth(footprint, in_place)

    return run


def pytest_benchmark_update_machine_info(config, machine_info):
    import numba

    machine_info["hotloop"] = {
        "cpu": machine_info["cpu"].get("brand_raw", machine_info["machine"]),
        "threads": ceilings.threads(),
        "numba": numba.__version__,
        "numpy": np.__version__,
        "GFLOP/s": {name: ceilings.flops(name) / 1e9 for name in ("float32", "float64")},
        "AMX GFLOP/s": ceilings.amx_flops() / 1e9 if ceilings.AMX else None,
        "GB/s": {
            name: [ceilings.bandwidth(size) / 1e9, ceilings.bandwidth(size, True) / 1e9]
            for name, size in {"32 KiB": 2**15, "512 KiB": 2**19, "8 MiB": 2**23, "128 MiB": 2**27}.items()
        },
        "peers": {name: _version(name) for name in ("torch", "jax", "keras", "tensorflow", "sklearn")},
    }


def _version(name):
    from importlib import metadata

    for package in {"sklearn": ("scikit-learn",), "tensorflow": ("tensorflow", "tensorflow-cpu")}.get(name, (name,)):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None
