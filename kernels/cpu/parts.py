"""The bf16 parts of an operand that is packed once (matmul_packed.py): no product splits it again (amx_gemm.py).

On targets with AMX a packed float32 operand holds, behind the panels of the register tile,

    panels   of 32 columns, the whole depth: blocks of 32 steps with all three parts, as split.py writes them; products
             that need fewer skip the others
    flags    one number a panel: 1 where it holds what tiles cannot multiply (Inf, NaN, what is too large for bf16)

That makes 10 bytes an element instead of 4. The register tile's panels are there for small products, for those with a
flag, and for processes that the system gives no tiles. What it saves: splitting a layer's 128 x 784 weights took 25 us
on one core of a Zen 4, and 64 rows' tile products take as long by the counts of amx.py, at 3 GHz.

All of it begins at multiples of 64 bytes from the array's start, which itself may lie anywhere. Where that is no such
multiple, a row of a tile straddles two lines of the cache, and B's six tile loads take twice as long: by the counts of
amx.py 160 cycles of loads instead of 112, still beside 384 of products.
"""

from numba import types

from ..jit import compiled, overload
from .amx import EDGE, TILE
from .pack import IN_PANELS, Matrix, address_of
from .split import panel_blocks, split_panel
from .target import AMX, VECTOR_BYTES, VECTORS

PARTS = 3
BLOCK = PARTS * 2 * TILE  # bytes


def packed_elements(k, n, itemsize):
    """How many a packed (K, N) operand takes: panels of the register tile, and what lies behind them."""
    width = VECTORS * VECTOR_BYTES // itemsize
    behind = -(-k // EDGE) * BLOCK // itemsize + min(k, 1) if AMX and itemsize == 4 else 0
    return -(-n // width) * (width * k + behind)


@compiled
def _places(operand):
    data, depth, lines, _ = operand
    panels = panel_blocks(lines)
    return address_of(data) + panels * EDGE * depth * 4, panel_blocks(depth) * BLOCK, data[data.size - panels :]


@compiled
def _split(operand, number):
    data, depth, lines, _ = operand
    first, panel, flags = _places(operand)
    good = split_panel(first + number * panel, False, operand, number * EDGE, lines, 0, depth, PARTS, data)
    flags[number] = 0 if good else 1


def keep_parts(operand, number):
    """Split a panel of a Matrix IN_PANELS, once it is packed, where targets keep parts. Compiled code."""
    raise NotImplementedError("keep_parts is for compiled code")


@overload(keep_parts)
def _keep_parts(operand, number):
    if not AMX or operand[0].dtype != types.float32:
        return lambda operand, number: None
    return lambda operand, number: _split(operand, number)


def kept_parts(operand, like):
    """(address of the first panel, bytes from panel to panel, flags) of a float32 operand; address 0: nothing is kept.

    Compiled code; operands may overload it.
    """
    raise NotImplementedError("kept_parts is for compiled code")


@overload(kept_parts)
def _kept_parts(operand, like):
    if operand.instance_class is not Matrix:
        return lambda operand, like: (0, 0, like[:0])
    return lambda operand, like: _places(operand) if operand.layout == IN_PANELS else (0, 0, operand.data[:0])
