"""Tiles of scores between registers and memory, and as operands of the products of attention_cores.py.

As ptx_attention.py: emitted number by number, and in simulated_attention.py for the simulator.
"""

import functools

from .ptx import SIMULATOR

if SIMULATOR:
    from .simulated_attention import column_values, fetched, laid_down, packed, step_products, stored
else:
    from .ptx import _narrowed, _wide_type, _widen, ir, types
    from .ptx_attention import _WORD, _each, _function, _is_single, _long
    from .ptx_recurrent import _load

    def _offsets(builder, places, steps, firsts, limits=None):
        """How far each row and each column lies from an array's beginning; those beyond a limit as the last one."""
        out = []
        for step, first, offsets, axis in zip(steps, firsts, (places.rows, places.columns), (0, 1), strict=True):
            own = []
            for offset in offsets:
                n = builder.add(first, _long(offset))
                if limits:
                    last = builder.sub(limits[axis], _long(1))
                    n = builder.select(builder.icmp_signed("<", n, last), n, last)
                own.append(builder.mul(n, step))
            out.append(own)
        return out

    @functools.cache
    def fetched(places):
        """f(array, begin, step_row, step_column, row, column, rows, columns): a tile of a matrix by strides.

        What lies beyond the last row or column is some other number of the matrix.
        """

        def build(context, builder, array, begin, step_row, step_column, row, column, rows, columns):
            down, across = _offsets(builder, places, (step_row, step_column), (row, column), (rows, columns))
            down = [builder.add(begin, n) for n in down]
            found = [builder.load(array.at(builder.add(down[r], across[c]))) for r, c in places.at]
            return [_widen(context, builder, value, array.kind.dtype) for value in found]

        return _function(
            build,
            "array, begin, step_row, step_column, row, column, rows, columns",
            lambda array, *_: (_wide_type(array.dtype), len(places.at)),
        )

    @functools.cache
    def stored(places, count):
        """f(array, begin, step, row, column, rows, columns, tile): store those that are there.

        Columns lie side by side; `count` neighbours of the tile go at once, which are there together, or none.
        """

        def build(context, builder, array, begin, step, row, column, rows, columns, tile):
            down, across = _offsets(builder, places, (step, _long(1)), (row, column))
            kind = array.kind.dtype
            for i in range(0, len(tile), count):
                r, c = places.at[i]
                inside = builder.and_(
                    builder.icmp_signed("<", builder.add(row, _long(places.rows[r])), rows),
                    builder.icmp_signed("<", builder.add(column, _long(places.columns[c])), columns),
                )
                source = types.float32 if _is_single(tile[i]) else types.float64
                with builder.if_then(inside):
                    narrow = [_narrowed(context, builder, value, source, kind) for value in tile[i : i + count]]
                    to = array.at(builder.add(builder.add(begin, down[r]), across[c]))
                    if count == 1:
                        builder.store(narrow[0], to)
                        continue
                    vector = ir.Constant(ir.VectorType(narrow[0].type, count), ir.Undefined)
                    for lane, value in enumerate(narrow):
                        vector = builder.insert_element(vector, value, ir.Constant(_WORD, lane))
                    builder.store(vector, builder.bitcast(to, vector.type.as_pointer())).align = min(
                        count * kind.bitwidth // 8, 16
                    )
            return []

        return _function(build, "array, begin, step, row, column, rows, columns, tile", None)

    @functools.cache
    def column_values(places):
        """f(shared, at): of each of a thread's columns the number at `at` + its distance."""

        def build(context, builder, shared, at):
            return [builder.load(shared.at(builder.add(at, _long(n)))) for n in places.columns]

        return _function(build, "shared, at", lambda shared, at: (shared.dtype, len(places.columns)))

    @functools.cache
    def laid_down(places, pitch):
        """f(shared, at, tile): a tile into rows of `pitch` numbers."""

        def build(context, builder, shared, at, tile):
            for value, (r, c) in zip(tile, places.at, strict=True):
                builder.store(value, shared.at(builder.add(at, _long(places.rows[r] * pitch + places.columns[c]))))
            return []

        return _function(build, "shared, at, tile", None)

    _PACK = {"bf16": "cvt.rn.bf16x2.f32 $0, $2, $1;", "f16": "cvt.rn.f16x2.f32 $0, $2, $1;"}

    @functools.cache
    def packed(kind, down, across, step):
        """f(tile): sums of tensor_product(.., down, across) as the rows of the next product, at one step of its depth.

        A step is 16 columns; of TF32 it is 8, and its numbers t and t + 4 are columns 2t and 2t + 1.
        """

        def build(context, builder, x):
            out = []
            for m in range(down):
                if kind in _PACK:
                    function = ir.FunctionType(_WORD, [ir.FloatType()] * 2)
                    assembly = ir.InlineAsm(function, _PACK[kind], "=r,f,f")
                    first = 4 * (m * 2 * across + 2 * step)
                    pairs = [(first + i, first + i + 1) for i in (0, 2, 4, 6)]
                    out += [builder.call(assembly, [x[i], x[j]]) for i, j in pairs]
                else:
                    first = 4 * (m * 2 * across + step)
                    out += [builder.bitcast(x[first + i], _WORD) for i in (0, 2, 1, 3)]
            return out

        return _function(build, "x", lambda x: (types.uint32, 4 * down))

    @functools.cache
    def step_products(left, right):
        """f(sums, shared, at_left, at_right): sums[r, c] + sum over 4 k of left[r, k] * right[k, c].

        left   (count, apart): `count` rows, `apart` elements from one to the next, whose k lie side by side
        right  (count, apart): columns of the same kind; or (count, apart, width): groups of four columns side by side,
               `apart` from one to the next and `width` elements from one k to the next
        """

        def lines(context, builder, shared, at, side):
            """[line][k]"""
            count, apart = side[:2]
            loads = [
                _load(context, builder, shared.kind, shared.value, builder.add(at, _long(n)))
                for n in (
                    [apart * i for i in range(count)]
                    if len(side) == 2
                    else [side[2] * k + apart * i for i in range(count // 4) for k in range(4)]
                )
            ]
            if len(side) == 2:
                return loads
            return [[loads[4 * (c // 4) + k][c % 4] for k in range(4)] for c in range(count)]

        def build(context, builder, total, shared, at_left, at_right):
            rows, columns = lines(context, builder, shared, at_left, left), None
            columns = lines(context, builder, shared, at_right, right)
            for k in range(4):
                pairs = [(row[k], column[k]) for row in rows for column in columns]
                total = [builder.fma(row, column, old) for (row, column), old in zip(pairs, total, strict=True)]
            return total

        return _each(build, "total, shared, at_left, at_right")
