"""Lines of a table, whole vectors at a time: weighted sums of lines that lie anywhere, and zeros.

A sum stays in registers while the lines pass by, eight vectors wide; lines are read where they are. Loops that LLVM
makes of the same spend as long on the ends of short lines as on the lines.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..jit import compiled, intrinsic
from .rows import Row, data_of
from .target import VECTOR_BYTES

_i32, _i64 = ir.IntType(32), ir.IntType(64)
# vectors of a sum in registers, of which there are at least 16
VECTORS = 8
# bytes: zeros go past the caches where these could not hold them, so that memory is not read before it is written
STREAM = 1 << 24


def _constant(number):
    return ir.Constant(_i64, number)


class _Sum:
    """What the blocks of columns of one sum of lines share."""

    def __init__(self, builder, row, out, to, terms, pitch, first, order, factors, begin, end, add):
        self.builder, self.row, self.out, self.to, self.add = builder, row, out, to, add
        self.terms, self.pitch, self.first, self.order, self.factors = terms, pitch, first, order, factors
        self.begin, self.end = begin, end
        self.totals = [cgutils.alloca_once(builder, row.e.vector) for _ in range(VECTORS)]

    def block(self, here, masks):
        """The vectors of the sum from column `here` on; masks of those of its ends, else None."""
        builder, e = self.builder, self.row.e
        places = [_constant(i * e.lanes) for i in range(VECTORS)]
        target = builder.gep(self.out, [builder.add(self.to, here)])
        for place, total, mask in zip(places, self.totals, masks, strict=True):
            builder.store(e.zero, total)
            with builder.if_then(self.add):
                builder.store(e.load(self.row.at(target, place), mask), total)
        with cgutils.for_range_slice(builder, self.begin, self.end, _constant(1), inc=True) as (j, _):
            line = builder.load(builder.gep(self.order, [j]))
            factor = e.broadcast(builder.gep(self.factors, [j]))
            offset = builder.add(builder.mul(line, self.pitch), builder.add(self.first, here))
            source = builder.gep(self.terms, [offset])
            for place, total, mask in zip(places, self.totals, masks, strict=True):
                value = e.load(self.row.at(source, place), mask)
                builder.store(builder.call(e.fma, [factor, value, builder.load(total)]), total)
        for place, total, mask in zip(places, self.totals, masks, strict=True):
            e.store(builder.load(total), self.row.at(target, place), mask)


@intrinsic
def sum_lines(typingctx, out, to, width, terms, pitch, first, order, factors, begin, end, add):
    """out[to + i] (+)= sum of factors[j] * terms[order[j] * pitch + first + i] over begin <= j < end, i < width."""

    def codegen(context, builder, signature, args):
        row = Row(builder, signature.args[0].dtype)
        out, terms, order, factors = data_of(context, builder, signature, args, 0, 3, 6, 7)
        _, to, width, _, pitch, first, _, _, begin, end, add = args
        block = _Sum(builder, row, out, to, terms, pitch, first, order, factors, begin, end, add).block
        step = _constant(VECTORS * row.e.lanes)
        whole = builder.mul(builder.sdiv(width, step), step)
        with cgutils.for_range_slice(builder, _constant(0), whole, step, inc=True) as (here, _):
            block(here, [None] * VECTORS)
        left = builder.sub(width, whole)
        with builder.if_then(builder.icmp_signed(">", left, _constant(0))):
            lanes = [builder.sub(left, _constant(i * row.e.lanes)) for i in range(VECTORS)]
            block(whole, [row.e.kept(row.e.lanes_below(count)) for count in lanes])
        return context.get_dummy_value()

    integer = types.intp
    kinds = (out, integer, integer, terms, integer, integer, order, factors, integer, integer, types.boolean)
    return types.void(*kinds), codegen


def _zeroing(stream):
    """An intrinsic zero(out, begin, end): whole aligned vectors; `begin` and `end` are such places."""

    def zero(typingctx, out, begin, end):
        def codegen(context, builder, signature, args):
            row = Row(builder, signature.args[0].dtype)
            (out,) = data_of(context, builder, signature, args, 0)
            with cgutils.for_range_slice(builder, args[1], args[2], _constant(row.e.lanes), inc=True) as (here, _):
                store = builder.store(row.e.zero, row.at(out, here), align=VECTOR_BYTES)
                if stream:
                    store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_i32, 1)]))
            return context.get_dummy_value()

        return types.void(out, types.intp, types.intp), codegen

    return intrinsic(zero)


_zero, _zero_stream = _zeroing(False), _zeroing(True)


@intrinsic
def settle(typingctx):
    """To be called after stores past the caches: these are not ordered with what tells others that they are done."""

    def codegen(context, builder, signature, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@compiled
def zero_line(out, begin, end, stream):
    """out[begin:end] = 0; stream: past the caches, and not settled yet."""
    lanes, address = VECTOR_BYTES // out.itemsize, out.ctypes.data + begin * out.itemsize
    # of the whole vectors in between, the first and the end; elements that lie askew make none
    low = end if address % out.itemsize else min(end, begin + (-address) % VECTOR_BYTES // out.itemsize)
    high = low + (end - low) // lanes * lanes
    out[begin:low] = 0
    if stream:
        _zero_stream(out, low, high)
    else:
        _zero(out, low, high)
    out[high:end] = 0
