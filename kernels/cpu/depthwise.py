"""Convolution of each channel by itself: no tile could be filled, and what counts is to read every number once.

A few rows of results at a time, and a vector of each, are sums in registers; every tap adds to all of them what it
sees. Three taps below one another see nearly the same rows: each is loaded once for the three. With stride 1 rows of
the source are read where they lie: lanes beyond their ends are masked, and rows beyond the source's edges are a row of
zeros, by address. With other strides a block of the source is staged first (window.py), so that what a tap sees lies
side by side. The gradient of the weight sees the same rows through the same taps.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit import compiled, scratch
from .pack import address_of
from .rows import Row, data_of
from .target import VECTOR_BYTES
from .window import block_of, fill_stage, lowest, numbers, stage_of

AT_ONCE = 8  # rows of results
THREE = 3  # taps below one another, which see the same rows: most kernels are as high
RUN = 4  # integers of a run of taps: its first row, its column, its first tap, from one tap to the next

_i64 = ir.IntType(64)


class _Block(Row):
    """What both loops below are made of: AT_ONCE rows of results, a vector of each, and what a run of taps sees."""

    def __init__(self, builder, dtype, rows, runs, view, first_row):
        super().__init__(builder, dtype)
        self.rows, self.runs, self.first_row = rows, runs, first_row
        self.rise, self.left, self.width, self.columns, *self.counts = view

    def number(self, array, at, more=0):
        return self.builder.load(self.builder.gep(array, [self.builder.add(at, ir.Constant(_i64, more))]))

    def place(self, address, element):
        return self.e.at(self.builder.add(address, self.e.bytes(element)))

    def each_run(self, here, inside, body):
        """body(taps, what they see) for runs of THREE taps, then of one: their numbers; for each row that they see the
        vector from column `here` on, and pairs (row of results, which of the taps)."""
        builder, (threes, ones) = self.builder, self.counts
        for length, start, count in ((THREE, ir.Constant(_i64, 0), threes), (1, threes, ones)):
            with cgutils.for_range(builder, count) as run:
                entry = builder.mul(builder.add(start, run.index), ir.Constant(_i64, RUN))
                row, column, tap, step = (self.number(self.runs, entry, i) for i in range(RUN))
                taps = [builder.add(tap, builder.mul(step, ir.Constant(_i64, i))) for i in range(length)]
                column = builder.add(builder.add(here, self.left), column)
                mask = self.e.kept(builder.and_(self.within(column, self.width), inside))
                row = builder.add(row, builder.mul(self.first_row, self.rise))
                body(taps, self._seen(row, column, mask, length))

    def _seen(self, row, column, mask, length):
        # the rows that a run of three sees follow one another, and so do those of its results: the rise is 1
        for i in range(AT_ONCE + length - 1):
            users = [(i - tap, tap) for tap in range(length) if 0 <= i - tap < AT_ONCE]
            yield self.e.load(self.place(self.number(self.rows, row), column), mask), users
            row = self.builder.add(row, self.rise)


@intrinsic
def _sum_rows(typingctx, rows, runs, view, first_row, weights, bias, out):
    """AT_ONCE rows of results, from first_row on: to the addresses out[first_row : ...]."""

    def codegen(context, builder, signature, args):
        rows, runs, weights, out = data_of(context, builder, signature, args, 0, 1, 4, 6)
        view, first_row, bias = cgutils.unpack_tuple(builder, args[2]), args[3], args[5]
        block = _Block(builder, signature.args[5], rows, runs, view, first_row)
        e = block.e
        sums, start = [cgutils.alloca_once(builder, e.vector) for _ in range(AT_ONCE)], e.splat(bias, e.vector)

        def add(taps, seen):
            factors = [e.broadcast(builder.gep(weights, [tap])) for tap in taps]
            for vector, users in seen:
                for row, tap in users:
                    builder.store(builder.call(e.fma, [factors[tap], vector, builder.load(sums[row])]), sums[row])

        with block.vectors(block.columns) as (here, _):
            inside = e.lanes_below(builder.sub(block.columns, here))
            for total in sums:
                builder.store(start, total)
            block.each_run(here, inside, add)
            for i, total in enumerate(sums):
                e.store(builder.load(total), block.place(block.number(out, first_row, i), here), inside)
        return context.get_dummy_value()

    return types.void(rows, runs, view, types.intp, weights, weights.dtype, out), codegen


@intrinsic
def _dot_rows(typingctx, rows, runs, view, first_row, totals, given):
    """totals[t * lanes : ...] += the products of AT_ONCE rows at the addresses given[first_row : ...] with what tap t
    sees, to be added up."""

    def codegen(context, builder, signature, args):
        rows, runs, totals, given = data_of(context, builder, signature, args, 0, 1, 4, 5)
        view, first_row = cgutils.unpack_tuple(builder, args[2]), args[3]
        block = _Block(builder, signature.args[4].dtype, rows, runs, view, first_row)
        e = block.e

        def add(taps, seen):
            places = [block.at(totals, builder.mul(tap, ir.Constant(_i64, e.lanes))) for tap in taps]
            sums = [e.load(place) for place in places]
            for vector, users in seen:
                for row, tap in users:
                    sums[tap] = builder.call(e.fma, [grads[row], vector, sums[tap]])
            for place, total in zip(places, sums, strict=True):
                e.store(total, place)

        with block.vectors(block.columns) as (here, _):
            inside = e.lanes_below(builder.sub(block.columns, here))
            grads = [e.load(block.place(block.number(given, first_row, i), here), inside) for i in range(AT_ONCE)]
            block.each_run(here, inside, add)
        return context.get_dummy_value()

    return types.void(rows, runs, view, types.intp, totals, given), codegen


@compiled
def room_of(windows, cut, like):
    """What one thread needs for blocks of a channel: how they are staged, runs of taps and how many of THREE and of
    one, the rest of the integers, elements of which the first are a row of zeros."""
    z, y, x = windows
    taps = z.taps * y.taps * x.taps
    stage = stage_of(z, y, x, cut.rows, cut.columns)
    rows = z.taps * stage.rows + AT_ONCE * y.stride
    integers = numbers(2, RUN * taps + rows + cut.rows + AT_ONCE)
    runs = integers[: RUN * taps]
    width = stage.pitch if x.stride > 1 else x.size
    elements = scratch(6, width + cut.columns + (stage.plane if x.stride > 1 else 0), like)
    for i in range(width):
        elements[i] = 0
    return stage, runs, fill_runs(runs, stage, windows), integers[RUN * taps :], elements


@compiled
def fill_runs(runs, stage, windows):
    z, y, x = windows
    low_y, low_x = min(0, (y.taps - 1) * y.step), min(0, (x.taps - 1) * x.step)
    threes = y.taps // THREE if y.stride == 1 and abs(y.step) == 1 else 0
    count = 0
    for length in (THREE, 1):
        first, last = (0, threes * THREE) if length == THREE else (threes * THREE, y.taps)
        for tz in range(z.taps):
            for ty in range(first, last, length):
                # the run's tap whose row is the first
                top = ty + length - 1 if y.step < 0 else ty
                for tx in range(x.taps):
                    column = tx * x.step
                    if x.stride > 1:
                        column = (column - low_x) % x.stride * stage.part + (column - low_x) // x.stride
                    runs[count * RUN] = tz * stage.rows + top * y.step - low_y
                    runs[count * RUN + 1] = column
                    runs[count * RUN + 2] = (tz * y.taps + top) * x.taps + tx
                    runs[count * RUN + 3] = -x.taps if y.step < 0 else x.taps
                    count += 1
    threes *= z.taps * x.taps
    return threes, count - threes


@compiled
def look_at(rows, stage, elements, source, begin, windows, block):
    """Addresses of the rows that a block sees of a channel that begins at source[begin]; (columns to add, width)."""
    z, y, x = windows
    item, zeros = source.itemsize, address_of(elements)
    top, count = block.y * y.stride + lowest(y), (block.rows - 1) * y.stride + (y.taps - 1) * abs(y.step) + 1
    if x.stride > 1:
        at = elements.size - stage.plane
        staged = elements[at:]
        fill_stage(staged, stage, source, begin, 1, z, y, x, block)
        for i in range(z.taps * stage.rows):
            rows[i] = zeros + (at + i * stage.pitch) * item
        for i in range(z.taps * stage.rows, rows.size):
            rows[i] = zeros
        return 0, stage.pitch
    for i in range(rows.size):
        rows[i] = zeros
    for tz in range(z.taps):
        place = block.z * z.stride + z.first + tz * z.step
        if place >= 0 and place < z.size:
            base = address_of(source) + (begin + (place * y.size + top) * x.size) * item
            for i in range(max(0, -top), min(count, y.size - top)):
                rows[tz * stage.rows + i] = base + i * x.size * item
    return block.x * x.stride + x.first, x.size


@compiled
def channel_block(y, at, ldc, source, begin, w, windows, room, block, bias):
    """The results of a block: rows `ldc` elements apart from y[at] on. w: a weight for each tap; bias: a number."""
    stage, runs, counts, integers, elements = room
    rows, out = integers[: integers.size - block.rows - AT_ONCE], integers[integers.size - block.rows - AT_ONCE :]
    left, width = look_at(rows, stage, elements, source, begin, windows, block)
    for i in range(block.rows):
        out[i] = address_of(y) + (at + i * ldc) * y.itemsize
    # rows beyond the last go nowhere
    for i in range(block.rows, out.size):
        out[i] = address_of(elements) + width * y.itemsize
    view = (windows[1].stride, left, width, block.columns, counts[0], counts[1])
    for row in range(0, block.rows, AT_ONCE):
        _sum_rows(rows, runs, view, row, w, bias, out)


@compiled
def channel_gradients(begin, end, dw, dz, x, windows, size, cut, images, accumulate):
    """Channels begin .. end: dw (+)= the sums over all images, one block after the other."""
    from_z, from_y, from_x = windows
    planes, height, width = size
    places, taps = planes * height * width, from_z.taps * from_y.taps * from_x.taps
    source_size = from_z.size * from_y.size * from_x.size
    channels, lanes = dw.size // taps, VECTOR_BYTES // dw.itemsize
    stage, runs, counts, integers, elements = room_of(windows, cut, dw)
    parts = scratch(1, taps * lanes, dw)
    for channel in range(begin, end):
        totals = dw[channel * taps : (channel + 1) * taps]
        if not accumulate:
            for t in range(taps):
                totals[t] = 0
        for image in range(images):
            number = image * channels + channel
            for place in range(planes * cut.blocks):
                block = block_of(cut, place % cut.blocks, place // cut.blocks, height, width)
                rows = integers[: integers.size - block.rows - AT_ONCE]
                given = integers[integers.size - block.rows - AT_ONCE :]
                left, seen = look_at(rows, stage, elements, x, number * source_size, windows, block)
                start = number * places + (block.z * height + block.y) * width + block.x
                for i in range(block.rows):
                    given[i] = address_of(dz) + (start + i * width) * dw.itemsize
                for i in range(block.rows, given.size):
                    given[i] = address_of(elements)
                for i in range(taps * lanes):
                    parts[i] = 0
                view = (from_y.stride, left, seen, block.columns, counts[0], counts[1])
                for row in range(0, block.rows, AT_ONCE):
                    _dot_rows(rows, runs, view, row, parts, given)
                for t in range(taps):
                    total = dw.dtype.type(0)
                    part = parts[t * lanes : (t + 1) * lanes]
                    for i in range(part.size):
                        total += part[i]
                    totals[t] += total
