"""What `python -m hotloop doctor` says: the machine as the kernels see it, and what stands in their way."""

import os
import platform
from importlib import metadata

import llvmlite.binding as llvm
import numba
import numpy as np

from . import cache, doctor_cuda, precision, state, threads


def report() -> list[tuple[str, str]]:
    """(subject, finding) in the order they are printed. Compiles nothing, starts no thread, raises nothing."""
    return [
        ("hotloop", cache.installed_version()),
        ("Python", f"{platform.python_version()} on {platform.platform()}"),
        ("libraries", _versions()),
        *_processor(),
        *_threads(),
        *_folder(),
        *doctor_cuda.findings(),
    ]


def print_report() -> None:
    findings = report()
    width = max(len(subject) for subject, _ in findings)
    for subject, finding in findings:
        print(f"{subject:{width}}  {finding}")


def _versions():
    named = [f"numpy {np.__version__}", f"numba {numba.__version__}"]
    for name in ("llvmlite", "numba-cuda", "cuda-core", "ml_dtypes", "safetensors", "tqdm", "matplotlib"):
        try:
            named.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            named.append(f"{name} not installed")
    return ", ".join(named)


def _processor():
    from .cpu import target

    features = target.features()
    telling = (
        "sse4.2",
        "avx",
        "avx2",
        "fma",
        "avx512f",
        "avx512bw",
        "avx512bf16",
        "amx-tile",
        "amx-bf16",
        "neon",
        "sve",
    )
    found = [name for name in telling if name in features]
    config = numba.config
    asked = config.CPU_NAME or config.CPU_FEATURES
    host = llvm.get_host_cpu_name()
    yield "processor", f"{host}, {os.cpu_count()} cores, {platform.machine()}"
    if asked:
        yield "told to be", f"{config.CPU_NAME or host} (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES)"
    yield "features", ", ".join(found) or "none of those the kernels look for"
    refused = " (refused by the system)" if target.AMX and not state.words[state.PRODUCTS] else ""
    yield "instruction path", f"{target.path()}{refused}; register tile {target.ROWS} x {target.VECTORS} vectors"
    yield "matmul precision", precision.describe()


def _threads():
    yield "threads", f"{threads.get_num_threads()} in use, {threads.available()} cores for this process"
    workers = int(state.words[state.WORKERS])
    layer = "its own workers (Numba's threading layers are not used)"
    yield "thread pool", f"{layer}; {workers} started" if workers else f"{layer}; started by the first kernel"


def _folder():
    folder = cache.folder()
    if folder is None:
        why = "HOTLOOP_CACHE=0" if os.environ.get("HOTLOOP_CACHE") == "0" else "no folder can be written"
        yield "cache", f"none ({why}): every process compiles for itself; HOTLOOP_CACHE=FOLDER names one"
        return
    kernels = len(list(folder.glob("*.nbi")))
    size = sum(file.stat().st_size for file in folder.glob("*.nbc"))
    yield "cache", f"{folder} ({kernels} functions, {size / 2**20:.1f} MiB)"
    if numba.config.BOUNDSCHECK:
        yield "bounds checking", "on (NUMBA_BOUNDSCHECK): kernels are slow, and cached apart"
