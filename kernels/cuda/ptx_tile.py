"""The instructions that tiles of matrix products are made of: asynchronous copies, fragments, tensor-core products.

A tile in registers is a tuple: what multiplies takes one and gives the next. In the simulator the
names come from simulated_tile.py, with the same arguments, results and layouts of fragments.
"""

from .ptx import SIMULATOR

if SIMULATOR:
    from .simulated_tile import (
        commit_copies,
        copy_chunk,
        copy_chunk_if,
        copy_element,
        copy_element_if,
        fragment_loads,
        fragment_stores,
        slice_product,
        tensor_product,
        waiting,
        word_loads,
    )
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

    def _copies(cache, size_of):
        """Two copies: by offset, none where it is negative, and by offset and condition."""
        copied = f"cp.async.{cache} [$0], [$1], {{size}}, "

        def emit(context, builder, signature, args, text, letter, last):
            to = _shared_address(builder, context, signature.args[0], args[0], args[1])
            data = context.make_array(signature.args[2])(context, builder, args[2]).data
            offset = context.cast(builder, args[4], signature.args[4], types.int64)
            begin = builder.ptrtoint(builder.gep(builder.gep(data, [args[3]]), [offset]), ir.IntType(64))
            function = ir.FunctionType(ir.VoidType(), [to.type, begin.type, last.type])
            text = text.format(size=size_of(signature.args[2].dtype))
            builder.call(ir.InlineAsm(function, text, f"r,l,{letter},~{{memory}}", side_effect=True), [to, begin, last])
            return context.get_dummy_value()

        @intrinsic
        def copy(typingctx, shared, at, array, base, offset):
            bits = offset.bitwidth
            text = (
                f"{{{{ .reg .pred p; .reg .b32 n; setp.ge.s{bits} p, $2, 0; selp.b32 n, {{size}}, 0, p; {copied}n; }}}}"
            )

            def codegen(context, builder, signature, args):
                return emit(context, builder, signature, args, text, "r" if bits == 32 else "l", args[4])

            return types.void(shared, types.int64, array, types.int64, offset), codegen

        @intrinsic
        def copy_if(typingctx, shared, at, array, base, offset, inside):
            def codegen(context, builder, signature, args):
                count = ir.Constant(ir.IntType(32), size_of(signature.args[2].dtype))
                last = builder.select(args[5], count, ir.Constant(count.type, 0))
                return emit(context, builder, signature, args, copied + "$2;", "r", last)

            return types.void(shared, types.int64, array, types.int64, offset, types.boolean), codegen

        return copy, copy_if

    # 16 bytes, past L1; the rest of the line comes to L2
    copy_chunk, copy_chunk_if = _copies("cg.shared.global.L2::128B", lambda kind: 16)
    # one element of 4 or 8 bytes
    copy_element, copy_element_if = _copies("ca.shared.global", lambda kind: kind.bitwidth // 8)

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

    def _addresses(builder, context, signature, args):
        """The shared addresses of the elements of an array that a tuple of indices names."""
        indices = [
            context.cast(builder, builder.extract_value(args[1], i), kind, types.int64)
            for i, kind in enumerate(signature.args[1].types)
        ]
        return [_shared_address(builder, context, signature.args[0], args[0], index) for index in indices]

    def _loads(text, count):
        """load(shared, indices): `count` registers of 32 bits for each index, by one instruction."""

        @intrinsic
        def load(typingctx, shared, indices):
            def codegen(context, builder, signature, args):
                word, out = ir.IntType(32), []
                given = word if count == 1 else ir.LiteralStructType([word] * count)
                constraints = ",".join(["=r"] * count + ["r", "~{memory}"])
                for address in _addresses(builder, context, signature, args):
                    function = ir.FunctionType(given, [word])
                    value = builder.call(ir.InlineAsm(function, text, constraints, side_effect=True), [address])
                    out += [value] if count == 1 else [builder.extract_value(value, i) for i in range(count)]
                return _tuple(context, builder, signature.return_type, out)

            return types.UniTuple(types.uint32, count * len(indices))(shared, indices), codegen

        return load

    @functools.cache
    def fragment_loads(turned):
        """load(shared, indices): fragments of 16 lines by 32 bytes of depth, four registers each.

        Lane l names where the 16 bytes of line l % 8 of quarter l // 8 begin, which become register l // 8. turned: the
        16 bytes are 8 lines at k = l % 8 of the quarter.
        """
        turn = ".trans" if turned else ""
        return _loads(f"ldmatrix.sync.aligned.m8n8.x4{turn}.shared.b16 {{$0,$1,$2,$3}}, [$4];", 4)

    # load(shared, indices): words of 32 bits
    word_loads = _loads("ld.shared.b32 $0, [$1];", 1)

    _MMA = {
        "bf16": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
        "f16": "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
        "tf32": "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
    }

    def _mma(builder, kind, a, b, c):
        real, word = ir.FloatType(), ir.IntType(32)
        function = ir.FunctionType(ir.LiteralStructType([real] * 4), [word] * 6 + [real] * 4)
        text = _MMA[kind] + " {$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};"
        assembly = ir.InlineAsm(function, text, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", side_effect=True)
        out = builder.call(assembly, [*a, *b, *c])
        return [builder.extract_value(out, i) for i in range(4)]

    def _rounded(builder, register):
        """A float32 rounded to TF32, half away from zero."""
        function = ir.FunctionType(ir.IntType(32), [ir.IntType(32)])
        return builder.call(ir.InlineAsm(function, "cvt.rna.tf32.f32 $0, $1;", "=r,r"), [register])

    def _split(builder, register):
        """(big, small): the float32 in a register rounded to TF32, and what that leaves, of which mma takes 11 bits."""
        real, word = ir.FloatType(), ir.IntType(32)
        # half away from zero, as cvt.rna; a NaN that this loses is in what it leaves
        big = builder.and_(builder.add(register, ir.Constant(word, 0x1000)), ir.Constant(word, 0xFFFFE000))
        small = builder.fsub(builder.bitcast(register, real), builder.bitcast(big, real))
        return big, builder.bitcast(small, word)

    @functools.cache
    def tensor_product(kind, down, across):
        """multiply(sums, left, right): a warp's tile of down x across fragments, one step further.

        sums   of the 16 x 8 parts of the tile, row by row of parts, this lane's four: (row g, columns 2t and 2t + 1),
               then row g + 8; g = lane // 4, t = lane % 4
        left   `down` fragments of rows, right: `across` of columns, see tile_mma.py
        kind   "bf16", "f16", "tf32": what the registers hold, float32 for the last
               "tf32x3": float32 by three products of what TF32 takes of it and what it leaves. The tensor core does
               not round its sums to nearest; here each step's are added outside of it
        """

        @intrinsic
        def multiply(typingctx, sums, left, right):
            def codegen(context, builder, signature, args):
                total, left, right = (
                    [builder.extract_value(value, i) for i in range(len(given))]
                    for value, given in zip(args, signature.args, strict=True)
                )
                columns = [(2 * n, 2 * n + 1) for n in range(2 * across)]
                if kind == "tf32":
                    left, right = ([_rounded(builder, register) for register in side] for side in (left, right))
                if kind == "tf32x3":
                    right = [_split(builder, register) for register in right]
                for m in range(down):
                    a = left[4 * m : 4 * m + 4]
                    if kind == "tf32x3":
                        a = list(zip(*(_split(builder, register) for register in a), strict=True))
                    for n, pair in enumerate(columns):
                        at = 4 * (m * len(columns) + n)
                        b = [right[i] for i in pair]
                        if kind != "tf32x3":
                            total[at : at + 4] = _mma(builder, kind, a, b, total[at : at + 4])
                            continue
                        b = list(zip(*b, strict=True))
                        part = [ir.Constant(ir.FloatType(), 0.0)] * 4
                        for i, j in ((1, 0), (0, 1), (0, 0)):
                            part = _mma(builder, "tf32", a[i], b[j], part)
                        total[at : at + 4] = [builder.fadd(s, p) for s, p in zip(total[at : at + 4], part, strict=True)]
                return _tuple(context, builder, signature.return_type, total)

            return sums(sums, left, right), codegen

        return multiply

    @functools.cache
    def fragment_stores(part, across, width):
        """store(results, at, sums): row `part` of fragments of a warp's tile into rows of `width` floats.

        at  where row g and column 2t of the first 16 x 8 results go, of this lane
        """

        @intrinsic
        def store(typingctx, results, at, sums):
            def codegen(context, builder, signature, args):
                data = context.make_array(signature.args[0])(context, builder, args[0]).data
                pair = ir.VectorType(ir.FloatType(), 2)
                pointer = builder.gep(data, [args[1]])
                for n in range(2 * across):
                    for low in (0, 1):
                        value = ir.Constant(pair, ir.Undefined)
                        for i in (0, 1):
                            one = builder.extract_value(args[2], 4 * (part * 2 * across + n) + 2 * low + i)
                            value = builder.insert_element(value, one, ir.Constant(ir.IntType(32), i))
                        there = builder.gep(pointer, [ir.Constant(ir.IntType(64), 8 * low * width + 8 * n)])
                        builder.store(value, builder.bitcast(there, pair.as_pointer())).align = 8
                return context.get_dummy_value()

            return types.void(results, types.int64, sums), codegen

        return store
