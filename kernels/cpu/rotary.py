"""Rotary positions: row after row of a step's heads, a vector of pairs at a time, angles from the first cache.

Halves as pairs are two vectors of a row each. Neighbours as pairs are one: times the cosines, each twice, plus the
vector with its neighbours exchanged times the sines, each twice and with either sign. Ends of rows are masked. Parallel
over steps of samples. Rows go by as they lie in memory: with vectors outside and heads inside, angles would stay in
registers, and large arrays took twice the time.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..jit import compiled, intrinsic, kernel, parallel_for
from ..rotary_checks import check
from .rows import Row, data_of

# numbers a chunk of work has at least
GRAIN = 32768
_i64 = ir.IntType(64)
_check = compiled(check)


class _Line(NamedTuple):
    """What turns the rows of one step: pointers to its cosines and sines, how many pairs, 1 or -1 in every lane."""

    row: Row
    cos: ir.Value
    sin: ir.Value
    pairs: ir.Value
    sign: ir.Value

    def angles(self, at, mask, lanes=None):
        """Vectors of cosines and signed sines from pair `at` on; lanes: which of them goes where."""
        e = self.row.e
        found = [e.load(self.row.at(table, at), mask) for table in (self.cos, self.sin)]
        c, s = found if lanes is None else (e.shuffle(v, v, lanes) for v in found)
        return c, e.builder.fmul(s, self.sign)


def _constant(number):
    return ir.Constant(_i64, number)


class _Halves:
    """Pairs (i, pairs + i), a vector of them a time."""

    @staticmethod
    def step(e):
        return e.lanes

    @staticmethod
    def masks(line, left):
        """What turns `left` pairs, less than a step."""
        e = line.row.e
        return (e.kept(e.lanes_below(left)),)

    @staticmethod
    def turn(line, x, y, here, mask=None):
        row, e, builder = line.row, line.row.e, line.row.builder
        c, s = line.angles(here, mask)
        far = builder.add(here, line.pairs)
        a, b = e.load(row.at(x, here), mask), e.load(row.at(x, far), mask)
        first = builder.call(e.fma, [a, c, builder.fneg(builder.fmul(b, s))])
        second = builder.call(e.fma, [b, c, builder.fmul(a, s)])
        e.store(first, row.at(y, here), mask)
        e.store(second, row.at(y, far), mask)


class _Neighbours:
    """Pairs (2 i, 2 i + 1), half as many as a vector has lanes a time."""

    @staticmethod
    def step(e):
        return e.lanes // 2

    @staticmethod
    def masks(line, left):
        e = line.row.e
        return e.kept(e.lanes_below(left)), e.kept(e.lanes_below(e.builder.mul(left, _constant(2))))

    @staticmethod
    def turn(line, x, y, here, half=None, mask=None):
        row, e, builder = line.row, line.row.e, line.row.builder
        if half is None:
            # the upper lanes may lie beyond the table
            half = ir.Constant(e.mask, [i < e.lanes // 2 for i in range(e.lanes)])
        c, s = line.angles(here, half, [i // 2 for i in range(e.lanes)])
        s = builder.fmul(s, ir.Constant(e.vector, [-1.0, 1.0] * (e.lanes // 2)))
        place = builder.mul(here, _constant(2))
        v = e.load(row.at(x, place), mask)
        exchanged = e.shuffle(v, v, [i ^ 1 for i in range(e.lanes)])
        e.store(builder.call(e.fma, [v, c, builder.fmul(exchanged, s)]), row.at(y, place), mask)


class _AsTheyAre:
    """Single numbers, copied."""

    step, masks = _Halves.step, _Halves.masks

    @staticmethod
    def turn(line, x, y, here, mask=None):
        row, e = line.row, line.row.e
        e.store(e.load(row.at(x, here), mask), row.at(y, here), mask)


def _turning(name, way):
    """An intrinsic that turns the rows of `heads` heads by one row of angles."""

    def turn(typingctx, y, to, y_pitch, x, at, x_pitch, cos, sin, angle, pairs, heads, sign):
        def codegen(context, builder, signature, args):
            row = Row(builder, signature.args[3].dtype)
            e = row.e
            out, source, *tables = data_of(context, builder, signature, args, 0, 3, 6, 7)
            _, to, y_pitch, _, at, x_pitch, _, _, angle, pairs, heads, sign = args
            # tables of another dtype are refused before, but this is compiled for them too
            number = e.scalar.as_pointer()
            tables = [builder.gep(builder.bitcast(t, number), [angle]) for t in tables]
            sign = sign if e.scalar == ir.DoubleType() else builder.fptrunc(sign, e.scalar)
            line = _Line(row, *tables, pairs, e.splat(sign, e.vector))
            step = _constant(way.step(e))
            whole = builder.mul(builder.sdiv(pairs, step), step)
            left = builder.sub(pairs, whole)
            ends, masks = builder.icmp_signed(">", left, _constant(0)), way.masks(line, left)
            with cgutils.for_range(builder, heads) as head:
                given = builder.gep(source, [builder.add(at, builder.mul(head.index, x_pitch))])
                made = builder.gep(out, [builder.add(to, builder.mul(head.index, y_pitch))])
                with cgutils.for_range_slice(builder, _constant(0), whole, step, inc=True) as (here, _):
                    way.turn(line, given, made, here)
                with builder.if_then(ends):
                    way.turn(line, given, made, whole, *masks)
            return context.get_dummy_value()

        kinds = y, types.intp, types.intp, x, types.intp, types.intp, cos, sin, *(types.intp,) * 3, types.float64
        return types.void(*kinds), codegen

    turn.__name__ = name
    return intrinsic(turn)


_turn_halves = _turning("turn_halves", _Halves)
_turn_neighbours = _turning("turn_neighbours", _Neighbours)
_copy = _turning("copy", _AsTheyAre)


@compiled
def _steps(begin, end, y, x, cos, sin, interleaved, sign):
    _, L, H, D = x.shape
    size, P = x.itemsize, cos.shape[2]
    x_pitch, y_pitch = x.strides[2] // size, y.strides[2] // size
    n, t = begin // L, begin % L
    for _ in range(begin, end):
        at = n * (x.strides[0] // size) + t * (x.strides[1] // size)
        to = n * (y.strides[0] // size) + t * (y.strides[1] // size)
        angle = (n * L + t if cos.shape[0] > 1 else t) * P
        if interleaved:
            _turn_neighbours(y, to, y_pitch, x, at, x_pitch, cos, sin, angle, P, H, sign)
        else:
            _turn_halves(y, to, y_pitch, x, at, x_pitch, cos, sin, angle, P, H, sign)
        if D > 2 * P:
            rest = D - 2 * P
            _copy(y, to + 2 * P, y_pitch, x, at + 2 * P, x_pitch, cos, sin, angle, rest, H, sign)
        t += 1
        if t == L:
            n, t = n + 1, 0


@compiled
def _turn(y, x, cos, sin, interleaved, sign):
    N, L, H, D = x.shape
    _check(y, x, cos, sin)
    if x.size:
        parallel_for(_steps, N * L, max(1, GRAIN // (H * D)), (y, x, cos, sin, interleaved, sign))


@kernel
def rotary_forward(y, x, cos, sin, interleaved):
    """One pass, masked vectors of pairs: see kernels/cpu/rotary.py."""
    _turn(y, x, cos, sin, interleaved, 1.0)


@kernel
def rotary_backward(dx, dy, cos, sin, interleaved):
    """The same pass with the sign of the sines turned."""
    _turn(dx, dy, cos, sin, interleaved, -1.0)
