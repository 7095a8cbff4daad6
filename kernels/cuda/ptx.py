"""Single instructions: wide loads, 16-bit floats, shuffles and whatever else Numba has no word for.

All that is specific to numba-cuda's way of emitting LLVM and PTX is here; a move to its successor rewrites this file.
`instruction` makes a device function of a line of PTX. In the simulator the names come from simulated.py, with the same
arguments, results and layouts of fragments, so that the code around them runs.
"""

import math
import operator

from .target import SIMULATOR, cuda, device

# elements of a load4 or store4
VECTOR = 4

if SIMULATOR:
    from numpy import ceil, floor, rint, trunc

    from .simulated import (
        floor_divide,
        load4,
        narrow,
        on_boundary,
        quotient,
        reciprocal_product,
        remainder,
        rounded_product,
        shuffle_xor,
        store4,
        wide,
    )
else:
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    from .target import types

    # letters of PTX's constraints: LLVM's type of the register, and Numba's
    _REGISTERS = {
        "f": (ir.FloatType(), types.float32),
        "d": (ir.DoubleType(), types.float64),
        "h": (ir.IntType(16), types.uint16),
        "r": (ir.IntType(32), types.uint32),
        "l": (ir.IntType(64), types.uint64),
    }

    def instruction(name, text, gives, takes, memory=False):
        """A device function that emits `text`: $0, $1 ... are first the results, then the arguments.

        gives, takes  a letter of _REGISTERS for each: "ffff" gives four float32. Arguments are cast as in a call.
        memory        whether it reads or writes memory, or orders what does
        """
        given, taken = [_REGISTERS[c] for c in gives], [_REGISTERS[c] for c in takes]
        constraints = [f"={c}" for c in gives] + list(takes) + ["~{memory}"] * memory

        def build(*args):
            if not given:
                result = types.void
            else:
                result = given[0][1] if len(given) == 1 else types.UniTuple(given[0][1], len(given))
            signature = result(*(kind for _, kind in taken))

            def codegen(context, builder, signature, values):
                registers = [real for real, _ in given]
                out = (
                    ir.VoidType() if not given else registers[0] if len(given) == 1 else ir.LiteralStructType(registers)
                )
                function = ir.FunctionType(out, [real for real, _ in taken])
                # without a result it is there for its effect
                assembly = ir.InlineAsm(function, text, ",".join(constraints), side_effect=memory or not given)
                value = builder.call(assembly, values)
                if not given:
                    return context.get_dummy_value()
                if len(given) == 1:
                    return value
                return _tuple(
                    context,
                    builder,
                    signature.return_type,
                    [builder.extract_value(value, i) for i in range(len(given))],
                )

            return signature, codegen

        names = ", ".join(f"a{i}" for i in range(len(takes)))
        scope = {"build": build}
        exec(f"def {name}(typingctx{', ' if names else ''}{names}):\n    return build({names})\n", scope)
        return intrinsic(scope[name])

    def _tuple(context, builder, kind, values):
        out = ir.Constant(context.get_value_type(kind), ir.Undefined)
        for i, value in enumerate(values):
            out = builder.insert_value(out, value, i)
        return out

    def _wide_type(kind):
        """The type that elements of an array are computed in."""
        return types.float32 if kind in (types.float16, types.uint16) else kind

    def _widen(context, builder, value, kind):
        """An element as it lies in memory, as the number that is computed with."""
        if kind == types.boolean:
            return builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))
        if kind == types.float16:
            return context.cast(builder, value, types.float16, types.float32)
        if kind == types.uint16:
            shifted = builder.shl(builder.zext(value, ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
            return builder.bitcast(shifted, ir.FloatType())
        return value

    def _narrowed(context, builder, value, source, kind):
        """A value of type `source` as an element of type `kind`; 16-bit floats to nearest even."""
        if kind == types.float16:
            # not every number has a way there, but by float32
            value, source = context.cast(builder, value, source, types.float32), types.float32
        if kind == types.uint16:
            value = context.cast(builder, value, source, types.float32)
            function = ir.FunctionType(ir.IntType(16), [ir.FloatType()])
            return builder.call(ir.InlineAsm(function, "cvt.rn.bf16.f32 $0, $1;", "=h,f"), [value])
        return context.cast(builder, value, source, kind)

    @intrinsic
    def wide(typingctx, x):
        """An element as it is computed with: float16 and bfloat16 (uint16) as float32, any other as it is."""

        def codegen(context, builder, signature, args):
            kind = signature.args[0]
            return args[0] if kind == types.boolean else _widen(context, builder, args[0], kind)

        return _wide_type(x)(x), codegen

    @intrinsic
    def narrow(typingctx, array, x):
        """A number as an element of `array`."""

        def codegen(context, builder, signature, args):
            return _narrowed(context, builder, args[1], signature.args[1], signature.return_type)

        return array.dtype(array, x), codegen

    def _itemsize(array, element):
        """Bytes of an element; bool has no width of its own among Numba's types."""
        return element.width // 8 if isinstance(element, ir.IntType) else array.dtype.bitwidth // 8

    def _vector(context, builder, array, kind, index):
        """Pointers to the vectors that elements index .. index + 3 are loaded and stored by, of 16 bytes or less."""
        data = context.make_array(array)(context, builder, kind).data
        element = data.type.pointee
        size = _itemsize(array, element)
        lanes = min(VECTOR, 16 // size)
        pointer = builder.gep(data, [index])
        vector = ir.VectorType(element, lanes).as_pointer()
        parts = [
            builder.bitcast(builder.gep(pointer, [ir.Constant(ir.IntType(64), at)]), vector)
            for at in range(0, VECTOR, lanes)
        ]
        return parts, lanes, lanes * size

    @intrinsic
    def load4(typingctx, array, i):
        """Elements i .. i + 3 of a 1-D array that lies as `aligned` says, widened; i a multiple of 4."""

        def codegen(context, builder, signature, args):
            parts, lanes, size = _vector(context, builder, array, args[0], args[1])
            values = []
            for part in parts:
                vector = builder.load(part)
                vector.align = size
                for lane in range(lanes):
                    value = builder.extract_element(vector, ir.Constant(ir.IntType(32), lane))
                    values.append(_widen(context, builder, value, array.dtype))
            return _tuple(context, builder, signature.return_type, values)

        return types.UniTuple(_wide_type(array.dtype), VECTOR)(array, types.int64), codegen

    @intrinsic
    def store4(typingctx, array, i, values):
        """Narrow four values into elements i .. i + 3 of such an array."""

        def codegen(context, builder, signature, args):
            parts, lanes, size = _vector(context, builder, array, args[0], args[1])
            for p, part in enumerate(parts):
                vector = ir.Constant(part.type.pointee, ir.Undefined)
                for lane in range(lanes):
                    at = p * lanes + lane
                    value = builder.extract_value(args[2], at)
                    value = _narrowed(context, builder, value, values.types[at], array.dtype)
                    if array.dtype == types.boolean:
                        value = builder.zext(value, ir.IntType(8))
                    vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
                builder.store(vector, part).align = size
            return context.get_dummy_value()

        return types.void(array, types.int64, values), codegen

    @intrinsic
    def on_boundary(typingctx, array):
        """`aligned`, asked on the device."""

        def codegen(context, builder, signature, args):
            data = context.make_array(array)(context, builder, args[0]).data
            element = data.type.pointee
            size = _itemsize(array, element)
            address = builder.ptrtoint(data, ir.IntType(64))
            beyond = builder.and_(address, ir.Constant(ir.IntType(64), min(VECTOR * size, 16) - 1))
            return builder.icmp_unsigned("==", beyond, ir.Constant(ir.IntType(64), 0))

        return types.boolean(array), codegen

    # unsigned, of 32 bits: a third of what Numba's division of int64 costs
    quotient = instruction("quotient", "div.u32 $0, $1, $2;", "r", "rr")

    @intrinsic
    def reciprocal_product(typingctx, a, b, shift):
        """The upper half of a product of 64 bits, shifted to the right."""

        def codegen(context, builder, signature, args):
            word = ir.IntType(32)
            text = "{ .reg .u32 high; mul.hi.u32 high, $1, $2; shr.u32 $0, high, $3; }"
            assembly = ir.InlineAsm(ir.FunctionType(word, [word] * 3), text, "=r,r,r,r")
            # a function of its arguments: LLVM takes it out of loops, and does it once for two equal ones
            return builder.call(assembly, args, attrs=("readnone", "nounwind"))

        return types.uint32(types.uint32, types.uint32, types.uint32), codegen

    def _rounding(mode):
        """A float as a whole one, by PTX's cvt with that modifier: NVVM knows not all of LLVM's intrinsics."""

        def build(typingctx, x):
            def codegen(context, builder, signature, args):
                real = args[0].type
                kind, letter = ("f32", "f") if real == ir.FloatType() else ("f64", "d")
                text = f"cvt.{mode}.{kind}.{kind} $0, $1;"
                return builder.call(ir.InlineAsm(ir.FunctionType(real, [real]), text, f"={letter},{letter}"), args)

            return x(x), codegen

        return intrinsic(build)

    floor, ceil, rint, trunc = map(_rounding, ("rmi", "rpi", "rni", "rzi"))

    def _float_remainder(a, b):
        r = math.fmod(a, b)
        return r + b if r != 0 and (r < 0) != (b < 0) else math.copysign(r, b)

    def _float_quotient(a, b):
        r = math.fmod(a, b)
        q = (a - r) / b
        if r != 0 and (r < 0) != (b < 0):
            q -= type(a)(1)
        # a - r is a multiple of b but for a rounding error
        return a / b if b == 0 else math.copysign(rint(q), a / b)

    def _exact(of_floats, of_integers):
        """LLVM's remainder of floats is made of a quotient that is rounded; libdevice's is exact."""

        def build(typingctx, a, b):
            floating = isinstance(a, types.Float)
            result = a if floating else typingctx.resolve_function_type(of_integers, (a, b), {}).return_type

            def codegen(context, builder, signature, args):
                if floating:
                    return context.compile_internal(builder, of_floats, signature, args)
                inner = typingctx.resolve_function_type(of_integers, (a, b), {})
                values = [context.cast(builder, v, t, i) for v, t, i in zip(args, (a, b), inner.args, strict=True)]
                return context.get_function(of_integers, inner)(builder, values)

            return result(a, b), codegen

        return intrinsic(build)

    floor_divide = _exact(_float_quotient, operator.floordiv)
    remainder = _exact(_float_remainder, operator.mod)

    @intrinsic
    def rounded_product(typingctx, a, b):
        """a * b, rounded by itself: never part of a fused multiply-add."""
        letter = {types.float32: "f", types.float64: "d"}[a]

        def codegen(context, builder, signature, args):
            real = args[0].type
            module = builder.module
            name = f"llvm.nvvm.mul.rn.{letter}"
            function = module.globals.get(name) or ir.Function(module, ir.FunctionType(real, [real, real]), name)
            return builder.call(function, args)

        return a(a, a), codegen

    @device
    def shuffle_xor(value, lane):
        """The value of the thread of this warp whose number differs in the bits of `lane`; every thread of the block
        takes part."""
        return cuda.shfl_xor_sync(0xFFFFFFFF, value, lane)


def aligned(*arrays):
    """Whether load4 and store4 work on these 1-D arrays: each begins on the boundary of four of its elements."""
    return all(a.pointer % min(VECTOR * a.itemsize, 16) == 0 for a in arrays)
