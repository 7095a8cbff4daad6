"""Process state that compiled code must see, scratch memory, and functions as addresses.

Numba freezes Python globals into compiled code. What may change during a process (threads, the pool, scratch
memory) lives in one array of 64-bit words instead, behind the symbol `hotloop_state`; compiled code, cached or
fresh, ours or a user's, reads the words through the intrinsics below.
"""

import ctypes
import sys

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

# words of the state; those that several threads write have a cache line (8 words) of their own
THREADS = 0  # threads a parallel region may use, set_num_threads
WORKERS = 1  # workers alive
SCRATCH = 2  # 8 words: thread-local storage keys of the scratch slots
LOCK = 16  # 1 while a region runs
GENERATION = 24  # odd while a region is open, one more at each opening and each closing
JOB = 32  # 8 words: what the region is, see threads.py
ACTIVE = 40  # workers inside a region
SLEEPERS = 48  # workers asleep
FAULT = 56  # with bounds checking: 1 after a body left its arrays
PRODUCTS = 57  # bf16 products of a float32 product on AMX tiles: 6, 3 or 1; 0 without AMX, or without leave to use it
LOADER = 58  # address of the function that loads shared functions
SHARED = 64  # 16 words: addresses of shared functions, see shared.py
CLAIMED = 80  # a line for each member of a region: the next chunk of its share
MEMBERS = 256  # the most threads of a region
WORDS = CLAIMED + 8 * MEMBERS

SLOTS = 8

_memory = np.zeros(WORDS + 8, np.int64)
_start = -_memory.ctypes.data % 64 // 8
words = _memory[_start : _start + WORDS]
llvm.add_symbol("hotloop_state", words.ctypes.data)

_libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
_i64, _i8p = ir.IntType(64), ir.IntType(8).as_pointer()

if sys.platform == "win32":
    _kernel32 = ctypes.WinDLL("kernel32")
    words[SCRATCH : SCRATCH + SLOTS] = [_kernel32.TlsAlloc() for _ in range(SLOTS)]
    _GET, _SET = "TlsGetValue", "TlsSetValue"
    for _name in (_GET, _SET):
        llvm.add_symbol(_name, ctypes.cast(getattr(_kernel32, _name), ctypes.c_void_p).value)
else:
    # a thread that ends frees its scratch: the key's destructor is libc's own free
    for _slot in range(SLOTS):
        _key = ctypes.c_uint64(0)
        _libc.pthread_key_create(ctypes.byref(_key), ctypes.cast(_libc.free, ctypes.c_void_p))
        words[SCRATCH + _slot] = _key.value & 0xFFFFFFFF
    _GET, _SET = "pthread_getspecific", "pthread_setspecific"


def external(builder, name, result, args):
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, args), name)


def word(builder, index):
    table = builder.module.globals.get("hotloop_state")
    if table is None:
        table = ir.GlobalVariable(builder.module, ir.ArrayType(_i64, WORDS), "hotloop_state")
    return builder.gep(table, [ir.Constant(_i64, 0), index], inbounds=True)


@intrinsic
def load(typingctx, index):
    """words[index], read after everything that the thread that stored it wrote before (acquire)."""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(word(builder, args[0]), "seq_cst", 8)

    return types.int64(types.intp), codegen


@intrinsic
def store(typingctx, index, value):
    """words[index] = value, after everything this thread wrote before (release)."""

    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], word(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), codegen


@intrinsic
def fetch_add(typingctx, index, value):
    """Add to words[index] and give what it held before, as one step."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", word(builder, args[0]), args[1], "seq_cst")

    return types.int64(types.intp, types.int64), codegen


@intrinsic
def swap_if(typingctx, index, expected, value):
    """Set words[index] to value if it holds expected; tells whether it did."""

    def codegen(context, builder, signature, args):
        pair = builder.cmpxchg(word(builder, args[0]), args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.intp, types.int64, types.int64), codegen


def _ask_for_huge_pages(builder, block, size):
    """Let a large block lie on pages of 2 MB: a product walks through more small ones than the first TLB holds."""
    with builder.if_then(builder.icmp_signed(">=", size, ir.Constant(_i64, 2**22))):
        page = ir.Constant(_i64, -4096)
        start = builder.ptrtoint(block, _i64)
        first = builder.and_(builder.add(start, ir.Constant(_i64, 4095)), page)
        length = builder.and_(builder.sub(builder.add(start, size), first), page)
        advise = external(builder, "madvise", ir.IntType(32), [_i64, _i64, ir.IntType(32)])
        builder.call(advise, [first, length, ir.Constant(ir.IntType(32), 14)])  # MADV_HUGEPAGE; advice: may be refused


@intrinsic
def scratch_address(typingctx, slot, nbytes):
    """Address of at least nbytes of this thread's own memory, aligned to 64 bytes; grown, never given back.

    The block is malloc's: word 0 holds its capacity, the data starts at the next 64-byte boundary.
    """

    def codegen(context, builder, signature, args):
        slot, nbytes = args
        key = builder.load(word(builder, builder.add(slot, ir.Constant(_i64, SCRATCH))))
        if sys.platform != "win32" and sys.platform != "darwin":
            key = builder.trunc(key, ir.IntType(32))
        get = external(builder, _GET, _i8p, [key.type])
        put = external(builder, _SET, ir.IntType(32), [key.type, _i8p])
        block = builder.alloca(_i8p)
        builder.store(builder.call(get, [key]), block)
        null = ir.Constant(_i8p, None)
        absent = builder.icmp_unsigned("==", builder.load(block), null)
        small = builder.alloca(ir.IntType(1))
        builder.store(absent, small)
        with builder.if_then(builder.not_(absent)):
            capacity = builder.load(builder.bitcast(builder.load(block), _i64.as_pointer()))
            builder.store(builder.icmp_signed("<", capacity, nbytes), small)
        with builder.if_then(builder.load(small), likely=False):
            builder.call(external(builder, "free", ir.VoidType(), [_i8p]), [builder.load(block)])
            size = builder.add(nbytes, ir.Constant(_i64, 128))
            fresh = builder.call(external(builder, "malloc", _i8p, [_i64]), [size])
            if sys.platform == "linux":
                _ask_for_huge_pages(builder, fresh, size)
            builder.store(nbytes, builder.bitcast(fresh, _i64.as_pointer()))
            builder.call(put, [key, fresh])
            builder.store(fresh, block)
        address = builder.ptrtoint(builder.load(block), _i64)
        address = builder.add(address, ir.Constant(_i64, 8 + 63))
        return builder.and_(address, ir.Constant(_i64, -64))

    return types.intp(types.intp, types.intp), codegen


@intrinsic
def as_pointer(typingctx, address):
    """An address as the pointer that numba.carray takes."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], _i8p)

    return types.voidptr(types.intp), codegen


@intrinsic
def run_body(typingctx, body, context_address, begin, end):
    """Call the trampoline that `bind` made."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_i64, _i64, _i64])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), codegen


def note_fault(builder, status):
    """With bounds checking: leave word of a call that failed where nobody can raise."""
    if config.BOUNDSCHECK:
        with builder.if_then(status.is_error):
            builder.store_atomic(ir.Constant(_i64, 1), word(builder, ir.Constant(_i64, FAULT)), "seq_cst", 8)


@intrinsic
def bind(typingctx, body, arguments):
    """(trampoline, context): addresses with which any thread can run body(begin, end, *arguments).

    body is a compiled function, arguments a tuple. The tuple is kept in the caller's frame: both addresses are
    good until the caller returns.
    """
    dispatcher = body.dispatcher
    inputs = (types.intp, types.intp, *arguments)
    dispatcher.compile(inputs)
    compiled = dispatcher.overloads[inputs]
    if compiled.signature.return_type != types.none:
        raise TypeError(f"the body of a parallel region must return nothing: {dispatcher.py_func.__name__}")

    def codegen(context, builder, signature, args):
        context.add_linking_libs([compiled.library])
        kept = cgutils.alloca_once_value(builder, args[1])
        trampoline = ir.Function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [_i64, _i64, _i64]),
            builder.module.get_unique_name(f"region.{compiled.fndesc.mangled_name}"),
        )
        trampoline.linkage = "internal"
        # a loop inside the loop over chunks would load its constants again in every step: LLVM does not lift them out
        trampoline.attributes.add("noinline")
        inner = ir.IRBuilder(trampoline.append_basic_block())
        values = inner.load(inner.inttoptr(trampoline.args[0], kept.type))
        function = context.declare_function(builder.module, compiled.fndesc)
        unpacked = [inner.extract_value(values, i) for i in range(len(arguments))]
        status, _ = context.call_conv.call_function(
            inner, function, types.none, inputs, [trampoline.args[1], trampoline.args[2], *unpacked]
        )
        note_fault(inner, status)
        inner.ret_void()
        pair = [builder.ptrtoint(trampoline, _i64), builder.ptrtoint(kept, _i64)]
        return context.make_tuple(builder, signature.return_type, pair)

    return types.UniTuple(types.intp, 2)(body, arguments), codegen
