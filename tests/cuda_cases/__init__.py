"""What every CUDA kernel is run with: in the simulator, on a device, and by the compiler that has neither.

Each module here has `cases(rng, dtype)`, which yields `case("module.kernel", *args)` with NumPy arrays as
`helpers.agree` takes them: small (a simulated thread is a Python thread; at most 8 blocks), several blocks in at least
one case of a kernel, odd sizes, absent optional arrays, each flag either way. Also, where there is something to say:

    half_cases  (rng, dtype) the same for float16 and bfloat16, for kernels that take them
    DOUBLE      names of device functions that compute in float64 though the arrays are float32, and why
    SIMULATED   (of this package) false where blocks have their real sizes: large cases make several of them there
    CORES       {name of a device function: {PTX instruction: how often at least}} of tiles: no spills, also for sm_80
"""

import importlib
import os
import pkgutil
import zlib
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from hotloop.kernels.precision import get_matmul_precision, set_matmul_precision

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


class Case(NamedTuple):
    path: str
    args: tuple
    tol: Any
    name: str
    precision: str


def case(path, *args, tol=None, name="", precision="highest"):
    """tol: as in `agree`, with a reason where it is said; name: what tells this case from others of its kernel;
    precision: of float32 products, as set_matmul_precision takes it."""
    return Case(path, args, tol, name, precision)


@contextmanager
def at_precision(precision):
    before = get_matmul_precision()
    set_matmul_precision(precision)
    try:
        yield
    finally:
        set_matmul_precision(before)


def modules():
    for info in pkgutil.iter_modules(__path__):
        yield importlib.import_module(f"{__name__}.{info.name}")


def every(dtype, function="cases"):
    """(identifier, case) of every module, with the same numbers each time."""
    seen: dict[str, int] = {}
    for module in modules():
        rng = np.random.default_rng(zlib.crc32(module.__name__.encode()))
        for found in getattr(module, function, lambda *_: ())(rng, np.dtype(dtype)):
            stem = f"{found.path}-{found.name}" if found.name else found.path
            seen[stem] = seen.get(stem, 0) + 1
            yield f"{stem}-{seen[stem]}", found


def gathered(name):
    """The union of a set, or of dicts, that modules may have."""
    out: dict = {}
    for module in modules():
        found = getattr(module, name, {})
        out.update(found if isinstance(found, dict) else dict.fromkeys(found))
    return out
