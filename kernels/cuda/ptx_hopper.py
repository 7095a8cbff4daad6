"""The instructions of Hopper (compute capability 9.x): tiles that copy themselves, barriers that count them, and
products of whole tiles by four warps at once.

The second of the two files that a move to numba-cuda's successor rewrites; ptx.py is the first. In the simulator the
names come from simulated_hopper.py and simulated_products.py. Addresses of shared memory are numbers of bytes in the
block's own window.

What is read and written behind the threads' backs: copy_tile writes shared memory when it likes, then counts the bytes
in a barrier; multiply reads it and writes its sums after the instruction, until wait_for_products or finish. A thread
that has waited at the barrier may let multiply read; one that has waited for the products may let copy_tile write.
"""

from .target import SIMULATOR

# threads that multiply together, and the tile of a product: rows; bytes of a row of either operand
GROUP, GROUP_ROWS = 128, 64
ROW_BYTES = 128
# rows of a tile whose 16-byte words are permuted together, and what their addresses are multiples of
SWIZZLE_ROWS = 8
SWIZZLE_BYTES = SWIZZLE_ROWS * ROW_BYTES
# products of one step along K in a row, by bytes
STEPS, STEP_BYTES = 4, 32

# the name of the type in the instruction, by what operands are stored as
TYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "tf32"}


def descriptor_bits(along_k, block_bytes=SWIZZLE_BYTES):
    """A descriptor of a tile in shared memory, less its address: the layout that copy_tile writes, 128-byte swizzle.

    along_k      whether rows lie along K; else along the other axis, in blocks of 128 bytes times the slice of K
    block_bytes  from one such block to the next
    """
    leading = 1 if along_k else block_bytes >> 4
    return 1 << 62 | (SWIZZLE_BYTES >> 4) << 32 | leading << 16


if SIMULATOR:
    from .simulated_hopper import (
        acquire_map,
        barrier_arrive,
        barrier_arrive_at,
        barrier_expect,
        barrier_init,
        barrier_wait,
        cluster_barrier,
        copy_tile,
        copy_tile_to,
        fence_barriers,
        group_barrier,
        high_half,
        in_clusters,
        load_shared4,
        shared_address,
        store_shared2,
    )
    from .simulated_products import added, finish, multiply, wait_for_products
else:
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    from .ptx import _tuple, instruction
    from .target import types

    @intrinsic
    def shared_address(typingctx, array):
        """Where a shared array begins."""

        def codegen(context, builder, signature, args):
            data = context.make_array(array)(context, builder, args[0]).data
            word = ir.IntType(32)
            function = ir.FunctionType(word, [ir.IntType(64)])
            text = "{ .reg .u64 t; cvta.to.shared.u64 t, $1; cvt.u32.u64 $0, t; }"
            return builder.call(ir.InlineAsm(function, text, "=r,l"), [builder.ptrtoint(data, ir.IntType(64))])

        return types.uint32(array), codegen

    # barriers in shared memory: 8 bytes each
    barrier_init = instruction("barrier_init", "mbarrier.init.shared::cta.b64 [$0], $1;", "", "rr", True)
    barrier_arrive = instruction("barrier_arrive", "mbarrier.arrive.shared::cta.b64 _, [$0];", "", "r", True)
    # (address, block): at the barrier at this address in that block of the cluster
    barrier_arrive_at = instruction(
        "barrier_arrive_at",
        "{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, $0, $1;\n"
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there];\n}",
        "",
        "rr",
        True,
    )
    # all threads of all blocks of the cluster
    cluster_barrier = instruction(
        "cluster_barrier", "barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;", "", "", True
    )

    def in_clusters(blocks):
        """A device function that a kernel calls so that as many neighbours along x start together, as a cluster."""

        @intrinsic
        def mark(typingctx):
            def codegen(context, builder, signature, args):
                module, name = builder.module, "nvvm.annotations"
                notes = module.namedmetadata.get(name) or module.add_named_metadata(name)
                for axis, size in zip("xyz", (blocks, 1, 1), strict=True):
                    word = ir.MetaDataString(module, f"cluster_dim_{axis}")
                    notes.add(module.add_metadata((builder.function, word, ir.Constant(ir.IntType(32), size))))
                return context.get_dummy_value()

            return types.void(), codegen

        return mark

    # arrive, and expect so many bytes before the phase ends
    barrier_expect = instruction(
        "barrier_expect", "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;", "", "rr", True
    )
    # until the phase of this parity has ended
    barrier_wait = instruction(
        "barrier_wait",
        "{\n.reg .pred done;\nAGAIN_${:uid}:\nmbarrier.try_wait.parity.shared::cta.b64 done, [$0], $1;\n"
        "@done bra DONE_${:uid};\nbra AGAIN_${:uid};\nDONE_${:uid}:\n}",
        "",
        "rr",
        True,
    )
    # barriers that have been made can be seen by copies
    fence_barriers = instruction(
        "fence_barriers", "fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;", "", "", True
    )
    # a description in global memory that the host has written can be seen by copies
    acquire_map = instruction("acquire_map", "fence.proxy.tensormap::generic.acquire.sys [$0], 128;", "", "l", True)
    # (address, map, barrier, x, y, z): the box at (x, y, z); what lies outside of the array is zero
    _COPY = (
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes{} "
        "[$0], [$1, {{$3, $4, $5}}], [$2]{};"
    )
    copy_tile = instruction("copy_tile", _COPY.format("", ""), "", "rlrrrr", True)
    # (..., blocks): to the same place in each block of the cluster whose bit is set, and counted there
    copy_tile_to = instruction("copy_tile_to", _COPY.format(".multicast::cluster", ", $6"), "", "rlrrrrh", True)
    # the nearest TF32
    high_half = instruction("high_half", "{ .reg .b32 t; cvt.rna.tf32.f32 t, $1; mov.b32 $0, t; }", "f", "f")
    # the threads of one group, whose barrier has this number
    group_barrier = instruction("group_barrier", f"bar.sync $0, {GROUP};", "", "r", True)
    store_shared2 = instruction("store_shared2", "st.shared.v2.f32 [$0], {$1, $2};", "", "rff", True)
    load_shared4 = instruction("load_shared4", "ld.shared.v4.f32 {$0, $1, $2, $3}, [$4];", "ffff", "r", True)

    def wait_for_products(left):  # type: ignore[misc]  # the simulator has another
        """A device function (): until all but the latest `left` multiplies of this group are through."""
        return instruction("wait_for_products", f"wgmma.wait_group.sync.aligned {left};", "", "", True)

    @intrinsic
    def added(typingctx, total, sums):
        """total + sums of tuples."""

        def codegen(context, builder, signature, args):
            pairs = [[builder.extract_value(value, i) for value in args] for i in range(len(total))]
            return _tuple(context, builder, signature.return_type, [builder.fadd(*pair) for pair in pairs])

        return total(total, sums), codegen

    def _on_sums(name, count, text, takes):
        """A device function (sums, *takes) -> sums that emits `text` on the `count` registers of the sums, in place.

        $0 ... are the sums, then what it takes.
        """
        kinds = {"l": (ir.IntType(64), types.uint64)}
        taken = [kinds[c] for c in takes]
        sums = types.UniTuple(types.float32, count)
        constraints = ["=f"] * count + list(takes) + [str(i) for i in range(count)] + ["~{memory}"]

        def build():
            def codegen(context, builder, signature, values):
                registers = [builder.extract_value(values[0], i) for i in range(count)]
                reals = [ir.FloatType()] * count
                function = ir.FunctionType(ir.LiteralStructType(reals), [real for real, _ in taken] + reals)
                assembly = ir.InlineAsm(function, text, ",".join(constraints), side_effect=True)
                value = builder.call(assembly, list(values[1:]) + registers)
                out = [builder.extract_value(value, i) for i in range(count)]
                return _tuple(context, builder, signature.return_type, out)

            return sums(sums, *(kind for _, kind in taken)), codegen

        names = "".join(f", a{i}" for i in range(len(takes)))
        scope = {"build": build}
        exec(f"def {name}(typingctx, sums{names}):\n    return build()\n", scope)
        return intrinsic(scope[name])

    def multiply(kind, columns, a_along_k, b_along_k):  # type: ignore[misc]  # the simulator has another
        """A device function (sums, a, b) -> sums += a @ b.T over one slice of K, for a whole group.

        kind     of TYPES; a and b are descriptors of tiles of 64 and of `columns` rows of 128 bytes along K, or, of
                 16-bit floats alone, of slices of 64 along K whose rows lie along the other axis
        """
        count = columns // 2
        depth = STEP_BYTES // (4 if kind == "float32" else 2)
        shape = f"m{GROUP_ROWS}n{columns}k{depth}.f32.{TYPES[kind]}.{TYPES[kind]}"
        sums = ", ".join(f"${i}" for i in range(count))
        ways = "" if kind == "float32" else f", {int(not a_along_k)}, {int(not b_along_k)}"
        # in units of 16 bytes: along a row, or over as many rows
        a_step, b_step = ((STEP_BYTES if way else depth * ROW_BYTES) >> 4 for way in (a_along_k, b_along_k))
        lines = ["{", ".reg .b64 a, b;", "wgmma.fence.sync.aligned;"]
        for step in range(STEPS):
            lines += [
                f"add.s64 a, ${count}, {step * a_step};",
                f"add.s64 b, ${count + 1}, {step * b_step};",
                f"wgmma.mma_async.sync.aligned.{shape} {{{sums}}}, a, b, 1, 1, 1{ways};",
            ]
        lines += ["wgmma.commit_group.sync.aligned;", "}"]
        return _on_sums("multiply", count, "\n".join(lines), "ll")

    def finish(columns):  # type: ignore[misc]  # the simulator has another
        """A device function sums -> sums: until every multiply of this group is through, and sums may be read."""
        return _on_sums("finish", columns // 2, "wgmma.wait_group.sync.aligned 0;", "")


__all__ = [
    "acquire_map",
    "added",
    "barrier_arrive",
    "barrier_arrive_at",
    "barrier_expect",
    "barrier_init",
    "barrier_wait",
    "cluster_barrier",
    "copy_tile",
    "copy_tile_to",
    "fence_barriers",
    "finish",
    "group_barrier",
    "high_half",
    "in_clusters",
    "load_shared4",
    "multiply",
    "shared_address",
    "store_shared2",
    "wait_for_products",
]
