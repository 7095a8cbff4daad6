"""What the AMX path is made of: the parts of an operand, and the machine code of the tile; see test_amx.py."""

import itertools
import math

import numpy as np
import pytest
from amx_products import NONE, multiply, product
from hotloop.kernels.cpu import split
from hotloop.kernels.cpu.pack import Matrix, address_of
from hotloop.kernels.jit import standalone
from products import Amid


@standalone
def split_panel(packed, for_a, operand, first, count, step, depth, parts, like):
    return split.split_panel(address_of(packed), for_a, operand, first, count, step, depth, parts, like)


def unpack(packed, for_a, blocks, parts):
    """(parts, steps, 32 lines) of a panel: pairs are steps p and p + 16."""
    tiles = (packed.reshape(blocks, parts, 2, 16, 16, 2).astype(np.uint32) << 16).view(np.float32)
    # rows of a tile are lines of A or pairs of B
    order = (1, 0, 5, 4, 2, 3) if for_a else (1, 0, 5, 3, 2, 4)
    return tiles.transpose(order).reshape(parts, blocks * 32, 32)


@pytest.mark.parametrize("for_a", [True, False], ids=["A", "B"])
@pytest.mark.parametrize("by_line", [True, False], ids=["by line", "by step"])
@pytest.mark.parametrize("parts", [3, 2, 1])
def test_the_parts_of_an_operand(rng, for_a, by_line, parts):
    for lines, depth in [(32, 32), (40, 70), (5, 3), (64, 300), (33, 31)]:
        # from what is just split without loss to what is just finite in bf16
        shape = depth + 7, lines
        x = rng.choice([-1, 1], shape) * rng.uniform(1, 2, shape) * 2.0 ** rng.integers(-103, 127, shape)
        x = x.astype(np.float32)
        field = Amid(np.ascontiguousarray(x.T) if by_line else x)
        operand = Matrix(field.array.reshape(-1), field.array.shape[1], lines, int(by_line))
        for first in range(0, lines, 32):
            blocks = math.ceil(depth / 32)
            packed = np.full(blocks * parts * 1024 + 32, 0x7FC0, np.uint16)
            packed = packed[-packed.ctypes.data % 64 // 2 :][: blocks * parts * 1024]
            assert split_panel(packed, for_a, operand, first, lines, 4, depth, parts, NONE)
            inside = min(32, lines - first)
            want = np.zeros((blocks * 32, 32))
            want[:depth, :inside] = x[4 : 4 + depth, first : first + inside]
            left = np.abs(unpack(packed, for_a, blocks, parts).astype("d").sum(0) - want)
            assert (left <= {3: 0, 2: 2.0**-17, 1: 2.0**-8}[parts] * np.abs(want)).all()


def test_the_machine_code():
    """The loops over the depth are what the module says: no tile is loaded twice, none is saved between."""
    product(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32))
    (code,) = multiply.inspect_asm().values()
    names = [line.split()[0] for line in code.splitlines() if line.strip()]
    loads = {6: 14, 3: 8, 1: 4}
    assert names.count("tdpbf16ps") == sum(4 * products for products in loads)
    assert names.count("tileloadd") == sum(loads.values())
    assert names.count("tilestored") == names.count("tilezero") == 4
    # one after the other, each loop holds its loads and products alone
    kinds = [name for name in names if name in ("tdpbf16ps", "tileloadd") or name.startswith("j")]
    runs = [list(group) for jump, group in itertools.groupby(kinds, lambda name: name.startswith("j")) if not jump]
    assert sorted((run.count("tdpbf16ps"), run.count("tileloadd")) for run in runs) == [(4, 4), (12, 8), (24, 14)]
