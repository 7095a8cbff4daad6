"""Products on tensor cores by mma.sync: bfloat16, float16, and float32 as TF32 or as three products of TF32.

A slice is 64 bytes of the depth of every line, in chunks of 16 bytes that asynchronous copies bring; an operand lies in
shared memory as it lies in global memory, [line][k] or [k][line]. Chunks are permuted (an exclusive or with bits of
the line or of k), so that neither the copies nor the loads below meet in a bank:

    [line][k]                chunk ^ (line // 2 % 4)     ldmatrix
    [k][line], 16 bits       chunk ^ (k % 8)             ldmatrix.trans
    [k][line], float32       chunk ^ (k % 4 * 2)         single words; ldmatrix does not transpose them

A fragment is 16 lines by 32 bytes of depth, four registers a lane. As the A of mma.m16n8 they are lines g and g + 8,
then the same lines in the second half of the depth, g = lane // 4; as two of its Bs, line g in both halves of the
depth, then line g + 8: registers of an operand of mma must follow each other, or they are moved for every product.
"""

import functools
from typing import NamedTuple

import numpy as np

from .ptx_tile import fragment_loads, fragment_stores, tensor_product, word_loads
from .target import SIMULATOR
from .tile import CHUNK_BYTES, DEPTH
from .tile_source import bringing, build

LANES = 32
# of a line, in a slice: two steps of an mma
LINE_BYTES = 64
# between rows of results: lanes of a store lie in different banks
PAD = 8


class Shape(NamedTuple):
    """A block: warps in rows and columns, and fragments of 16 lines of a warp in each."""

    warps: tuple
    fragments: tuple
    stages: int
    # blocks of one multiprocessor, which bounds the registers of a thread
    resident: int

    @property
    def rows(self):
        return self.warps[0] * self.fragments[0] * 16

    @property
    def columns(self):
        return self.warps[1] * self.fragments[1] * 16

    @property
    def threads(self):
        return self.warps[0] * self.warps[1] * LANES

    def depth(self, dtype):
        return LINE_BYTES // np.dtype(dtype).itemsize

    @property
    def shared_bytes(self):
        results = self.warps[0] * 16 * (self.columns + PAD) * 4
        return max(self.stages * (self.rows + self.columns) * LINE_BYTES, results)


if SIMULATOR:
    LARGE = SMALL = SPLIT = Shape((1, 2), (4, 2), 3, 1)
else:
    LARGE = Shape((2, 2), (4, 4), 3, 2)
    # for three products, whose parts want registers
    SPLIT = Shape((2, 4), (4, 2), 3, 1)
    SMALL = Shape((2, 2), (2, 2), 4, 3)

# (dtype, products of TF32 for one of float32) -> what tensor_product multiplies
KINDS = {
    (np.dtype(np.float16), 0): "f16",
    (np.dtype(np.uint16), 0): "bf16",
    (np.dtype(np.float32), 1): "tf32",
    (np.dtype(np.float32), 3): "tf32x3",
}


def _bringing(side, operand, itemsize, threads, lines, begin):
    vector, depth = CHUNK_BYTES // itemsize, LINE_BYTES // itemsize
    if operand.contiguous == DEPTH:
        place = f"{begin} + line_{side} * {depth} + (k_{side} ^ line_{side} // 2 % 4 * {vector})"
        return bringing(side, operand, depth, lines, threads, 4, vector, place, lambda k, line: k + line * depth)
    place = f"{begin} + k_{side} * {lines} + (line_{side} ^ k_{side} % {8 if itemsize == 2 else 4} * 8)"
    return bringing(
        side, operand, depth, lines, threads, lines // vector, vector, place, lambda k, line: k * lines + line
    )


def _fragments(side, operand, itemsize, lines, fragments, begin):
    """(setup, addresses): for each of the two steps, where this lane's parts of the warp's fragments are in a slice."""
    vector, depth = CHUNK_BYTES // itemsize, LINE_BYTES // itemsize
    first = f"warp_{'row' if side == 'a' else 'column'} * {16 * fragments}"
    own = range(fragments)
    # which eight lines and which half of the depth a quarter of the lanes names
    lower, second = ("lane // 8 % 2", "lane // 16") if side == "a" else ("lane // 16", "lane // 8 % 2")
    if operand.contiguous == DEPTH:
        line, chunk = f"{first} + lane % 8 + {lower} * 8", f"({second} ^ lane // 2 % 4) * {vector}"
        setup = [f"{side}_0 = {begin} + ({line}) * {depth} + {chunk}", f"{side}_1 = {side}_0 ^ {2 * vector}"]
        return setup, [[f"at + {side}_{step} + {16 * depth * m}" for m in own] for step in (0, 1)]
    if itemsize == 2:
        k = f"(lane % 8 + {second} * 8) * {lines}"
        setup = [f"{side}_{m} = {begin} + {k} + ({first} + {16 * m} + {lower} * 8 ^ lane % 8 * 8)" for m in own]
        return setup, [[f"at + {side}_{m} + {step * 16 * lines}" for m in own] for step in (0, 1)]
    setup = [
        f"{side}_{q} = {begin} + lane % 4 * {lines} + ({first} + {8 * q} ^ lane % 4 * 8) + lane // 4"
        for q in range(2 * fragments)
    ]
    # (lines, depth) of a fragment's four words
    quarters = ((0, 0), (1, 0), (0, 1), (1, 1)) if side == "a" else ((0, 0), (0, 1), (1, 0), (1, 1))
    return setup, [
        [f"at + {side}_{2 * m + low} + {(step * 8 + half * 4) * lines}" for m in own for low, half in quarters]
        for step in (0, 1)
    ]


@functools.cache
def core(dtype, products, shape, a, b, output, epilogue, vectors):
    """The kernel for operands a and b, an output and an epilogue of tile.py: see tile_source.build.

    dtype     of the operands, as stored: uint16 is bfloat16
    products  of TF32 that stand for one of float32; 0: the operands have 16 bits
    vectors   whether four results may be stored at once
    """
    itemsize, threads = np.dtype(dtype).itemsize, shape.threads
    depth, begin_b, width = shape.depth(dtype), shape.rows * shape.depth(dtype), shape.columns + PAD
    (down, across), single = shape.fragments, itemsize == 4
    setup_a, bring_a = _bringing("a", a, itemsize, threads, shape.rows, 0)
    setup_b, bring_b = _bringing("b", b, itemsize, threads, shape.columns, begin_b)
    own_a, at_a = _fragments("a", a, itemsize, shape.rows, down, 0)
    own_b, at_b = _fragments("b", b, itemsize, shape.columns, across, begin_b)
    kept = f"kept = (warp_row * 16 + lane // 4) * {width} + warp_column * {16 * across} + lane % 4 * 2"
    multiply = [
        f"sums = multiply(sums, load_a(shared, ({', '.join(left)},)), load_b(shared, ({', '.join(right)},)))"
        for left, right in zip(at_a, at_b, strict=True)
    ]
    scope = {
        "REAL": np.dtype(dtype).type,
        "ZEROS": (np.float32(0),) * (8 * down * across),
        "multiply": tensor_product(KINDS[np.dtype(dtype), products], down, across),
    }
    for side, operand in zip("ab", (a, b), strict=True):
        words = single and operand.contiguous != DEPTH
        scope[f"load_{side}"] = word_loads if words else fragment_loads(operand.contiguous != DEPTH)
    for part in range(down):
        scope[f"keep_{part}"] = fragment_stores(part, across, width)
    return build(
        "tile_mma",
        shape,
        depth,
        begin_b + shape.columns * depth,
        ["shared, results = cuda.shared.array(0, REAL), cuda.shared.array(0, np.float32)"],
        (a, b),
        output,
        epilogue,
        (True, True),
        vectors,
        [*own_a, *own_b, kept, *setup_a, *setup_b],
        bring_a + bring_b,
        multiply,
        [[f"keep_{part}(results, kept, sums)"] for part in range(down)],
        16,
        width,
        scope,
    )
