"""Cache lines that are asked for before they are needed: what the processor's own prefetchers do not foresee.

They follow lines that lie side by side. Rows of a panel that is read where it lies, and rows of C, are a whole row of
the matrix apart, on pages of their own.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit import compiled

LINE = 64


def _prefetch(builder, address, write, level):
    """level: 3 for the first cache, 2 for the second."""
    pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.inttoptr(address, pointer), *(ir.Constant(i32, x) for x in (write, level, 1))])


@intrinsic
def fetch(typingctx, address):
    """Begin to bring the cache line at an address into L2."""

    def codegen(context, builder, signature, args):
        _prefetch(builder, args[0], 0, 2)
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@intrinsic
def fetch_to_write(typingctx, address):
    """Begin to bring the cache line at an address into L1, to be changed."""

    def codegen(context, builder, signature, args):
        _prefetch(builder, args[0], 1, 3)
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@compiled
def fetch_rows(address, rows, stride, length):
    """`rows` rows of `length` bytes, `stride` bytes apart."""
    for _ in range(rows):
        for line in range(address // LINE * LINE, address + length, LINE):
            fetch(line)
        address += stride


@compiled
def fetch_rows_to_write(address, rows, stride, length):
    for _ in range(rows):
        for line in range(address // LINE * LINE, address + length, LINE):
            fetch_to_write(line)
        address += stride
