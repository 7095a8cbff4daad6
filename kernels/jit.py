"""How kernels are compiled: the one place that imports njit, overload and prange, and that sets flags.

    compiled   an inner function: compiled with the house flags, copied into the kernels that call it
    exact      the same without any licence to reorder arithmetic: for error-free tricks
    inlined    a leaf that is part of its caller's loops before LLVM looks for vectors
    leaf       exact and inlined: vector math
    kernel     a public kernel: a plain function whose arguments are checked as kernels/ref documents them
    parallel_for(body, n, grain, arguments)   the parallel driver
    scratch(slot, n, like)                    this thread's workspace

Nothing is compiled before a kernel is called.
"""

import importlib
import inspect

import numba
import numpy as np
from numba import extending, njit, prange
from numba.core import config
from numba.extending import intrinsic

from . import cache, compiler, spec, state

__all__ = [
    "cached",
    "compile_log",
    "compiled",
    "exact",
    "inlined",
    "intrinsic",
    "kernel",
    "leaf",
    "overload",
    "parallel_for",
    "prange",
    "raising",
    "scratch",
    "standalone",
]

# NaN and Inf keep their meaning: no nnan, ninf, and no arcp, which costs a rounding
FASTMATH = frozenset({"reassoc", "contract", "nsz"})

# what this process compiled or loaded: (kernel, seconds, "compiled" | "loaded")
compile_log: list[tuple[str, float, str]] = []


FLAGS = {"error_model": "numpy", "nogil": True}


class _Uncompiled:
    """What stands for machine code where NUMBA_DISABLE_JIT forbids it: importing works, calling says why not."""

    def __getattr__(self, name):
        return self()

    def __call__(self, *args):
        raise RuntimeError("hotloop's kernels run compiled only, and NUMBA_DISABLE_JIT is set: unset it")


def standalone(function):
    """A function with machine code of its own, which Python or a thread may call."""
    if config.DISABLE_JIT:
        return _Uncompiled()
    return njit(fastmath=False, pipeline_class=compiler.Whole, **FLAGS)(function)


def raising(function):
    """A function that raises an error with values in it: these need the runtime that kernels are compiled without."""
    return _Uncompiled() if config.DISABLE_JIT else njit(**FLAGS)(function)


def _inner(function, **options):
    """A function that exists inside the kernels that call it; called from Python, it is compiled once more."""
    dispatcher = njit(pipeline_class=compiler.Part, **options, **FLAGS)(function)
    whole = njit(pipeline_class=compiler.Whole, **options, **FLAGS)(function)
    dispatcher._insert = lambda *entry: None
    dispatcher._compile_for_args = lambda *args, **kwargs: whole
    return dispatcher


def compiled(function):
    """An inner function of kernels: reductions may be reordered for vectors, NaN and Inf are honoured."""
    return _inner(function, fastmath=set(FASTMATH))


def exact(function):
    """An inner function whose floating-point operations are done exactly as written."""
    # said aloud: what is left out is inherited from the function that happens to be compiled around it
    return _inner(function, fastmath=False)


def inlined(function):
    """A leaf that is copied into its caller before loops become vectors, however long it is."""
    return _inner(function, fastmath=set(FASTMATH), forceinline=True)


def leaf(function):
    """Exact and inlined: the vector math."""
    return _inner(function, fastmath=False, forceinline=True)


def overload(function, forceinline=False, **options):
    """numba.extending.overload for functions of this package: what it chooses is a part of the kernel, too."""
    jit_options = {"pipeline_class": compiler.Part, "forceinline": forceinline, **FLAGS}
    return extending.overload(function, jit_options=jit_options, **options)


def cached(dispatcher):
    """Let a dispatcher find its code in the cache folder, and leave it there; where there is one."""
    if cache.folder() is not None and not isinstance(dispatcher._cache, cache.KernelCache):
        dispatcher._cache = cache.KernelCache(dispatcher.py_func)
    return dispatcher


def parallel_for(body, n, grain, arguments):
    """Run body(begin, end, *arguments) over [0, n) in chunks of `grain`, on the threads that are free.

    For use in compiled code. body is a `compiled` function that returns nothing, raises nothing and writes only
    what its own range owns; grain may depend on shapes, never on threads: the chunks, and so the bits, are the same
    for any number of threads. Inside another region the chunks run one after the other on the calling thread.

    A body does well to slice first, a = a[begin:end], and to count from zero: Numba lets negative indices wrap around,
    and where it cannot rule them out a loop does not become vectors.
    """
    for begin in range(0, n, grain):
        body(begin, min(n, begin + grain), *arguments)


# inlined: as an argument of a function that is not, `body` stays an address of this process, which cannot be cached
@overload(parallel_for, forceinline=True)
def _parallel_for(body, n, grain, arguments):
    from .threads import run_region

    def run(body, n, grain, arguments):
        trampoline, context = state.bind(body, arguments)
        run_region(trampoline, context, n, grain)

    def run_checked(body, n, grain, arguments):
        trampoline, context = state.bind(body, arguments)
        run_region(trampoline, context, n, grain)
        # an exception cannot leave a worker: it is raised here
        if state.swap_if(state.FAULT, 1, 0):
            raise IndexError("the body of a parallel region went out of bounds")

    return run_checked if config.BOUNDSCHECK else run


def scratch(slot, n, like):
    """A 1-D workspace of n elements of like's dtype from the calling thread's arena; contents undefined.

    For use in compiled code. 64-byte aligned, good until the same slot (0 .. 7) is asked for again on this thread.
    """
    return np.empty(n, like.dtype)


@overload(scratch)
def _scratch(slot, n, like):
    dtype = like.dtype
    itemsize = np.dtype(str(dtype)).itemsize

    def get(slot, n, like):
        return numba.carray(state.as_pointer(state.scratch_address(slot, n * itemsize)), (n,), dtype)

    return get


def kernel(function):
    """Make a public kernel of a body: a plain function with the arguments and documentation of its ref twin.

    The checks of `kernels/ref` (shapes, dtypes, layout, writability) run before the body, compiled into the same
    function. The public function also resolves inside any @njit function.
    """
    from .entry import Kernel

    module, name = function.__module__, function.__name__
    twin = getattr(importlib.import_module(module.replace(".cpu.", ".ref.")), name)
    if inspect.signature(twin) != inspect.signature(function):
        raise TypeError(f"{name}: arguments {inspect.signature(function)} differ from ref's {inspect.signature(twin)}")
    return Kernel(function, spec.parse(twin), twin.__doc__ or "").public
