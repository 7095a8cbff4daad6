"""Products whose operands stay in registers, unrolled: what the steps of recurrent layers are made of.

They could be written as Python, a line for each multiplication; emitted here, they compile ten times sooner.
"""

import functools

from .ptx import SIMULATOR, VECTOR

if SIMULATOR:
    import numpy as np

    from .ptx import load4

    @functools.cache
    def holding(count):
        def hold(w, at, step):
            return tuple(x for j in range(count) for x in load4(w, at + j * step))

        return hold

    @functools.cache
    def held_products(sums, groups, held, samples, group):
        def multiply(own, vectors, at, rest, rest_at, rest_step):
            out = np.zeros((samples, sums), vectors.dtype)
            for i in range(groups):
                for g in range(sums):
                    first = (i * sums + g) * VECTOR
                    left = (i - held) * sums + g
                    w = own[first : first + VECTOR] if i < held else load4(rest, rest_at + left * rest_step)
                    for s in range(samples):
                        out[s, g] += np.dot(w, load4(vectors, at + s * groups * group + i * group))
            return tuple(out.ravel())

        return multiply

    @functools.cache
    def tile_products(down, across, apart_down, apart_across):
        def multiply(sums, shared, at, to):
            rows = np.array([load4(shared, at + r * apart_down) for r in range(down)])
            columns = np.array([load4(shared, to + c * apart_across) for c in range(across)])
            return tuple(np.array(sums) + (rows @ columns.T).ravel())

        return multiply
else:
    from .ptx import _tuple, _vector, intrinsic, ir, types

    def _number(n):
        return ir.Constant(ir.IntType(64), n)

    def _load(context, builder, array, kind, index):
        """load4, as a list."""
        parts, lanes, size = _vector(context, builder, array, kind, index)
        values = []
        for part in parts:
            vector = builder.load(part)
            vector.align = size
            values += [builder.extract_element(vector, ir.Constant(ir.IntType(32), lane)) for lane in range(lanes)]
        return values

    def _unpacked(builder, value, count):
        return [builder.extract_value(value, i) for i in range(count)]

    @functools.cache
    def holding(count):
        """hold(w, at, step): `count` times four elements of w, from `at` on, each `step` elements from the last."""

        @intrinsic
        def hold(typingctx, w, at, step):
            def codegen(context, builder, signature, args):
                array, at, step = args
                values = []
                for j in range(count):
                    place = builder.add(at, builder.mul(step, _number(j)))
                    values += _load(context, builder, signature.args[0], array, place)
                return _tuple(context, builder, signature.return_type, values)

            return types.UniTuple(w.dtype, count * VECTOR)(w, types.int64, types.int64), codegen

        return hold

    @functools.cache
    def held_products(sums, groups, held, samples, group):
        """multiply(own, vectors, at, rest, rest_at, rest_step): this thread's part of the sums, sample by sample.

        own     what `hold` gave: the weights of its first `held` groups
        vectors what they are multiplied by, in shared memory: of sample s from at + s * groups * group on
        rest    the weights of the other groups, in shared memory: four from rest_at, the next rest_step further
        """
        # a single sum is made of four, so that an addition need not wait for the one before it
        parts = VECTOR if sums * samples == 1 else 1

        @intrinsic
        def multiply(typingctx, own, vectors, at, rest, rest_at, rest_step):
            def codegen(context, builder, signature, args):
                own, vectors, at, rest, rest_at, rest_step = args
                real = context.get_value_type(signature.args[1].dtype)
                total = {}
                weights = _unpacked(builder, own, len(signature.args[0]))
                for i in range(groups):
                    given = []
                    for s in range(samples):
                        place = builder.add(at, _number((s * groups + i) * group))
                        given.append(_load(context, builder, signature.args[1], vectors, place))
                    for g in range(sums):
                        if i < held:
                            w = weights[(i * sums + g) * VECTOR :]
                        else:
                            place = builder.mul(rest_step, _number((i - held) * sums + g))
                            w = _load(context, builder, signature.args[3], rest, builder.add(rest_at, place))
                        for c in range(VECTOR):
                            for s in range(samples):
                                key = s, g, c % parts
                                old = total.get(key, ir.Constant(real, 0.0))
                                total[key] = builder.fma(w[c], given[s][c], old)
                results = []
                for s in range(samples):
                    for g in range(sums):
                        value = total[s, g, 0]
                        for p in range(1, parts):
                            value = builder.fadd(value, total[s, g, p])
                        results.append(value)
                return _tuple(context, builder, signature.return_type, results)

            whole = types.int64
            result = types.UniTuple(vectors.dtype, sums * samples)
            return result(own, vectors, whole, rest, whole, whole), codegen

        return multiply

    @functools.cache
    def tile_products(down, across, apart_down, apart_across):
        """multiply(sums, shared, at, to): a thread's tile, and the products of four of its depth.

        Its rows are at `at`, apart_down elements from one to the next; its columns at `to`, apart_across elements.
        """

        @intrinsic
        def multiply(typingctx, sums, shared, at, to):
            def codegen(context, builder, signature, args):
                old, shared, at, to = args
                kind = signature.args[1]
                total = _unpacked(builder, old, down * across)
                rows = [
                    _load(context, builder, kind, shared, builder.add(at, _number(r * apart_down))) for r in range(down)
                ]
                columns = [
                    _load(context, builder, kind, shared, builder.add(to, _number(c * apart_across)))
                    for c in range(across)
                ]
                for k in range(VECTOR):
                    pairs = [(row[k], column[k]) for row in rows for column in columns]
                    total = [builder.fma(row, column, t) for (row, column), t in zip(pairs, total, strict=True)]
                return _tuple(context, builder, signature.return_type, total)

            return sums(sums, shared, types.int64, types.int64), codegen

        return multiply
