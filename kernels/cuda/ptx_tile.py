"""The instructions that tiles of matrix products are made of: asynchronous copies, fragments, tensor-core products.

A tile in registers is a tuple: what multiplies takes one and gives the next. In the simulator the
names come from simulated_tile.py, with the same arguments, results and layouts of fragments.
"""

from .ptx import SIMULATOR

if SIMULATOR:
    from .simulated_tile import commit_copies, copy_chunk, copy_element, slice_product, waiting
else:
    import functools

    from .ptx import _tuple, instruction, intrinsic, ir, types

    commit_copies = instruction("commit_copies", "cp.async.commit_group;", "", "", memory=True)

    @functools.cache
    def waiting(groups):
        """wait(): until at most `groups` of this thread's committed groups of copies are still under way."""
        return instruction("wait_copies", f"cp.async.wait_group {groups};", "", "", memory=True)

    def _shared_address(builder, context, kind, array, index):
        """The 32-bit address of an element of a shared array."""
        data = context.make_array(kind)(context, builder, array).data
        pointer = builder.gep(data, [index])
        pointer = builder.addrspacecast(pointer, ir.PointerType(data.type.pointee, 3))
        return builder.trunc(builder.ptrtoint(pointer, ir.IntType(64)), ir.IntType(32))

    def _copy(text, size_of):
        @intrinsic
        def copy(typingctx, shared, at, array, base, offset):
            def codegen(context, builder, signature, args):
                word, wide = ir.IntType(32), ir.IntType(64)
                to = _shared_address(builder, context, signature.args[0], args[0], args[1])
                data = context.make_array(signature.args[2])(context, builder, args[2]).data
                begin = builder.ptrtoint(builder.gep(builder.gep(data, [args[3]]), [args[4]]), wide)
                size = size_of(signature.args[2].dtype)
                outside = builder.icmp_signed("<", args[4], ir.Constant(wide, 0))
                count = builder.select(outside, ir.Constant(word, 0), ir.Constant(word, size))
                function = ir.FunctionType(ir.VoidType(), [word, wide, word])
                line = text.format(size=size)
                assembly = ir.InlineAsm(function, line, "r,l,r,~{memory}", side_effect=True)
                builder.call(assembly, [to, begin, count])
                return context.get_dummy_value()

            return types.void(shared, types.int64, array, types.int64, types.int64), codegen

        return copy

    # 16 bytes, past L1; the rest of the line comes to L2
    copy_chunk = _copy("cp.async.cg.shared.global.L2::128B [$0], [$1], {size}, $2;", lambda kind: 16)
    # one element of 4 or 8 bytes
    copy_element = _copy("cp.async.ca.shared.global [$0], [$1], {size}, $2;", lambda kind: kind.bitwidth // 8)

    def slice_product(depth, left, right):
        """multiply(sums, shared, at_left, at_right): sums[r, c] + sum over k < depth of left[k, r] * right[k, c].

        left, right  (width, apart, groups): a thread has `groups` groups of four lines, `apart` elements from one to
                     the next, and `width` elements from one k to the next; all begin on the boundary of 16 bytes
        """

        @intrinsic
        def multiply(typingctx, sums, shared, at_left, at_right):
            def codegen(context, builder, signature, args):
                kind = signature.args[1]
                data = context.make_array(kind)(context, builder, args[1]).data
                size = kind.dtype.bitwidth // 8
                lanes = min(4, 16 // size)
                vector = ir.VectorType(data.type.pointee, lanes).as_pointer()

                def lines(at, k, width, apart, groups):
                    out = []
                    pointer = builder.gep(data, [at])
                    for step in range(groups * 4 // lanes):
                        step, rest = divmod(step * lanes, 4)
                        step = ir.Constant(ir.IntType(64), k * width + step * apart + rest)
                        loaded = builder.load(builder.bitcast(builder.gep(pointer, [step]), vector))
                        loaded.align = size * lanes
                        out += [builder.extract_element(loaded, ir.Constant(ir.IntType(32), i)) for i in range(lanes)]
                    return out

                total = [builder.extract_value(args[0], i) for i in range(len(signature.args[0]))]
                for k in range(depth):
                    rows, columns = lines(args[2], k, *left), lines(args[3], k, *right)
                    pairs = [(row, column) for row in rows for column in columns]
                    total = [builder.fma(row, column, old) for (row, column), old in zip(pairs, total, strict=True)]
                return _tuple(context, builder, signature.return_type, total)

            return sums(sums, shared, types.int64, types.int64), codegen

        return multiply
