"""What attention does to tiles of scores in registers: number by number, emitted rather than written out as source.
Where they come from and go is in ptx_attention_moves.py.

A tile is a tuple of numbers, whose rows and columns score_tile.Places tells. In the simulator the names come from
simulated_attention.py, with the same arguments and results.
"""

import functools

from .ptx import SIMULATOR

if SIMULATOR:
    from .simulated_attention import (
        added,
        dropped,
        exponential,
        exponentials,
        gradients,
        kept_only,
        maxima,
        scaled,
        seen,
        shuffles,
        sums,
        times,
    )
else:
    from .ptx import _tuple, intrinsic, ir, shuffle_xor, types

    @functools.cache
    def shuffles(lanes):
        """f(value, lane), for warps of `lanes` threads, which only the simulator has."""
        return shuffle_xor

    _WORD, _LONG = ir.IntType(32), ir.IntType(64)

    def _long(n):
        return ir.Constant(_LONG, n)

    class _Array:
        """An argument that is an array: its first element, and how to make its others."""

        def __init__(self, context, builder, kind, value):
            self.builder, self.kind, self.value = builder, kind, value
            self.data = context.make_array(kind)(context, builder, value).data

        def at(self, index):
            return self.builder.gep(self.data, [index])

    def _function(build, parameters, result):
        """A device function of `parameters`; build(context, builder, *arguments) gives the values of its result.

        Tuples come to `build` as lists, whole numbers as 64 bits, arrays as _Array.
        result  (types of the arguments) -> type of an element and how many; None: nothing comes of it
        """

        def typed(*kinds):
            made = result(*kinds) if result else None
            given = types.UniTuple(*made) if made else types.void
            kinds = tuple(types.int64 if isinstance(kind, types.Integer) else kind for kind in kinds)

            def codegen(context, builder, signature, values):
                arguments = []
                for kind, value in zip(signature.args, values, strict=True):
                    if isinstance(kind, types.Array):
                        value = _Array(context, builder, kind, value)
                    elif isinstance(kind, types.BaseTuple):
                        value = [builder.extract_value(value, i) for i in range(len(kind))]
                    arguments.append(value)
                out = build(context, builder, *arguments)
                return _tuple(context, builder, signature.return_type, out) if made else context.get_dummy_value()

            return given(*kinds), codegen

        scope = {"typed": typed}
        exec(f"def emitted(typingctx, {parameters}):\n    return typed({parameters})\n", scope)
        return intrinsic(scope["emitted"])

    def _like_first(kind, *_):
        return kind.dtype, len(kind)

    def _each(build, parameters):
        """A function of a tile, and of more, that gives as large a tile."""
        return _function(build, parameters, _like_first)

    def _call(builder, name, *values):
        """A function of NVVM or libdevice, of the type of its arguments."""
        real = values[0].type
        module = builder.module
        there = module.globals.get(name)
        return builder.call(there or ir.Function(module, ir.FunctionType(real, [real] * len(values)), name), values)

    def _is_single(value):
        return value.type == ir.FloatType()

    def _maximum(builder, a, b):
        return _call(builder, "llvm.nvvm.fmax.f" if _is_single(a) else "llvm.nvvm.fmax.d", a, b)

    def _power(builder, x):
        return _call(builder, "llvm.nvvm.ex2.approx.ftz.f" if _is_single(x) else "__nv_exp2", x)

    def _lowest(value):
        return ir.Constant(value.type, float("-inf"))

    @intrinsic
    def exponential(typingctx, x):
        """2 ** x"""
        return x(x), lambda context, builder, signature, args: _power(builder, args[0])

    @functools.cache
    def maxima(places):
        """f(tile, tops): the largest of each row and of `tops`."""

        def build(context, builder, x, tops):
            for value, row in zip(x, places.along(0), strict=True):
                tops[row] = _maximum(builder, tops[row], value)
            return tops

        return _function(build, "x, tops", lambda x, tops: (tops.dtype, len(tops)))

    @functools.cache
    def sums(places):
        """f(tile, totals): totals and the sum of each row."""

        def build(context, builder, x, totals):
            for value, row in zip(x, places.along(0), strict=True):
                totals[row] = builder.fadd(totals[row], value)
            return totals

        return _function(build, "x, totals", lambda x, totals: (totals.dtype, len(totals)))

    @functools.cache
    def exponentials(places, axis):
        """f(tile, factor, bases): 2 ** (x * factor - the base of its row (axis 0) or column (1))."""

        def build(context, builder, x, factor, bases):
            down = [builder.fsub(ir.Constant(base.type, -0.0), base) for base in bases]
            pairs = zip(x, places.along(axis), strict=True)
            return [_power(builder, builder.fma(value, factor, down[slot])) for value, slot in pairs]

        return _each(build, "x, factor, bases")

    @functools.cache
    def times(places):
        """f(tile, factors): each row times its factor."""

        def build(context, builder, x, factors):
            return [builder.fmul(value, factors[row]) for value, row in zip(x, places.along(0), strict=True)]

        return _each(build, "x, factors")

    @functools.cache
    def gradients(places, axis):
        """f(weights, slopes, deltas): weight * (slope - the delta of its row or column)."""

        def build(context, builder, x, slopes, deltas):
            rows = zip(x, slopes, places.along(axis), strict=True)
            return [builder.fmul(value, builder.fsub(slope, deltas[slot])) for value, slope, slot in rows]

        return _each(build, "x, slopes, deltas")

    # scaled(tile, factor)
    scaled = _each(lambda context, builder, x, factor: [builder.fmul(value, factor) for value in x], "x, factor")
    # added(tile, other, factor): tile + other * factor
    added = _each(
        lambda context, builder, x, other, factor: [
            builder.fma(more, factor, value) for value, more in zip(x, other, strict=True)
        ],
        "x, other, factor",
    )
    # kept_only(tile, flags): -inf where the flag is not set
    kept_only = _each(
        lambda context, builder, x, flags: [
            builder.select(flag, value, _lowest(value)) for value, flag in zip(x, flags, strict=True)
        ],
        "x, flags",
    )

    @functools.cache
    def seen(places, turned):
        """f(tile, row, column, queries, keys, causal): -inf for keys that a query does not see, or that are not there.

        row, column  of the thread's first number; a row is a query, a column a key. turned: the other way round, and
                     -inf for queries that are not there
        """

        def build(context, builder, x, row, column, queries, keys, causal):
            row, column, queries, keys = (builder.trunc(n, _WORD) for n in (row, column, queries, keys))
            rows = [builder.add(row, ir.Constant(_WORD, n)) for n in places.rows]
            columns = [builder.add(column, ir.Constant(_WORD, n)) for n in places.columns]
            limit = queries if turned else keys
            there = [builder.icmp_signed("<", n, limit) for n in columns]
            out, free = [], builder.not_(causal)
            for value, (r, c) in zip(x, places.at, strict=True):
                behind = builder.icmp_signed("<=", *((rows[r], columns[c]) if turned else (columns[c], rows[r])))
                ok = builder.and_(there[c], builder.or_(free, behind))
                out.append(builder.select(ok, value, _lowest(value)))
            return out

        return _each(build, "x, row, column, queries, keys, causal")

    @functools.cache
    def dropped(count):
        """f(tile, bits, factor): number i times the factor where bit i is set, 0 where it is not."""

        def build(context, builder, x, bits, factor):
            # two words of 32 bits, whose tests are shorter
            words = [builder.trunc(builder.lshr(bits, _long(n)), _WORD) for n in (0, 32)]
            out = []
            for i, value in enumerate(x):
                bit = builder.and_(words[i // 32], ir.Constant(_WORD, 1 << i % 32))
                keep = builder.icmp_unsigned("!=", bit, ir.Constant(_WORD, 0))
                out.append(builder.select(keep, builder.fmul(value, factor), ir.Constant(value.type, 0.0)))
            return out

        return _each(build, "x, bits, factor")
