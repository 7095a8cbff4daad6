"""Functions that a process has once, and that kernels call by address.

Numba copies what a function calls into it. The GEMM core in every kernel that multiplies would cost each of them
seconds to compile, and a user's own @njit function too; so it is compiled once a dtype, and its address kept in the
process state. Compiled code that finds no address yet asks Python for it: the function is compiled, or loaded, then.

Arguments are integers (numbers and addresses), and nothing is returned. An error (there is one: a function further
down could not be compiled) passes through to the caller.
"""

import ctypes
import importlib
import time

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import jit, state

# slots: the one of float32; float64's follows
PRODUCT, TILES, DOTS, CONVOLVE, ATTENTION, ATTENTION_GRADIENT, ATTENTION_TILES = range(0, 14, 2)
FUNCTIONS = (
    "product.product_32",
    "product.product_64",
    "tiles.tiles_32",
    "tiles.tiles_64",
    "dots.dots_32",
    "dots.dots_64",
    "convolve.convolve_32",
    "convolve.convolve_64",
    "attention_forward.attention_32",
    "attention_forward.attention_64",
    "attention_backward.attention_gradient_32",
    "attention_backward.attention_gradient_64",
    "attention_tiles.attention_tiles_32",
    "attention_tiles.attention_tiles_64",
)

_i64 = ir.IntType(64)


def load(slot):
    """Compile a function, or load it from the cache folder, and leave its address in the state."""
    module, _, name = FUNCTIONS[slot].rpartition(".")
    function = getattr(importlib.import_module(f".cpu.{module}", __package__), name)
    began = time.perf_counter()
    signature = (types.int64,) * function.py_func.__code__.co_argcount
    jit.cached(function).compile(signature)
    how = "loaded" if sum(function.stats.cache_hits.values()) else "compiled"
    jit.compile_log.append((FUNCTIONS[slot], time.perf_counter() - began, how))
    result = function.overloads[signature]
    state.words[state.SHARED + slot] = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


def load_all(dtype, modules):
    """Load those of a dtype that are in these modules of kernels/cpu and not there yet."""
    for slot in range(dtype.itemsize == 8, len(FUNCTIONS), 2):
        if FUNCTIONS[slot].partition(".")[0] in modules and not state.words[state.SHARED + slot]:
            load(slot)


_load = ctypes.CFUNCTYPE(None, ctypes.c_int64)(load)
state.words[state.LOADER] = ctypes.cast(_load, ctypes.c_void_p).value or 0


def _address(context, builder, slot):
    """The address in a slot; asks Python for it when there is none."""
    place = state.word(builder, builder.add(slot, ir.Constant(_i64, state.SHARED)))
    absent = builder.icmp_signed("==", builder.load(place), ir.Constant(_i64, 0))
    with builder.if_then(absent, likely=False):
        kind = ir.FunctionType(ir.VoidType(), [_i64])
        loader = builder.load(state.word(builder, ir.Constant(_i64, state.LOADER)))
        builder.call(builder.inttoptr(loader, kind.as_pointer()), [slot])
        still = builder.icmp_signed("==", builder.load(place), ir.Constant(_i64, 0))
        with builder.if_then(still, likely=False):
            context.call_conv.return_user_exc(builder, RuntimeError, ("a shared function could not be compiled",))
    return builder.load(place)


@intrinsic
def prepare(typingctx, slot):
    """See that a function is there before a parallel region calls it: a worker must not wait for the interpreter."""

    def codegen(context, builder, signature, args):
        _address(context, builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def call(typingctx, slot, arguments):
    """Call the function in a slot with a tuple of int64."""
    count = len(arguments)

    def codegen(context, builder, signature, args):
        conv, inputs = context.call_conv, (types.int64,) * count
        function = builder.inttoptr(
            _address(context, builder, args[0]), conv.get_function_type(types.none, inputs).as_pointer()
        )
        values = [builder.extract_value(args[1], i) for i in range(count)]
        status, _ = conv.call_function(builder, function, types.none, inputs, values)
        with builder.if_then(status.is_error, likely=False):
            conv.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, count)), codegen
