"""The register tile: the innermost loop of every matrix product, written as LLVM vectors.

    C[i, j] (+)= sum over p of A[i, p] * B[p, j]        i < rows, j < vectors * lanes

One step of depth loads the vectors of a row of B, broadcasts each element of a column of A, and does rows * vectors
fused multiply-adds into accumulators that stay in registers from the first step to the last. What LLVM makes of it on
AVX-512 is 28 `vfmadd231ps` and two loads a step, the broadcasts being memory operands, and no spill.

A and B are given by address and stride, so that a panel packed for the purpose and a matrix as it lies are read by the
same code. Two loops exist: `straight` for whole tiles whose column of A is contiguous (packed panels, a transposed A);
`general` for rows of A any stride apart and for edges, in three heights. The general loop touches nothing outside the
operands.

All pointers are addresses (integers): nothing here is bounds-checked.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .target import MASKED, ROWS, VECTOR_BYTES, VECTORS

_i1, _i32, _i64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)

ADD, FROM_BIAS = 1, 2

# heights and widths of the general loop: a remainder runs on the smallest that covers it
HEIGHTS = tuple(sorted({ROWS, max(1, ROWS * 4 // 7), max(1, ROWS * 2 // 7)}))
WIDTHS = tuple(sorted({VECTORS, 1}))
ROW_VECTORS = 8  # width of a single row: B is read once, in long pieces, bound by the memory it comes from


class Emitter:
    """Builder, element type and vector type of one tile."""

    def __init__(self, builder, dtype, lanes=None):
        self.builder, self.dtype = builder, dtype
        self.scalar = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
        self.itemsize = 4 if dtype == types.float32 else 8
        self.lanes = lanes or VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.mask = ir.VectorType(_i1, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        suffix = f"v{self.lanes}f{self.itemsize * 8}"
        self.fma = self._intrinsic(f"llvm.fmuladd.{suffix}", self.vector, [self.vector] * 3)
        pointer = self.vector.as_pointer()
        self._masked_load = self._intrinsic(
            f"llvm.masked.load.{suffix}.p0", self.vector, [pointer, _i32, self.mask, self.vector]
        )
        self._masked_store = self._intrinsic(
            f"llvm.masked.store.{suffix}.p0", ir.VoidType(), [self.vector, pointer, _i32, self.mask]
        )

    def _intrinsic(self, name, result, args):
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, args), name)

    def bytes(self, elements):
        return self.builder.mul(elements, ir.Constant(_i64, self.itemsize))

    def at(self, address, elements=0):
        """Pointer to the vector that starts `elements` (a Python number) after an address."""
        pointer = self.builder.inttoptr(address, self.scalar.as_pointer())
        place = self.builder.gep(pointer, [ir.Constant(_i64, elements)])
        return self.builder.bitcast(place, self.vector.as_pointer())

    def line(self, address, stride, number, count):
        """Address of line `number` (a Python number) of `count`; one beyond the edge is the last one again."""
        last = self.builder.sub(count, ir.Constant(_i64, 1))
        number = ir.Constant(_i64, number)
        number = self.builder.select(self.builder.icmp_signed("<", number, last), number, last)
        return self.builder.add(address, self.builder.mul(self.bytes(stride), number))

    def shuffle(self, a, b, lanes):
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_i32, len(lanes)), lanes))

    def load(self, place, mask=None, others=None):
        """A vector; with a mask, lanes outside of it are those of `others`, or 0."""
        if mask is None:
            return self.builder.load(place, align=self.itemsize)
        align, others = ir.Constant(_i32, self.itemsize), self.zero if others is None else others
        return self.builder.call(self._masked_load, [place, align, mask, others])

    def store(self, value, place, mask=None):
        if mask is None:
            self.builder.store(value, place, align=self.itemsize)
        else:
            self.builder.call(self._masked_store, [value, place, ir.Constant(_i32, self.itemsize), mask])

    def splat(self, value, kind):
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(_i32, 0))
        return self.builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(_i32, self.lanes), [0] * self.lanes)
        )

    def broadcast(self, pointer):
        return self.splat(self.builder.load(pointer), self.vector)

    def lanes_below(self, bound):
        """Mask of the lanes whose number is below `bound`."""
        kind = ir.VectorType(_i32, self.lanes)
        numbers = ir.Constant(kind, list(range(self.lanes)))
        return self.builder.icmp_signed("<", numbers, self.splat(self.builder.trunc(bound, _i32), kind))

    def kept(self, mask):
        """A mask that stays in a register through a loop."""
        # LLVM would compare again in every step rather than keep a mask: what an empty instruction gives, it keeps
        if VECTOR_BYTES == 64:
            return self._through(mask, "k")
        if VECTOR_BYTES == 32:
            wide = ir.VectorType(ir.IntType(self.itemsize * 8), self.lanes)
            signs = self._through(self.builder.sext(mask, wide), "x")
            return self.builder.icmp_signed("<", signs, ir.Constant(wide, [0] * self.lanes))
        return mask

    def _through(self, value, register):
        kind = ir.FunctionType(value.type, [value.type])
        return self.builder.asm(kind, "", f"={register},0", [value], side_effect=False)


class _Straight:
    """The tile is whole, and its column of A contiguous: one address serves all rows."""

    def __init__(self, e, height, vectors, rows, width, a, a_line, c, ldc):
        self.e, self.a = e, a
        builder = e.builder
        self.c_rows = [builder.add(c, builder.mul(e.bytes(ldc), ir.Constant(_i64, i))) for i in range(height)]
        self.masks = [None] * vectors

    def element(self, i, offset):
        builder = self.e.builder
        pointer = builder.inttoptr(builder.add(self.a, offset), self.e.scalar.as_pointer())
        return self.e.broadcast(builder.gep(pointer, [ir.Constant(_i64, i)]))


class _General:
    """Rows of A any stride apart. A row beyond the edge is the last one again: it is computed and stored twice, equal
    both times. Vectors are masked to the columns that exist."""

    def __init__(self, e, height, vectors, rows, width, a, a_line, c, ldc):
        self.e = e
        builder = e.builder
        self.a_rows = [e.line(a, a_line, i, rows) for i in range(height)]
        self.c_rows = [e.line(c, ldc, i, rows) for i in range(height)]
        bounds = [builder.sub(width, ir.Constant(_i64, v * e.lanes)) for v in range(vectors)]
        self.masks = [e.kept(e.lanes_below(bound)) for bound in bounds]

    def element(self, i, offset):
        builder = self.e.builder
        return self.e.broadcast(builder.inttoptr(builder.add(self.a_rows[i], offset), self.e.scalar.as_pointer()))


def has(builder, start, flag):
    flag = ir.Constant(_i64, flag)
    return builder.icmp_signed("==", builder.and_(start, flag), flag)


def _emit(e, shape, depth, a_step, b, b_step, start, bias, relu, meanwhile):
    """A tile of height x vectors; shape: its rows and masks. meanwhile(step): what else a step does, or None.

    C is added to the sum, not the sum to C: rounding errors grow with the steps of a tile, not with the whole depth.
    """
    builder, masks = e.builder, shape.masks
    height, vectors = len(shape.c_rows), len(masks)
    cells = [(i, v) for i in range(height) for v in range(vectors)]
    places = {(i, v): e.at(shape.c_rows[i], v * e.lanes) for i, v in cells}
    from_bias, loop, finish, add, store = map(builder.append_basic_block, ("bias", "step", "finish", "add", "store"))

    # where the accumulators start
    origin = builder.block
    builder.cbranch(has(builder, start, FROM_BIAS), from_bias, loop)
    builder.position_at_end(from_bias)
    bias_row = [e.load(e.at(bias, v * e.lanes), masks[v]) for v in range(vectors)]
    builder.branch(loop)

    # one step of depth
    builder.position_at_end(loop)
    step, a_at, b_at = builder.phi(_i64), builder.phi(_i64), builder.phi(_i64)
    accumulators = {cell: builder.phi(e.vector) for cell in cells}
    zero = ir.Constant(_i64, 0)
    for block in (origin, from_bias):
        step.add_incoming(zero, block)
        a_at.add_incoming(zero, block)
        b_at.add_incoming(b, block)
    for (_, v), phi in accumulators.items():
        phi.add_incoming(e.zero, origin)
        phi.add_incoming(bias_row[v], from_bias)
    # without masked loads B is a packed panel: whole vectors may be read
    b_vectors = [e.load(e.at(b_at, v * e.lanes), masks[v] if MASKED else None) for v in range(vectors)]
    sums = {}
    for i in range(height):
        element = shape.element(i, a_at)
        for v in range(vectors):
            sums[i, v] = builder.call(e.fma, [element, b_vectors[v], accumulators[i, v]])
    if meanwhile is not None:
        meanwhile(step)
    following = builder.add(step, ir.Constant(_i64, 1))
    step.add_incoming(following, loop)
    a_at.add_incoming(builder.add(a_at, e.bytes(a_step)), loop)
    b_at.add_incoming(builder.add(b_at, e.bytes(b_step)), loop)
    for cell, phi in accumulators.items():
        phi.add_incoming(sums[cell], loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, finish)

    # out of the registers; all of C is read before any of it is written: rows beyond the edge are a row again
    builder.position_at_end(finish)
    builder.cbranch(has(builder, start, ADD), add, store)
    builder.position_at_end(add)
    added = {(i, v): builder.fadd(e.load(places[i, v], masks[v]), sums[i, v]) for i, v in cells}
    builder.branch(store)
    builder.position_at_end(store)
    results = {cell: builder.phi(e.vector) for cell in cells}
    for cell, phi in results.items():
        phi.add_incoming(sums[cell], finish)
        phi.add_incoming(added[cell], add)
    for i, v in cells:
        # relu as a choice: NaN is not <= 0 and stays
        clipped = builder.and_(builder.fcmp_ordered("<=", results[i, v], e.zero), relu)
        e.store(builder.select(clipped, e.zero, results[i, v]), places[i, v], masks[v])


def emit_tile(builder, dtype, args, meanwhile=None):
    """The code of `tile`, and of what is made of it; args: those of `tile` after the first."""
    rows, width, depth, a, a_line, a_step, b, b_step, c, ldc, start, bias, relu = args
    e = Emitter(builder, dtype)
    flag = e.splat(builder.icmp_unsigned("!=", relu, ir.Constant(relu.type, 0)), e.mask)
    end = builder.append_basic_block("tile_end")

    def number(kind, value, bound):
        return builder.icmp_signed(kind, value, ir.Constant(_i64, bound))

    def emit_if(condition, way, height, vectors):
        """A tile that runs where the condition holds; what is built after it runs where it does not."""
        here, other = builder.append_basic_block("tile"), builder.append_basic_block("another")
        builder.cbranch(condition, here, other)
        builder.position_at_end(here)
        shape = way(e, height, vectors, rows, width, a, a_line, c, ldc)
        _emit(e, shape, depth, a_step, b, b_step, start, bias, flag, meanwhile)
        builder.branch(end)
        builder.position_at_end(other)

    whole = builder.and_(number("==", rows, ROWS), number("==", width, VECTORS * e.lanes))
    emit_if(builder.and_(whole, number("==", a_line, 1)), _Straight, ROWS, VECTORS)
    one_row = builder.and_(number("==", rows, 1), number(">", width, VECTORS * e.lanes))
    emit_if(one_row, _General, 1, ROW_VECTORS)
    # from the smallest tile to the largest: the first that covers the part that exists
    for height in HEIGHTS:
        for vectors in WIDTHS:
            fits = builder.and_(number("<=", rows, height), number("<=", width, vectors * e.lanes))
            emit_if(fits, _General, height, vectors)
    builder.branch(end)
    builder.position_at_end(end)


@intrinsic
def tile(typingctx, like, rows, width, depth, a, a_line, a_step, b, b_step, c, ldc, start, bias, relu):
    """C (+)= A B for one tile of the type of `like`, a number; depth >= 1.

    rows, width         the part of the tile that exists: 1 .. ROWS, 1 .. VECTORS * lanes; of a single row up to
                        ROW_VECTORS * lanes
    a, a_line, a_step   address of A's corner; elements from row to row and from step to step
    b, b_step           address of B's corner; elements from step to step. Where vectors cannot be masked
                        (target.MASKED), VECTORS * lanes elements of each step are readable
    c, ldc              address of C's corner; elements between its rows
    start               a sum of ADD: add to C instead of overwriting it, and FROM_BIAS: start from the row at `bias`
    relu                store max(C, 0)
    """

    def codegen(context, builder, signature, args):
        emit_tile(builder, signature.args[0], args[1:])
        return context.get_dummy_value()

    integers = (types.intp,) * 12
    return types.void(like, *integers, types.boolean), codegen
