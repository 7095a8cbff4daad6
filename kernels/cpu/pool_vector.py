"""What the inner loops of pooling share, which are written as LLVM vectors: pool_forward.py and pool_backward.py.

A row of windows goes a vector of them at a time. offsets[start], `count` of them, says where the rows are that windows
have elements in, or the windows that have elements in a row: kernels/cpu/pool.py makes the list.
"""

from llvmlite import ir
from numba.core import cgutils

from .tile import Emitter

_i32, _i64 = ir.IntType(32), ir.IntType(64)

# (stride, width) of windows that have loops of their own; 0: any. A stride of 2 goes with steps of 1
KINDS = ((2, 2), (2, 3), (1, 3), (2, 0), (1, 0), (0, 0))


def number(value):
    return ir.Constant(_i64, value)


class VectorEmitter(Emitter):
    """Vectors of one floating type, beside integers of 32 bits in as many lanes."""

    def __init__(self, context, builder, dtype):
        super().__init__(builder, dtype)
        self.context = context
        self.integers = ir.VectorType(_i32, self.lanes)
        self.numbers = ir.Constant(self.integers, list(range(self.lanes)))

    def array(self, kind, value):
        """(pointer to the elements, bytes of one)"""
        return self.context.make_array(kind)(self.context, self.builder, value).data, kind.dtype.bitwidth // 8

    def spread(self, value):
        """A vector of one number; of an integer, its lower 32 bits."""
        value = self.builder.trunc(value, _i32) if value.type == _i64 else value
        return self.splat(value, ir.VectorType(value.type, self.lanes))

    def constant(self, value):
        return ir.Constant(self.vector, [value] * self.lanes)

    def within(self, first, size, stride=None):
        """Lanes l with 0 <= first + l * stride < size; stride: 1, or a vector of it times l."""
        steps = self.numbers if stride is None else stride
        return self.builder.icmp_unsigned("<", self.builder.add(self.spread(first), steps), self.spread(size))

    def _call(self, name, result, *args):
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), args)

    def _place(self, array, at, vector):
        return self.builder.bitcast(self.builder.gep(array[0], [at]), vector.as_pointer())

    def _suffix(self, vector):
        if isinstance(vector.element, ir.IntType):
            return f"v{self.lanes}i{vector.element.width}"
        return f"v{self.lanes}f{self.itemsize * 8}"

    def fetch(self, array, at, mask, otherwise):
        place, name = self._place(array, at, otherwise.type), f"llvm.masked.load.{self._suffix(otherwise.type)}.p0"
        return self._call(name, otherwise.type, place, ir.Constant(_i32, array[1]), mask, otherwise)

    def put(self, value, array, at, mask):
        place, name = self._place(array, at, value.type), f"llvm.masked.store.{self._suffix(value.type)}.p0"
        self._call(name, ir.VoidType(), value, place, ir.Constant(_i32, array[1]), mask)

    def gather(self, array, at, steps, mask, otherwise):
        builder, wide = self.builder, ir.VectorType(_i64, self.lanes)
        start = builder.ptrtoint(builder.gep(array[0], [at]), _i64)
        spread = builder.mul(builder.sext(steps, wide), ir.Constant(wide, [array[1]] * self.lanes))
        places = builder.inttoptr(
            builder.add(self.splat(start, wide), spread), ir.VectorType(array[0].type, self.lanes)
        )
        name = f"llvm.masked.gather.{self._suffix(otherwise.type)}.v{self.lanes}p0"
        return self._call(name, otherwise.type, places, ir.Constant(_i32, array[1]), mask, otherwise)

    def variable(self, value):
        place = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, place)
        return place

    def add_to(self, place, value):
        self.builder.store(self.builder.fadd(self.builder.load(place), value), place)

    def count(self, end, step=1):
        """for i in range(0, end, step)"""
        return cgutils.for_range_slice(self.builder, number(0), end, number(step), _i64)

    def pairs(self, one, other):
        """Elements of even and of odd places of two vectors in a row."""
        whole = list(range(2 * self.lanes))
        return self.shuffle(one, other, whole[::2]), self.shuffle(one, other, whole[1::2])

    def joined(self, even, odd):
        """The reverse."""
        mixed = [lane for i in range(self.lanes) for lane in (i, self.lanes + i)]
        return self.shuffle(even, odd, mixed[: self.lanes]), self.shuffle(even, odd, mixed[self.lanes :])


def row_fields(builder, kind, value):
    return {name: builder.extract_value(value, i) for i, name in enumerate(kind.fields)}


def by_kind(builder, row, kinds, emit):
    """emit(stride, width) for the first of `kinds` that the windows are of."""
    done = builder.append_basic_block("windows_end")
    for stride, width in kinds:
        fits = ir.Constant(ir.IntType(1), 1)
        for name, value in (("stride", stride), ("width", width), ("step", 1 if stride == 2 else 0)):
            if value:
                fits = builder.and_(fits, builder.icmp_signed("==", row[name], number(value)))
        here, other = builder.append_basic_block("windows"), builder.append_basic_block("others")
        builder.cbranch(fits, here, other)
        builder.position_at_end(here)
        emit(stride, width)
        builder.branch(done)
        builder.position_at_end(other)
    builder.branch(done)
    builder.position_at_end(done)


def steps_of(e, row, stride):
    """From a window's first column to that of window l after it."""
    return e.builder.mul(e.numbers, e.spread(number(stride) if stride else row["stride"]))


def offset_of(e, offsets, start, t):
    return e.builder.load(e.builder.gep(offsets[0], [e.builder.add(start, t)]))
