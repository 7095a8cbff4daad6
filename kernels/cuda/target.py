"""The one file that imports numba.cuda: how device code is compiled and launched, and which stream it goes to.

Kernels import `cuda`, `jit`, `device`, `kernel`, `launch`, `spread` and `empty` from here and nothing else of Numba.
Single instructions are in ptx.py. In the simulator (NUMBA_ENABLE_CUDASIM=1) device code runs as Python, a thread for
each CUDA thread: blocks and warps are small there, so that small arrays make several of them.
"""

import importlib
import inspect
import threading
from contextlib import contextmanager

from .. import DLPACK_CUDA, spec
from .array import Array

try:
    import numba_cuda  # noqa: F401  Numba's own, older copy of numba.cuda lacks what we use
    from numba import cuda
    from numba.cuda import types as types  # for ptx.py
    from numba.cuda.core import config
except ImportError as error:
    raise ImportError("CUDA needs numba-cuda: pip install 'hotloop[cuda13]' (or cuda12, for older drivers)") from error

SIMULATOR = "simulator" in cuda.jit.__module__

# threads of a warp; and of a block in kernels that have no tile of their own
WARP = 4 if SIMULATOR else 32
THREADS = 8 if SIMULATOR else 256
# the largest grid a kernel that strides over its elements asks for
BLOCKS = 3 if SIMULATOR else 4096
# shared memory of a block that needs no asking for
SHARED_BYTES = 48 * 1024
# KB of it that a block may ask for, by compute capability; 99 on all others since 8.0
_MOST_SHARED = {(8, 0): 163, (8, 7): 163, (9, 0): 227, (10, 0): 227}


def jit(function=None, **options):
    """A kernel that `launch` starts: grid, block and arguments by position, arrays as they lie on the device.

    Options are those of numba.cuda.jit: launch_bounds, lto, fastmath ...
    """
    if SIMULATOR:
        # it has none of them
        options = {}
    return cuda.jit(function, **options) if function else cuda.jit(**options)


def device(function):
    """A function that kernels call."""
    return cuda.jit(device=True)(function)


def adopt(array):
    """A CUDA array of any library as an Array over the same memory; TypeError for what does not live on a device."""
    if type(array) is Array:
        return array
    if not getattr(array, "__cuda_ndarray__", False):
        if not hasattr(array, "__cuda_array_interface__"):
            if hasattr(array, "__dlpack_device__") and array.__dlpack_device__()[0] == DLPACK_CUDA:
                from . import dlpack

                return dlpack.adopt(array)
            raise TypeError(
                f"expected a CUDA array, got {type(array).__module__}.{type(array).__name__}; kernels.cuda.to_device "
                "or Tensor.to('cuda') copies it to the device"
            )
        try:
            array = cuda.as_cuda_array(array, sync=False)
        except Exception as error:
            # the driver does not know the address here
            raise ValueError(f"expected memory of the current CUDA device, got other memory: {error}") from None
    return Array(array, pointer_of(array), array.shape, array.dtype, array.strides, array)


def native(value):
    """What Numba launches with: its own kind of array for an Array, any other argument as it is."""
    if type(value) is not Array:
        return value
    if value._native is None:
        value._native = numba_array(value)
    return value._native


def empty(shape, dtype):
    """A fresh Array from the pool of memory; contents undefined."""
    from . import memory

    return memory.empty(shape, dtype)


def compute_capability():
    """(major, minor) of the current device. The simulator has none of the instructions that ask for one."""
    return (8, 0) if SIMULATOR else tuple(cuda.get_current_device().compute_capability)


def shared_limit():
    """Bytes of shared memory that a block may ask the current device for."""
    return _MOST_SHARED.get(compute_capability(), 99) * 1024


def multiprocessors():
    """How many of them the current device has: the blocks of a kernel that stays."""
    return 2 if SIMULATOR else cuda.get_current_device().MULTIPROCESSOR_COUNT


# ---- streams


class _Stream(threading.local):
    current = 0


_stream = _Stream()
# address -> the one object for that stream: bound kernels and free memory are found by it
_external: dict = {}


def current_stream():
    """The stream of this thread: where kernels go that are given none. 0: CUDA's default stream."""
    return _stream.current


@contextmanager
def on_stream(stream):
    """Kernels of this thread go to `stream`, a stream of any library, until the end of the block."""
    before, _stream.current = _stream.current, as_stream(stream)
    try:
        yield stream
    finally:
        _stream.current = before


def as_stream(stream):
    """A stream as launches take it, from Numba's, CuPy's, PyTorch's, cuda.core's or an address; 0 is CUDA's default."""
    if not stream or SIMULATOR or isinstance(stream, (Recording, cuda.cudadrv.driver.Stream)):
        return stream
    if hasattr(stream, "__cuda_stream__"):
        stream = stream.__cuda_stream__()[1]
    for name in ("ptr", "cuda_stream"):
        stream = getattr(stream, name, stream)
    if not isinstance(stream, int):
        raise TypeError(f"stream: expected a CUDA stream or its address, got {type(stream).__name__}")
    return _external.setdefault(stream, cuda.external_stream(stream)) if stream else 0


class Recording:
    """A stream on which launches are written down instead of run; graph.py makes and replays them.

    pool      of the memory that the step makes, and that the graph keeps
    builder   cuda.core's GraphBuilder, which the driver writes to; None in the simulator
    launches  (kernel, grid, block, shared, arguments), in order, in the simulator
    kept      what launches need that is not of the pool
    """

    def __init__(self, pool, builder=None):
        self.pool, self.builder, self.launches, self.kept = pool, builder, [], []

    def record(self, function, grid, block, shared, args):
        if self.builder is None:
            self.launches.append((function, grid, block, shared, args))
        # memory of the pool goes back to it, for the rest of the step
        owners = (a.owner for a in args if type(a) is Array)
        self.kept += (owner for owner in owners if getattr(owner, "pool", None) is not self.pool)


def refuse_while_recording(what):
    """Raise where a step that is being recorded wants what a replay could not do."""
    if isinstance(_stream.current, Recording):
        raise RuntimeError(f"{what} cannot be part of a recorded step: do it before, or between replays")


# ---- launches

# (kernel, grid, block, stream, shared) -> the kernel bound to them: Numba takes microseconds to bind
_bound: dict = {}
# (kernel, types) -> bytes of shared memory that it may have
_allowed: dict = {}
_MOST_BOUND = 4096


def launch(function, grid, block, stream, *args, shared=0):
    """Start a kernel; a grid without blocks is nothing to do. shared: bytes of dynamic shared memory."""
    if 0 in (grid if isinstance(grid, tuple) else (grid,)):
        return
    if isinstance(stream, Recording):
        stream.record(function, grid, block, shared, args)
        if SIMULATOR:
            return
        stream = stream.builder
    args = tuple(map(native, args))
    if SIMULATOR:
        # the simulator keeps the last configuration in the kernel itself
        function[grid, block, stream, shared](*args)
        return
    key = function, grid, block, stream, shared
    if shared > SHARED_BYTES:
        # what must be asked for every version of a kernel, and versions differ by what they take
        key += tuple([(a.dtype, a.ndim) if hasattr(a, "dtype") else type(a) for a in args])
    configured = _bound.get(key)
    if configured is None:
        if shared > SHARED_BYTES:
            _allow_shared(function, shared, args)
        if len(_bound) >= _MOST_BOUND:
            _bound.clear()
        with _quiet():
            configured = _bound[key] = function[grid, block, stream, shared]
    configured(*args)


def spread(function, n, stream, *args):
    """Start a kernel whose threads stride over n elements: for i in range(cuda.grid(1), n, cuda.gridsize(1))."""
    launch(function, min(-(-n // THREADS), BLOCKS), THREADS, stream, *args)


@contextmanager
def _quiet():
    """No warnings that a small network makes small grids."""
    before, config.CUDA_LOW_OCCUPANCY_WARNINGS = config.CUDA_LOW_OCCUPANCY_WARNINGS, 0
    try:
        yield
    finally:
        config.CUDA_LOW_OCCUPANCY_WARNINGS = before


def _allow_shared(function, shared, args):
    """Let a kernel have more shared memory than 48 KB: Numba has no word for it, the driver has."""
    from cuda.bindings import driver

    signature = tuple(map(function.typeof_pyval, args))
    handle = function.compile(signature)._codelibrary.get_cufunc().handle
    # a launch of less must not take it from one of more that is bound already
    shared = _allowed[function, signature] = max(shared, _allowed.get((function, signature), 0))
    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    (status,) = driver.cuKernelSetAttribute(attribute, shared, handle, cuda.get_current_device().id)
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"{function.__name__}: expected {shared} bytes of shared memory a block, the device refuses")


def kernel(function=None, *, half=False):
    """Make a public kernel of host code that launches: its arguments are checked as kernels/ref documents them.

    The twin of jit.kernel for this backend. The function has ref's arguments and a last `stream=0`, which is this
    thread's current stream.

    half  also takes arrays of float16 and bfloat16 where ref has floats
    """
    if function is None:
        return lambda function: kernel(function, half=half)
    from .admission import Admission

    twin = getattr(importlib.import_module(function.__module__.replace(".cuda.", ".ref.")), function.__name__)
    expected, got = inspect.signature(twin).parameters, inspect.signature(function).parameters
    if list(got) != [*expected, "stream"]:
        raise TypeError(f"{function.__name__}: expected ref's arguments {list(expected)} and stream, got {list(got)}")
    specification = spec.parse(twin)
    names = ", ".join(specification.names)
    scope = {"admit": Admission(specification, half), "body": function, "here": _stream, "on_stream": on_stream}
    # workspaces come from the memory of the stream that the launches go to
    run = f"body(*admit(({names},)), here.current)"
    source = f"""def {function.__name__}({names}, stream=0):
    if not stream or stream is here.current: {run}
    else:
        with on_stream(stream): {run}
"""
    code = function.__code__
    exec(compile("\n" * (code.co_firstlineno - 1) + source, code.co_filename, "exec"), scope)
    public = scope[function.__name__]
    public.__module__ = function.__module__
    definition, built = inspect.cleandoc(twin.__doc__ or ""), inspect.cleandoc(function.__doc__ or "")
    public.__doc__ = f"{definition}\n\nstream  CUDA stream that the launches go to; 0: the current one\n\n{built}\n"
    return public


# ---- what the simulator does otherwise

if SIMULATOR:
    import sys

    import numpy as np
    from numba.cuda.simulator import kernelapi

    def _shared_array(self, shape, dtype, alignment=None):
        """One array for all threads of a block that come to a line; the simulator's own refuses `alignment`."""
        dtype = np.dtype(getattr(dtype, "name", dtype))
        if shape == 0:
            count = self._dynshared_size // dtype.itemsize
            return np.frombuffer(self._dynshared.data, dtype, count)
        caller = sys._getframe(1)
        return self._allocations.setdefault((caller.f_code, caller.f_lineno), np.empty(shape, dtype))

    setattr(kernelapi.FakeCUDAShared, "array", _shared_array)  # noqa: B010  to the type checker it is a method

    def pointer_of(array):
        return array._ary.ctypes.data

    class _Memory:
        """An Array's memory as NumPy takes it."""

        def __init__(self, array):
            self.__array_interface__ = array.numba_interface | {"data": (array.pointer, False)}
            self.owner = array.owner

    def numba_array(array):
        # where a device would stop the kernel
        assert not array.size or array.pointer % array.itemsize == 0, f"{array} is not on a boundary of its elements"
        return cuda.devicearray.FakeCUDAArray(np.asarray(_Memory(array)))

else:

    def pointer_of(array):
        return array.__cuda_array_interface__["data"][0]

    def numba_array(array):
        # owned by the memory, not by the Array, which would make a cycle
        return cuda.from_cuda_array_interface(array.numba_interface, owner=array.owner, sync=False)
