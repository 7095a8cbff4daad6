"""The register tile: the innermost loop of every matrix product, written as LLVM vectors.

    C[i, j] (+)= sum over p of A[p, i] * B[p, j]        i < rows, j < vectors * lanes

A and B are packed panels: step p has ROWS elements of A side by side, then VECTORS * lanes elements of B. One step
loads the B vectors, broadcasts each element of A, and does rows * vectors fused multiply-adds into accumulators that
stay in registers from the first step to the last. What LLVM makes of it on AVX-512 is 28 `vfmadd231ps` with a broadcast
memory operand and two loads a step, and no spill.

All pointers are addresses (integers): nothing here is bounds-checked. Callers hand whole panels and whole tiles.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .target import ROWS, VECTOR_BYTES, VECTORS

_i64 = ir.IntType(64)

# heights and widths that exist: a remainder runs on the smallest that covers it
HEIGHTS = tuple(sorted({ROWS, max(1, ROWS * 4 // 7), max(1, ROWS * 2 // 7)}, reverse=True))
WIDTHS = (VECTORS, 1)


class _Emitter:
    """Builder, element type and vector type of one tile."""

    def __init__(self, builder, dtype):
        self.builder = builder
        self.scalar = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
        self.itemsize = 4 if dtype == types.float32 else 8
        self.lanes = VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(self.scalar, self.lanes)
        name = f"llvm.fmuladd.v{self.lanes}f{self.itemsize * 8}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        self.fma = cgutils.get_or_insert_function(builder.module, kind, name)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.undefined = ir.Constant(self.vector, ir.Undefined)
        self.first_lane = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)

    def offset(self, address, elements):
        if isinstance(elements, int):
            elements = ir.Constant(_i64, elements * self.itemsize)
        else:
            elements = self.builder.mul(elements, ir.Constant(_i64, self.itemsize))
        return self.builder.add(address, elements)

    def pointer(self, address, kind):
        return self.builder.inttoptr(address, kind.as_pointer())

    def load(self, pointer, elements):
        """The vector `elements` after a pointer to the element type."""
        place = self.builder.gep(pointer, [ir.Constant(_i64, elements)])
        return self.builder.load(self.builder.bitcast(place, self.vector.as_pointer()), align=self.itemsize)

    def broadcast(self, pointer, elements):
        value = self.builder.load(self.builder.gep(pointer, [ir.Constant(_i64, elements)]))
        value = self.builder.insert_element(self.undefined, value, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(value, self.undefined, self.first_lane)

    def store(self, value, pointer, elements):
        place = self.builder.gep(pointer, [ir.Constant(_i64, elements)])
        self.builder.store(value, self.builder.bitcast(place, self.vector.as_pointer()), align=self.itemsize)


def _emit(e, rows, vectors, depth, a, b, c, ldc, start, bias, relu):
    """One tile of rows x vectors; start: 0 from zero, 1 from C, 2 from the bias."""
    builder = e.builder
    cells = [(i, v) for i in range(rows) for v in range(vectors)]
    c_rows = [e.pointer(e.offset(c, builder.mul(ldc, ir.Constant(_i64, i))), e.scalar) for i in range(rows)]
    from_c, from_bias = builder.append_basic_block("from_c"), builder.append_basic_block("from_bias")
    loop, last = builder.append_basic_block("step"), builder.append_basic_block("finish")

    # where the accumulators start
    origin = builder.block
    choose = builder.switch(start, loop)
    choose.add_case(ir.Constant(_i64, 1), from_c)
    choose.add_case(ir.Constant(_i64, 2), from_bias)
    builder.position_at_end(from_c)
    loaded = {(i, v): e.load(c_rows[i], v * e.lanes) for i, v in cells}
    builder.branch(loop)
    builder.position_at_end(from_bias)
    bias_row = [e.load(e.pointer(bias, e.scalar), v * e.lanes) for v in range(vectors)]
    builder.branch(loop)

    # one step of depth
    builder.position_at_end(loop)
    step, a_at, b_at = builder.phi(_i64), builder.phi(_i64), builder.phi(_i64)
    accumulators = {cell: builder.phi(e.vector) for cell in cells}
    for block in (origin, from_c, from_bias):
        step.add_incoming(ir.Constant(_i64, 0), block)
        a_at.add_incoming(a, block)
        b_at.add_incoming(b, block)
    for (i, v), phi in accumulators.items():
        phi.add_incoming(e.zero, origin)
        phi.add_incoming(loaded[i, v], from_c)
        phi.add_incoming(bias_row[v], from_bias)
    a_pointer, b_pointer = e.pointer(a_at, e.scalar), e.pointer(b_at, e.scalar)
    b_vectors = [e.load(b_pointer, v * e.lanes) for v in range(vectors)]
    sums = {}
    for i in range(rows):
        element = e.broadcast(a_pointer, i)
        for v in range(vectors):
            sums[i, v] = builder.call(e.fma, [element, b_vectors[v], accumulators[i, v]])
    following = builder.add(step, ir.Constant(_i64, 1))
    step.add_incoming(following, loop)
    a_at.add_incoming(e.offset(a_at, ROWS), loop)
    b_at.add_incoming(e.offset(b_at, VECTORS * e.lanes), loop)
    for cell, phi in accumulators.items():
        phi.add_incoming(sums[cell], loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, last)

    # out of the registers
    builder.position_at_end(last)
    for i, v in cells:
        # relu as a choice: NaN is not <= 0 and stays
        clipped = builder.and_(builder.fcmp_ordered("<=", sums[i, v], e.zero), relu)
        e.store(builder.select(clipped, e.zero, sums[i, v]), c_rows[i], v * e.lanes)


@intrinsic
def tile(typingctx, like, rows, width, depth, a, b, c, ldc, start, bias, relu):
    """C (+)= A^T B for one tile of the dtype of `like`; depth >= 1.

    rows, width   the part of the tile that is wanted: the smallest tile that covers it is computed and stored whole
    a, b          addresses of packed panels (depth, ROWS) and (depth, VECTORS * lanes)
    c, ldc        address of C's corner; elements between its rows
    start         0: overwrite C; 1: add to C; 2: start from the row of VECTORS * lanes elements at `bias`
    relu          store max(C, 0)
    """

    def codegen(context, builder, signature, args):
        _, rows, width, depth, a, b, c, ldc, start, bias, relu = args
        e = _Emitter(builder, signature.args[0].dtype)
        mask_type = ir.VectorType(ir.IntType(1), e.lanes)
        flag = builder.icmp_unsigned("!=", relu, ir.Constant(relu.type, 0))
        flag = builder.insert_element(ir.Constant(mask_type, ir.Undefined), flag, ir.Constant(ir.IntType(32), 0))
        flag = builder.shuffle_vector(flag, ir.Constant(mask_type, ir.Undefined), e.first_lane)
        end = builder.append_basic_block("tile_end")
        # from the smallest tile to the largest: the first that covers the wanted part
        for height in sorted(HEIGHTS):
            for vectors in sorted(set(WIDTHS)):
                fits = builder.and_(
                    builder.icmp_signed("<=", rows, ir.Constant(_i64, height)),
                    builder.icmp_signed("<=", width, ir.Constant(_i64, vectors * e.lanes)),
                )
                here, other = builder.append_basic_block("tile"), builder.append_basic_block("larger")
                builder.cbranch(fits, here, other)
                builder.position_at_end(here)
                _emit(e, height, vectors, depth, a, b, c, ldc, start, bias, flag)
                builder.branch(end)
                builder.position_at_end(other)
        builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    integers = (types.intp,) * 8
    return types.void(like, *integers, types.intp, types.boolean), codegen
