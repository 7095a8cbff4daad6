"""Rotary positions: a step's heads are turned together, a vector of pairs at a time, its angles in registers.

Halves as pairs are two vectors of a row each. Neighbours as pairs are one: times the cosines, each twice, plus the
vector with its neighbours exchanged times the sines, each twice and with either sign. Ends of rows are masked. Parallel
over steps of samples.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..jit import compiled, intrinsic, kernel, parallel_for
from .rows import Row, data_of

# numbers a chunk of work has at least
GRAIN = 32768
_i64 = ir.IntType(64)


def _angles(row, table, at, mask, twice):
    """A vector of the table; twice: its lower half, each number two times."""
    v = row.e.load(row.at(table, at), mask)
    return row.e.shuffle(v, v, [i // 2 for i in range(row.e.lanes)]) if twice else v


def _halves(row, here, heads, pairs, table, sign):
    e, builder = row.e, row.builder
    mask = e.kept(e.lanes_below(builder.sub(pairs, here)))
    c, s = (_angles(row, t, here, mask, False) for t in table)
    s = builder.fmul(s, e.splat(sign, e.vector))
    for x, y in heads():
        far = builder.add(here, pairs)
        a, b = e.load(row.at(x, here), mask), e.load(row.at(x, far), mask)
        first = builder.call(e.fma, [a, c, builder.fneg(builder.fmul(b, s))])
        second = builder.call(e.fma, [b, c, builder.fmul(a, s)])
        e.store(first, row.at(y, here), mask)
        e.store(second, row.at(y, far), mask)


def _neighbours(row, here, heads, pairs, table, sign):
    e, builder = row.e, row.builder
    half = ir.Constant(_i64, e.lanes // 2)
    left = builder.sub(pairs, here)
    enough = builder.icmp_signed("<", left, half)
    angles = e.kept(e.lanes_below(builder.select(enough, left, half)))
    mask = e.kept(e.lanes_below(builder.mul(left, ir.Constant(_i64, 2))))
    c, s = (_angles(row, t, here, angles, True) for t in table)
    signs = ir.Constant(e.vector, [-1.0, 1.0] * (e.lanes // 2))
    s = builder.fmul(builder.fmul(s, signs), e.splat(sign, e.vector))
    exchanged = [i ^ 1 for i in range(e.lanes)]
    place = builder.mul(here, ir.Constant(_i64, 2))
    for x, y in heads():
        v = e.load(row.at(x, place), mask)
        turned = builder.call(e.fma, [v, c, builder.fmul(e.shuffle(v, v, exchanged), s)])
        e.store(turned, row.at(y, place), mask)


def _as_they_are(row, here, heads, count, table, sign):
    mask = row.e.kept(row.e.lanes_below(row.builder.sub(count, here)))
    for x, y in heads():
        row.e.store(row.e.load(row.at(x, here), mask), row.at(y, here), mask)


def _turning(name, step_of, vector):
    """An intrinsic that turns the rows of `heads` heads by one row of angles, `vector` a vector of them."""

    def turn(typingctx, y, to, y_pitch, x, at, x_pitch, cos, sin, angle, pairs, heads, sign):
        def codegen(context, builder, signature, args):
            row = Row(builder, signature.args[3].dtype)
            out, source, *table = data_of(context, builder, signature, args, 0, 3, 6, 7)
            _, to, y_pitch, _, at, x_pitch, _, _, angle, pairs, heads, sign = args
            # tables of another dtype are refused before, but this is compiled for them too
            number = row.e.scalar.as_pointer()
            table = [builder.gep(builder.bitcast(t, number), [angle]) for t in table]
            if row.e.scalar != ir.DoubleType():
                sign = builder.fptrunc(sign, row.e.scalar)

            def each():
                with cgutils.for_range(builder, heads) as line:
                    place = builder.add(at, builder.mul(line.index, x_pitch))
                    target = builder.add(to, builder.mul(line.index, y_pitch))
                    yield builder.gep(source, [place]), builder.gep(out, [target])

            step = ir.Constant(_i64, step_of(row.e.lanes))
            with cgutils.for_range_slice(builder, ir.Constant(_i64, 0), pairs, step, inc=True) as (here, _):
                vector(row, here, each, pairs, table, sign)
            return context.get_dummy_value()

        kinds = y, types.intp, types.intp, x, types.intp, types.intp, cos, sin, *(types.intp,) * 3, types.float64
        return types.void(*kinds), codegen

    turn.__name__ = name
    return intrinsic(turn)


_turn_halves = _turning("turn_halves", lambda lanes: lanes, _halves)
_turn_neighbours = _turning("turn_neighbours", lambda lanes: lanes // 2, _neighbours)
_copy = _turning("copy", lambda lanes: lanes, _as_they_are)


@compiled
def _steps(begin, end, y, x, cos, sin, interleaved, sign):
    _, L, H, D = x.shape
    size, P = x.itemsize, cos.shape[2]
    x_pitch, y_pitch = x.strides[2] // size, y.strides[2] // size
    for step in range(begin, end):
        n, t = step // L, step % L
        at = n * (x.strides[0] // size) + t * (x.strides[1] // size)
        to = n * (y.strides[0] // size) + t * (y.strides[1] // size)
        angle = (step if cos.shape[0] > 1 else t) * P
        if interleaved:
            _turn_neighbours(y, to, y_pitch, x, at, x_pitch, cos, sin, angle, P, H, sign)
        else:
            _turn_halves(y, to, y_pitch, x, at, x_pitch, cos, sin, angle, P, H, sign)
        if D > 2 * P:
            rest = D - 2 * P
            _copy(y, to + 2 * P, y_pitch, x, at + 2 * P, x_pitch, cos, sin, angle, rest, H, sign)


@compiled
def _together(rows):
    return rows.size == 0 or rows.shape[3] <= 1 or rows.strides[3] == rows.itemsize


@compiled
def _turn(y, x, cos, sin, interleaved, sign):
    N, L, H, D = x.shape
    if not (_together(y) and _together(x)):
        raise ValueError("rotary: expected rows of x and y whose numbers lie side by side")
    if cos.shape[0] != 1 and cos.shape[0] != N:
        raise ValueError("rotary: expected cos and sin of one sample, or of as many as x has")
    if 2 * cos.shape[2] > D:
        raise ValueError("rotary: expected cos and sin of at most half as many pairs as a row of x has numbers")
    if cos.itemsize != x.itemsize or sin.itemsize != x.itemsize:
        raise ValueError("rotary: expected cos and sin of the dtype of x, float32 for 16-bit numbers")
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
