"""AMX for machines without it: the instructions that LLVM emitted, executed where they stand.

The processor refuses each with an invalid-opcode fault. The handler of that signal decodes the bytes at the
instruction pointer, does what the manual says on tile registers that belong to the thread, and steps over them. It is
compiled code that needs no interpreter: it runs in whatever thread faulted. So kernels run unchanged, a few
microseconds an instruction.

    install()     from now on; does nothing on a machine that has AMX
    executed()    instructions done so far, by name

TDPBF16PS as in Intel's manual: for each row and column the even and the odd elements of a row of A are multiplied and
added up apart, from zero, with one rounding to nearest even a step; the two sums are added, then added to C. Denormal
inputs count as zero and denormal results become zero.
"""

import ctypes

import llvmlite.binding as llvm
import numba
import numpy as np
from hotloop.kernels import state
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

SIGILL, SA_SIGINFO = 4, 4
NAMES = ("ldtilecfg", "sttilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored", "tdpbf16ps")
LDTILECFG, STTILECFG, TILERELEASE, TILEZERO, TILELOADD, TILESTORED, TDPBF16PS = range(len(NAMES))

# a thread's block: its configuration, then eight tiles
_CONFIG, _TILES, _BYTES = 0, 64, 64 + 8 * 1024
# where the signal's context keeps the registers, from rax in the order of their numbers; then the instruction pointer
_REGISTERS = 40
_PLACES = (13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7)
_RIP = 16

_libc = ctypes.CDLL(None)
_key = ctypes.c_uint32(0)
_libc.pthread_key_create(ctypes.byref(_key), ctypes.cast(_libc.free, ctypes.c_void_p))
_KEY = _key.value


def _foreign(name, result, *args):
    function = ctypes.CFUNCTYPE(result, *args)((name, _libc))
    function.argtypes, function.restype = args, result
    return function


_get = _foreign("pthread_getspecific", ctypes.c_size_t, ctypes.c_uint32)
_set = _foreign("pthread_setspecific", ctypes.c_int, ctypes.c_uint32, ctypes.c_size_t)
_calloc = _foreign("calloc", ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)
_signal = _foreign("signal", ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t)

_counts = np.zeros(len(NAMES), np.int64)
_COUNTS = _counts.ctypes.data


@intrinsic
def _fma(typingctx, a, b, c):
    """a * b + c with one rounding."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()] * 3)
        return builder.call(numba.core.cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.f32"), args)

    return types.float32(types.float32, types.float32, types.float32), codegen


@intrinsic
def _count(typingctx, address):
    """Add one to the integer at an address, whichever threads do the same."""

    def codegen(context, builder, signature, args):
        i64 = ir.IntType(64)
        builder.atomic_rmw("add", builder.inttoptr(args[0], i64.as_pointer()), ir.Constant(i64, 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@njit
def _array(address, n, dtype):
    return numba.carray(state.as_pointer(address), (n,), dtype)


@njit
def _flushed(x):
    return np.float32(0) if abs(x) < np.float32(2.0**-126) else x


@njit
def _wide(pair, odd):
    """One bf16 of a pair, as float32; denormals as zero."""
    bits = np.uint32(pair & np.uint32(0xFFFF0000)) if odd else np.uint32(pair << np.uint32(16))
    return np.uint32(0) if bits & np.uint32(0x7F800000) == 0 else bits


@njit
def decode(code):
    """(instruction, length of prefix and opcode, reg, rm, vvvv, X, B) of the bytes at hand; instruction -1: none."""
    none = (-1, 0, 0, 0, 0, 0, 0)
    # the three-byte VEX prefix of the 0F38 map, 128 bits, W0; extension bits are stored inverted
    if code[0] != 0xC4 or code[1] & 0x1F != 2 or code[2] & 0x84 != 0:
        return none
    pp, opcode, modrm = code[2] & 3, code[3], code[4]
    mod, reg, rm, vvvv = modrm >> 6, modrm >> 3 & 7, modrm & 7, ~(code[2] >> 3) & 15
    what = -1
    if opcode == 0x49:
        if mod != 3 and reg == 0:
            what = LDTILECFG if pp == 0 else STTILECFG if pp == 1 else -1
        elif modrm == 0xC0 and pp == 0:
            what = TILERELEASE
        elif mod == 3 and rm == 0 and pp == 3:
            what = TILEZERO
    elif opcode == 0x4B and mod != 3 and rm == 4:
        # plain, and with the hint that it will not be used again
        what = TILELOADD if pp == 3 or pp == 1 else TILESTORED if pp == 2 else -1
    elif opcode == 0x5C and mod == 3 and pp == 2:
        what = TDPBF16PS
    if what < 0:
        return none
    return what, 4, reg, rm, vvvv, (~code[1] >> 6 & 1), (~code[1] >> 5 & 1)


@njit
def _address(code, registers, x, b):
    """(address, bytes between rows, length) of the memory operand whose modrm is code[0]."""
    mod, rm = code[0] >> 6, code[0] & 7
    length, address, stride = 1, 0, 0
    base = rm + 8 * b
    if rm == 4:
        sib = code[1]
        length, base = 2, (sib & 7) + 8 * b
        index = (sib >> 3 & 7) + 8 * x
        if index != 4:
            stride = registers[index] << (sib >> 6)
    displacement = 0
    if mod == 1:
        displacement = np.int64(np.int8(code[length]))
        length += 1
    elif mod == 2 or (base & 7 == 5 and mod == 0):
        for i in range(4):
            displacement |= np.int64(code[length + i]) << (8 * i)
        displacement = np.int64(np.int32(displacement))
        length += 4
    if mod == 0 and base & 7 == 5:
        # no base; without an index byte it is relative to the next instruction
        address = registers[16] + 4 + length if rm == 5 else 0
    else:
        address = registers[base]
    return address + displacement, stride, length


@njit(error_model="numpy")
def multiply(c, a, b, rows, pairs, columns):
    """tdpbf16ps on whole tiles: c float32, a and b bf16 in pairs as uint32."""
    even, odd = np.empty(16, np.float32), np.empty(16, np.float32)
    wide = np.empty(2, np.uint32)
    row_even, row_odd = np.empty((16, 16), np.uint32), np.empty((16, 16), np.uint32)
    for k in range(pairs):
        for n in range(columns):
            row_even[k, n], row_odd[k, n] = _wide(b[k * 16 + n], False), _wide(b[k * 16 + n], True)
    b_even, b_odd = row_even.view(np.float32), row_odd.view(np.float32)
    for m in range(rows):
        even[:], odd[:] = 0, 0
        for k in range(pairs):
            wide[0], wide[1] = _wide(a[m * 16 + k], False), _wide(a[m * 16 + k], True)
            a_even, a_odd = wide.view(np.float32)
            for n in range(columns):
                even[n] = _flushed(_fma(a_even, b_even[k, n], even[n]))
                odd[n] = _flushed(_fma(a_odd, b_odd[k, n], odd[n]))
        for n in range(columns):
            total = _flushed(even[n] + odd[n])
            c[m * 16 + n] = _flushed(_flushed(c[m * 16 + n]) + total)


@njit(error_model="numpy")
def _perform(what, own, reg, rm, vvvv, address, stride):
    """Do one instruction on a thread's block. False: the processor would have refused it."""
    config = own[_CONFIG : _CONFIG + 64]
    if what == LDTILECFG:
        config[:] = _array(address, 64, np.uint8)
        own[_TILES:] = 0
        return config[0] == 1
    if what == STTILECFG:
        _array(address, 64, np.uint8)[:] = config
        return True
    if what == TILERELEASE:
        own[:] = 0
        return True
    # a tile without a configuration is a mistake
    if config[0] != 1:
        return False
    tile = own[_TILES + reg * 1024 : _TILES + reg * 1024 + 1024]
    rows, width = np.int64(config[48 + reg]), np.int64(config[16 + 2 * reg])
    if what == TILEZERO:
        tile[:] = 0
    elif what == TILELOADD:
        tile[:] = 0
        for r in range(rows):
            tile[r * 64 : r * 64 + width] = _array(address + r * stride, width, np.uint8)
    elif what == TILESTORED:
        for r in range(rows):
            _array(address + r * stride, width, np.uint8)[:] = tile[r * 64 : r * 64 + width]
    else:
        a = own[_TILES + rm * 1024 : _TILES + rm * 1024 + 1024].view(np.uint32)
        b = own[_TILES + vvvv * 1024 : _TILES + vvvv * 1024 + 1024].view(np.uint32)
        multiply(tile.view(np.float32), a, b, rows, np.int64(config[16 + 2 * rm]) // 4, width // 4)
    return True


@njit
def _handle(signal, info, context):
    saved = _array(context + _REGISTERS, 23, np.int64)
    code = _array(saved[_RIP], 16, np.uint8)
    what, length, reg, rm, vvvv, x, b = decode(code)
    done = False
    if what >= 0:
        own = _get(_KEY)
        if own == 0:
            own = _calloc(1, _BYTES)
            _set(_KEY, own)
        registers = np.empty(17, np.int64)
        for i in range(16):
            registers[i] = saved[_PLACES[i]]
        registers[16] = saved[_RIP]
        address, stride, more = 0, 0, 1
        if code[4] >> 6 != 3:
            address, stride, more = _address(code[4:], registers, x, b)
        done = _perform(what, _array(own, _BYTES, np.uint8), reg, rm, vvvv, address, stride)
        _count(_COUNTS + 8 * what)
        saved[_RIP] += length + more
    if not done:
        # not ours, or wrong: the next attempt ends the process
        _signal(SIGILL, 0)


class _Action(ctypes.Structure):
    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint8 * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


_kept: list = []


def install():
    """Let this process run AMX code, whatever the machine. Tells whether the code is emulated."""
    if not llvm.get_host_cpu_features().get("amx-bf16"):
        handler = cfunc(types.void(types.int32, types.intp, types.intp))(_handle.py_func)
        action = _Action(handler=handler.address, flags=SA_SIGINFO)
        assert _libc.sigaction(SIGILL, ctypes.byref(action), None) == 0
        _kept.append(handler)
        state.words[state.PRODUCTS] = 6
    return bool(_kept)


def pytest_configure():
    """Any tests, emulated: pytest -p amx_emulator."""
    install()


def executed():
    return dict(zip(NAMES, _counts.tolist(), strict=True))
