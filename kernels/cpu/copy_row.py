"""Copies of short rows: whole vectors, the last of which ends where the row ends and copies some elements again.

A plain loop over a row of a few vectors spends its time in the remainder. Elements may be of any kind: bytes are moved.
"""

from llvmlite import ir
from numba import types

from ..jit import compiled, intrinsic
from .target import VECTOR_BYTES

LEAST = 16
_byte = ir.IntType(8)


def _place(context, builder, kind, array, at, vector):
    data = builder.bitcast(context.make_array(kind)(context, builder, array).data, _byte.as_pointer())
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


def _mover(nbytes):
    """An intrinsic move(target, to, source, at): `nbytes` bytes, between byte positions."""
    vector = ir.VectorType(_byte, nbytes)

    def move(typingctx, target, to, source, at):
        def codegen(context, builder, signature, args):
            kinds, (target, to, source, at) = signature.args, args
            value = builder.load(_place(context, builder, kinds[2], source, at, vector), align=1)
            builder.store(value, _place(context, builder, kinds[0], target, to, vector), align=1)
            return context.get_dummy_value()

        return types.void(target, types.intp, source, types.intp), codegen

    return intrinsic(move)


_move, _move_least = _mover(VECTOR_BYTES), _mover(LEAST)


@compiled
def copy_row(out, to, line, at, count):
    """out[to : to + count] = line[at : at + count]; both flat and dense, of one kind, and apart in memory."""
    n, put, take = count * out.itemsize, to * out.itemsize, at * out.itemsize
    if n >= VECTOR_BYTES:
        for i in range(0, n - VECTOR_BYTES, VECTOR_BYTES):
            _move(out, put + i, line, take + i)
        _move(out, put + n - VECTOR_BYTES, line, take + n - VECTOR_BYTES)
    elif n >= LEAST:
        for i in range(0, n - LEAST, LEAST):
            _move_least(out, put + i, line, take + i)
        _move_least(out, put + n - LEAST, line, take + n - LEAST)
    else:
        for i in range(count):
            out[to + i] = line[at + i]
