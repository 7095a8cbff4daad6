"""The one file that imports numba.cuda: how device code is compiled, checked and launched.

Kernels import `cuda`, `jit`, `device`, `kernel` and `launch` from here and nothing else of Numba. Whatever differs
between the GPU, the simulator (NUMBA_ENABLE_CUDASIM=1: device code runs as Python, a thread for each CUDA thread) and
numba-cuda's successor belongs in this file.
"""

import importlib
import inspect
import math
from contextlib import contextmanager

import numpy as np

from .. import scalar, spec
from .array import Array

try:
    import numba_cuda  # noqa: F401  Numba's own, older copy of numba.cuda lacks what we use
    from numba import cuda
    from numba.cuda.core import config
except ImportError as error:
    raise ImportError("CUDA needs numba-cuda: pip install 'hotloop[cuda13]' (or cuda12, for older drivers)") from error

SIMULATOR = "simulator" in cuda.jit.__module__

# threads of a block in kernels that have no tile of their own; tests set it small, so that small arrays make several
THREADS = 256
# the largest grid a kernel that strides over its elements asks for
BLOCKS = 4096


def jit(function):
    """A kernel that `launch` starts: grid, block and arguments by position, arrays as they lie on the device."""
    return cuda.jit(function)


def device(function):
    """A function that kernels call."""
    return cuda.jit(device=True)(function)


def adopt(array):
    """A CUDA array of any library as an Array over the same memory; TypeError for what does not live on a device."""
    if type(array) is Array:
        return array
    if not getattr(array, "__cuda_ndarray__", False):
        if not hasattr(array, "__cuda_array_interface__"):
            raise TypeError(
                f"expected a CUDA array, got {type(array).__module__}.{type(array).__name__}; kernels.cuda.to_device "
                "or Tensor.to('cuda') copies it to the device"
            )
        array = cuda.as_cuda_array(array, sync=False)
    return Array(array, _pointer(array), array.shape, array.dtype, array.strides, array)


def native(value):
    """What Numba launches with: its own kind of array for an Array, any other argument as it is."""
    if type(value) is not Array:
        return value
    if value._native is None:
        value._native = _numba_array(value)
    return value._native


def empty(shape, dtype):
    """A fresh Array; contents undefined."""
    shape = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
    memory = cuda.device_array(math.prod(shape), np.dtype(dtype))
    return Array(memory, _pointer(memory), shape, dtype)


@contextmanager
def _quiet():
    """No warnings that a small network makes small grids."""
    before = config.CUDA_LOW_OCCUPANCY_WARNINGS
    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
    try:
        yield
    finally:
        config.CUDA_LOW_OCCUPANCY_WARNINGS = before


def launch(function, grid, block, stream, *args):
    """Start a kernel; a grid without blocks is nothing to do."""
    if 0 in (grid if isinstance(grid, tuple) else (grid,)):
        return
    with _quiet():
        configured = function[grid, block, stream]
    configured(*map(native, args))


def spread(function, n, stream, *args):
    """Start a kernel whose threads stride over n elements: for i in range(cuda.grid(1), n, cuda.gridsize(1))."""
    launch(function, min(-(-n // THREADS), BLOCKS), THREADS, stream, *args)


def kernel(function):
    """Make a public kernel of host code that launches: its arguments are checked as kernels/ref documents them.

    The twin of jit.kernel for this backend. The function has ref's arguments and a last `stream=0`.
    """
    twin = getattr(importlib.import_module(function.__module__.replace(".cuda.", ".ref.")), function.__name__)
    expected, got = inspect.signature(twin).parameters, inspect.signature(function).parameters
    if list(got) != [*expected, "stream"]:
        raise TypeError(f"{function.__name__}: expected ref's arguments {list(expected)} and stream, got {list(got)}")
    specification = spec.parse(twin)
    names = ", ".join(specification.names)
    scope = {"admit": _Admission(specification), "body": function}
    source = f"def {function.__name__}({names}, stream=0):\n    body(*admit(({names},)), stream)\n"
    code = function.__code__
    exec(compile("\n" * (code.co_firstlineno - 1) + source, code.co_filename, "exec"), scope)
    public = scope[function.__name__]
    public.__module__ = function.__module__
    definition, built = inspect.cleandoc(twin.__doc__ or ""), inspect.cleandoc(function.__doc__ or "")
    public.__doc__ = f"{definition}\n\nstream  CUDA stream that the launches go to\n\n{built}\n"
    return public


class _Admission:
    """The arguments of one kernel, refused or brought to the form its body expects."""

    def __init__(self, specification):
        self.spec = specification
        lines = [*spec.check_source(specification), "return 0"]
        source = f"def check({', '.join(specification.names)}):\n" + "\n".join("    " + line for line in lines)
        scope: dict = {}
        exec(source, scope)
        self.misfit = scope["check"]
        self.admitted: set = set()

    def __call__(self, args):
        args = tuple(map(self._adopt, self.spec.arguments, args))
        # what decides about types, once for each combination; shapes every time
        kinds = tuple([(a.dtype, a.ndim, a.size == 0) if type(a) is Array else type(a) for a in args])
        if kinds not in self.admitted:
            if refusal := self.spec.refusal(args):
                raise refusal
            self.admitted.add(kinds)
        for argument, value in zip(self.spec.arguments, args, strict=True):
            if argument.is_array and not argument.strided and not value.flags.c_contiguous:
                raise ValueError(
                    f"{self.spec.name}: {argument.name}: expected a C-contiguous array, got strides {value.strides}"
                )
        if self.misfit(*args):
            raise self.spec.refusal(args)
        return map(_bring_to_form, self.spec.arguments, args)

    def _adopt(self, argument, value):
        if not argument.is_array or type(value) is Array:
            return value
        try:
            return adopt(value)
        except TypeError as error:
            raise TypeError(f"{self.spec.name}: {argument.name}: {error}") from None


def _bring_to_form(argument, value):
    """One form for each argument, so that the launches below it are compiled once."""
    if not argument.is_array:
        return spec.SCALARS[argument.kind](value)
    ndim = 1 if argument.any_shape else len(argument.dims)
    if value.ndim == ndim or argument.strided:
        return value
    return value.reshape(-1) if argument.any_shape else empty((0,) * ndim, value.dtype)


if SIMULATOR:

    def _like(function):
        """NumPy's function in the type of its argument, infinite where the device's is."""

        def simulated(x):
            with np.errstate(all="ignore"):
                return type(x)(function(x))

        return simulated

    exp, expm1, log, log1p, tanh, sqrt = map(_like, (np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sqrt))
    erf = _like(math.erf)

    def rounded_product(a, b):
        """a * b, rounded by itself: never part of a fused multiply-add."""
        return a * b

    def _pointer(array):
        return array._ary.ctypes.data

    class _Memory:
        """An Array's memory as NumPy takes it."""

        def __init__(self, array):
            self.__array_interface__ = array.__cuda_array_interface__ | {"data": (array.pointer, False)}
            self.owner = array.owner

    def _numba_array(array):
        return cuda.devicearray.FakeCUDAArray(np.asarray(_Memory(array)))

else:
    from llvmlite import ir
    from numba.cuda import types
    from numba.cuda.extending import intrinsic

    exp, expm1, log, log1p, tanh, sqrt, erf = (
        math.exp,
        math.expm1,
        math.log,
        math.log1p,
        math.tanh,
        math.sqrt,
        math.erf,
    )

    def _pointer(array):
        return array.__cuda_array_interface__["data"][0]

    def _numba_array(array):
        # owned by the memory, not by the Array, which would make a cycle
        return cuda.from_cuda_array_interface(array.__cuda_array_interface__, owner=array.owner, sync=False)

    @intrinsic
    def rounded_product(typingctx, a, b):
        """a * b, rounded by itself: never part of a fused multiply-add."""
        letter = {types.float32: "f", types.float64: "d"}[a]

        def codegen(context, builder, signature, args):
            real = args[0].type
            module = builder.module
            name = f"llvm.nvvm.mul.rn.{letter}"
            function = module.globals.get(name) or ir.Function(module, ir.FunctionType(real, [real, real]), name)
            return builder.call(function, args)

        return a(a, a), codegen


# every activation, gradient and fused formula as a device function
formulas = scalar.bind(device, exp=exp, expm1=expm1, log1p=log1p, tanh=tanh, erf=erf)
