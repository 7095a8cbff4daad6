"""What compiled code asks of the processor and the operating system to wait, to wake, and to find its core.

Linux has a futex and can move a thread; elsewhere sleeping workers poll, and stay where they are.
"""

import ctypes
import platform
import sys

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import state
from .state import external, word

LINUX = sys.platform == "linux"
_i32, _i64, _i8p = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine()) if LINUX else None
# with FUTEX_PRIVATE_FLAG; on the low half of the word (little endian)
_WAIT, _WAKE, _EVERYONE = 128, 129, 2**31 - 1

if sys.platform == "win32":
    _kernel32 = ctypes.WinDLL("kernel32")
    for _name in ("Sleep", "SwitchToThread"):
        llvm.add_symbol(_name, ctypes.cast(getattr(_kernel32, _name), ctypes.c_void_p).value)


def _futex(builder, index, operation, value):
    call = external(builder, "syscall", _i64, [_i64] * 7)
    address, zero = builder.ptrtoint(word(builder, index), _i64), ir.Constant(_i64, 0)
    builder.call(call, [ir.Constant(_i64, _FUTEX), address, ir.Constant(_i64, operation), value, zero, zero, zero])


@intrinsic
def pause(typingctx):
    """A hint to the core that this is a spinning loop."""

    def codegen(context, builder, signature, args):
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            builder.call(external(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        elif machine in ("aarch64", "arm64"):
            hint = external(builder, "llvm.aarch64.hint", ir.VoidType(), [_i32])
            builder.call(hint, [ir.Constant(_i32, 1)])  # yield
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def give_way(typingctx):
    """Let another thread have the core, if one waits for it."""

    def codegen(context, builder, signature, args):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        builder.call(external(builder, name, _i32, []), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def sleep_while(typingctx, index, value):
    """Sleep until somebody wakes the word; returns at once if it no longer holds value. May return early.

    A futex on Linux; elsewhere a nap of half a millisecond, so that callers poll.
    """

    def codegen(context, builder, signature, args):
        if _FUTEX:
            _futex(builder, args[0], _WAIT, args[1])
        elif sys.platform == "win32":
            builder.call(external(builder, "Sleep", ir.VoidType(), [_i32]), [ir.Constant(_i32, 1)])
        else:
            builder.call(external(builder, "usleep", _i32, [_i32]), [ir.Constant(_i32, 500)])
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), codegen


@intrinsic
def wake(typingctx, index):
    """Wake every thread asleep on the word."""

    def codegen(context, builder, signature, args):
        if _FUTEX:
            _futex(builder, args[0], _WAKE, ir.Constant(_i64, _EVERYONE))
        return context.get_dummy_value()

    return types.void(types.intp), codegen


def wake_from_python(index):
    """wake(index), from Python."""
    if _FUTEX:
        address = state.words.ctypes.data + 8 * index
        numbers = (_FUTEX, address, _WAKE, _EVERYONE, 0, 0, 0)
        ctypes.CDLL(None).syscall(*(ctypes.c_long(number) for number in numbers))


@intrinsic
def core(typingctx):
    """The core this thread runs on; -1 where that is not known."""

    def codegen(context, builder, signature, args):
        if not LINUX:
            return ir.Constant(_i64, -1)
        return builder.sext(builder.call(external(builder, "sched_getcpu", _i32, []), []), _i64)

    return types.int64(), codegen


@intrinsic
def leave_core(typingctx, core):
    """Move this thread to another core that it may use, if there is one; it may still be moved anywhere later."""

    def codegen(context, builder, signature, args):
        if not LINUX:
            return context.get_dummy_value()
        kind = [_i32, _i64, _i8p]
        get = external(builder, "sched_getaffinity", _i32, kind)
        put = external(builder, "sched_setaffinity", _i32, kind)
        words = ir.ArrayType(_i64, 16)  # 1024 cores, as cpu_set_t
        masks = [cgutils.alloca_once(builder, words) for _ in range(2)]
        whole, other = (builder.bitcast(mask, _i8p) for mask in masks)
        this_thread, size = ir.Constant(_i32, 0), ir.Constant(_i64, 128)
        for mask in masks:
            builder.store(ir.Constant(words, None), mask)
        # on a machine of more cores this fails, the masks stay empty, and empty ones are refused
        for mask in (whole, other):
            builder.call(get, [this_thread, size, mask])
        index = builder.and_(builder.lshr(args[0], ir.Constant(_i64, 6)), ir.Constant(_i64, 15))
        bit = builder.shl(ir.Constant(_i64, 1), builder.and_(args[0], ir.Constant(_i64, 63)))
        place = builder.gep(masks[1], [ir.Constant(_i64, 0), index])
        builder.store(builder.and_(builder.load(place), builder.not_(bit)), place)
        # without this core nothing may be left: the system refuses, and nothing happens
        builder.call(put, [this_thread, size, other])
        builder.call(put, [this_thread, size, whole])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
