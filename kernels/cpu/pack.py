"""Packing: from where an operand lies to the panels that the tile reads.

A panel has `width` lines (rows of A or columns of B) and `depth` steps, stored step by step: element (line i, step p)
at p * width + i. Lines beyond the operand's edge hold numbers that nobody uses. Whole vectors are stored whatever the
width: what spills over a step's end is overwritten by the next step, after the last it falls into the gap between
panels. An operand says how its lines lie in memory:

    Matrix    lines contiguous along the depth (A row-major; B given as its transpose, as in a linear layer), or
              steps contiguous along the lines (B row-major; A given as its transpose)

Further kinds (convolution patches) are NamedTuples with a `pack_panel` overload of their own. What tells two layouts of
a matrix apart is a number, not a type: a type would compile the whole product once more for each pair of operands.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..jit import compiled, exact, overload
from .target import VECTOR_BYTES, VECTORS

# elements: at least one vector, and a cache line of either dtype
GAP = 16

_i64, _i32 = ir.IntType(64), ir.IntType(32)


class Matrix(NamedTuple):
    """Element (line i, step p) at data[i * stride + p] by line, at data[p * stride + i] by step; see `matrix`."""

    data: np.ndarray  # flat
    stride: int
    lines: int  # how many
    layout: int


BY_STEP, BY_LINE = 0, 1
IN_PANELS = 2  # B in panels already, of `stride` steps and a tile's columns each, with no gaps: see matmul_packed.py


@compiled
def matrix(data, stride, lines, by_line):
    return Matrix(data, stride, lines, BY_LINE if by_line else BY_STEP)


class Panels(NamedTuple):
    """Where tiles read an operand: element (line i, step p) of panel q at address + (q * panel + i * line + p * step)
    elements. Address 0: it has to be packed first. panel 0: there are no panels, lines go on as they began."""

    address: int
    panel: int
    line: int
    step: int


@compiled
def address_of(array):
    # ctypes.data is unsigned, and a sum of a signed and an unsigned number is a float
    return np.intp(array.ctypes.data)


def lies(operand):
    """Panels of an operand as it lies in memory. Compiled code; operands may overload it."""
    raise NotImplementedError("lies is for compiled code")


@overload(lies)
def _lies(operand):
    if operand.instance_class is not Matrix:
        return lambda operand: Panels(0, 0, 0, 0)

    def lie(operand):
        data, stride, _, layout = operand
        width = panel_width(data)
        if layout == IN_PANELS:
            return Panels(address_of(data), width * stride, 1, width)
        if layout == BY_LINE:
            return Panels(address_of(data), 0, stride, 1)
        return Panels(address_of(data), 0, 1, stride)

    return lie


@intrinsic
def copy_vector(typingctx, source, at, target, to):
    """target[to : to + lanes] = source[at : at + lanes]."""

    def codegen(context, builder, signature, args):
        vector = _vector_type(signature.args[0].dtype)
        value = builder.load(_place(context, builder, signature.args[0], args[0], args[1], vector), align=4)
        builder.store(value, _place(context, builder, signature.args[2], args[2], args[3], vector), align=4)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), codegen


@intrinsic
def transpose_block(typingctx, source, at, stride, inside, target, to, width):
    """target[to + p * width + i] = source[at + min(i, inside) * stride + p], i, p < lanes: turned in registers."""

    def codegen(context, builder, signature, args):
        source, at, stride, inside, target, to, width = args
        vector = _vector_type(signature.args[0].dtype)
        lanes = vector.count
        rows = []
        for i in range(lanes):
            line = ir.Constant(_i64, i)
            line = builder.select(builder.icmp_signed("<", line, inside), line, inside)
            where = builder.add(at, builder.mul(stride, line))
            place = _place(context, builder, signature.args[0], source, where, vector)
            rows.append(builder.load(place, align=4))
        # log2(lanes) rounds; each exchanges halves of ever smaller blocks between pairs of rows
        span = lanes // 2
        while span:
            low = [(j // span % 2) * lanes + j - (j // span % 2) * span for j in range(lanes)]
            high = [x + span for x in low]
            turned = list(rows)
            for i in range(lanes):
                if not i & span:
                    turned[i] = _shuffle(builder, rows[i], rows[i + span], low)
                    turned[i + span] = _shuffle(builder, rows[i], rows[i + span], high)
            rows, span = turned, span // 2
        for p in range(lanes):
            where = builder.add(to, builder.mul(width, ir.Constant(_i64, p)))
            builder.store(rows[p], _place(context, builder, signature.args[4], target, where, vector), align=4)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, types.intp, target, types.intp, types.intp), codegen


def _vector_type(dtype):
    scalar, size = (ir.FloatType(), 4) if dtype == types.float32 else (ir.DoubleType(), 8)
    return ir.VectorType(scalar, VECTOR_BYTES // size)


def _place(context, builder, kind, array, at, vector):
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


def _shuffle(builder, a, b, indices):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_i32, len(indices)), indices))


@exact
def _pack_lines(panel, at, width, lanes, data, stride, count, first, step, depth):
    """By line: squares of lanes x lanes are turned in registers, the last steps one by one."""
    done = depth // lanes * lanes
    for p in range(0, done, lanes):
        # squares from the last to the first: what one spills over the step's end the next step's first overwrites
        for i in range((width - 1) // lanes * lanes, -1, -lanes):
            inside = min(lanes, count - first - i) - 1
            if inside >= 0:
                at_line = (first + i) * stride + step + p
                transpose_block(data, at_line, stride, inside, panel, at + p * width + i, width)
    for i in range(width):
        line = min(first + i, count - 1) * stride + step
        for p in range(done, depth):
            panel[at + p * width + i] = data[line + p]


@exact
def _pack_steps(panel, at, width, lanes, data, stride, count, first, step, depth):
    """By step: copied a vector at a time where the operand's row is long enough to read whole vectors."""
    vectors = (width + lanes - 1) // lanes
    if first + vectors * lanes <= count:
        for p in range(depth):
            for v in range(vectors):
                copy_vector(data, (step + p) * stride + first + v * lanes, panel, at + p * width + v * lanes)
        return
    lines = min(width, count - first)
    for p in range(depth):
        line, to = (step + p) * stride + first, at + p * width
        for i in range(lines):
            panel[to + i] = data[line + i]
        for i in range(lines, width):
            panel[to + i] = 0


def pack_panel(panel, at, width, operand, first, step, depth):
    """Write lines first .. first + width and steps step .. step + depth of an operand to panel[at:]. Compiled code."""
    raise NotImplementedError("pack_panel is for compiled code")


@exact
def _pack_panels(panel, at, width, data, steps, count, first, step, depth):
    """In panels: copied, one element after the other; rare, tiles read such panels where they lie."""
    here = panel_width(data)
    for i in range(width):
        line = min(first + i, count - 1)
        start = line // here * here * steps + line % here
        for p in range(depth):
            panel[at + p * width + i] = data[start + (step + p) * here]


@overload(pack_panel)
def _pack_panel(panel, at, width, operand, first, step, depth):
    lanes = VECTOR_BYTES // (4 if panel.dtype == types.float32 else 8)
    if operand.instance_class is not Matrix:
        return None

    def pack(panel, at, width, operand, first, step, depth):
        data, stride, count, layout = operand
        if layout == BY_LINE:
            _pack_lines(panel, at, width, lanes, data, stride, count, first, step, depth)
        elif layout == BY_STEP:
            _pack_steps(panel, at, width, lanes, data, stride, count, first, step, depth)
        else:
            _pack_panels(panel, at, width, data, stride, count, first, step, depth)

    return pack


@compiled
def panel_width(array):
    """Columns of a panel of B: those of the register tile."""
    return VECTORS * VECTOR_BYTES // array.itemsize


@compiled
def panel_size(width, depth):
    """Elements from one panel to the next: the panel, and a gap that keeps both aligned."""
    return (width * depth + GAP) // GAP * GAP + GAP
