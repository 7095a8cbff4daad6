"""What `python -m hotloop warmup` does: compile kernels ahead of their first call, into the cache.

The types that a kernel is compiled for follow from its documented arguments, so nothing is run.
"""

import importlib
import inspect
import pkgutil
import time
from collections.abc import Iterable

import numpy as np
from numba import from_dtype, types

from . import cache, cpu, jit, shared, spec

# a training step of a feed-forward network; the rest comes by name or with --all
COMMON = (
    "linear",
    "gemm.matmul_forward",
    *(
        f"activation.{name}_{half}"
        for name in ("relu", "sigmoid", "tanh", "gelu", "silu")
        for half in ("forward", "backward")
    ),
    "softmax",
    "cross_entropy",
    "loss",
    "loss_regression.mse_forward",
    "dropout.dropout_forward",
    "dropout.dropout_backward",
    "elementwise",
    "sgd.sgd_update",
    "adam",
)


def modules() -> list[str]:
    """Names of the modules of kernels/cpu that offer kernels."""
    return [name for _, name, _ in pkgutil.iter_modules(cpu.__path__) if kernels(name)]


def kernels(name: str) -> dict:
    """{name: kernel} of a module of kernels/cpu, or of one kernel (`module.kernel`)."""
    module, _, only = name.partition(".")
    try:
        home = importlib.import_module(f"{cpu.__name__}.{module}")
    except ModuleNotFoundError:
        raise ValueError(f"warmup: expected one of {', '.join(modules())}; got {module!r}") from None
    found = {
        key: value
        for key, value in vars(home).items()
        if inspect.isfunction(value) and hasattr(value, "kernel") and value.__module__ == home.__name__
    }
    if only and only not in found:
        raise ValueError(f"warmup: expected one of {', '.join(found)}; got {only!r}")
    return {only: found[only]} if only else found


def signature(arguments: Iterable[spec.Argument], dtype) -> tuple | None:
    """The types a kernel is compiled for when its floats are `dtype`; None where callers choose them."""
    found: list = []
    for argument in arguments:
        if not argument.is_array:
            found.append({"float": types.float64, "int": types.int64, "bool": types.boolean}[argument.kind])
            continue
        if argument.strided or argument.dtype in ("any", "same"):
            return None
        element = from_dtype(np.dtype(argument.dtype or dtype))
        found.append(types.Array(element, 1 if argument.any_shape else len(argument.dims), "C"))
    return tuple(found)


def warmup(names: Iterable[str] = COMMON, dtypes: Iterable = (np.float32,)) -> None:
    """Compile the kernels of these modules of kernels/cpu, or find them in the cache; a line each."""
    todo = [
        (kernel.kernel, types_, np.dtype(dtype))
        for dtype in dtypes
        for name in names
        for kernel in kernels(name).values()
        if (types_ := signature(kernel.kernel.spec.arguments, dtype)) is not None
    ]
    began = time.perf_counter()
    already = len(jit.compile_log)
    for number, (kernel, types_, dtype) in enumerate(todo, 1):
        print(f"[{number:{len(str(len(todo)))}}/{len(todo)}] {kernel.full_name} {dtype} ", end="", flush=True)
        print(_prepare(kernel, types_), flush=True)
    modules = {file.stem for kernel, _, _ in todo for file in _files(kernel)}
    if shared.__name__.rpartition(".")[2] in modules:
        for dtype in dtypes:
            print("what they share", np.dtype(dtype), flush=True)
            shared.load_all(np.dtype(dtype), modules)
    log = jit.compile_log[already:]
    compiled = sum(how == "compiled" for _, _, how in log)
    print(f"{compiled} compiled, {len(log) - compiled} from the cache, {time.perf_counter() - began:.1f} s")


def _files(kernel):
    """The files that a kernel is made of; shared functions that it calls are in some of them."""
    return cache.sources(inspect.getfile(kernel.body.py_func))


def _prepare(kernel, types_) -> str:
    if types_ in kernel.entry.overloads:
        return "is ready"
    kernel.compile(types_)
    _, seconds, how = jit.compile_log[-1]
    return f"{seconds:.2f} s, {how}"
