"""Numbers that are not finite, too large or too small, on the AMX path; see test_amx.py."""

import numpy as np
import pytest
from amx_products import Counted, at_precision, normal, product
from helpers import same
from products import each_transpose

LIMIT = np.finfo(np.float32).max
SPECIAL = {
    "Inf in a": [(0, 3, 5, np.inf)],
    "Inf in b": [(1, 3, 5, -np.inf)],
    "NaN in a": [(0, 39, 49, np.nan)],
    "NaN in b": [(1, 0, 0, np.nan)],
    "Inf - Inf": [(0, 7, 1, np.inf), (0, 7, 2, -np.inf)],
    "Inf times 0": [(0, 2, 9, np.inf), (1, 9, 4, 0.0)],
    "Inf times 1": [(0, 2, 9, np.inf), (1, 9, 4, 1.0)],
    "Inf times Inf": [(0, 2, 9, np.inf), (1, 9, 4, -np.inf)],
    "too large for bf16": [(0, 5, 6, LIMIT), (1, 6, 7, 0.25)],
}


@pytest.mark.parametrize("places", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("k, shift", [(50, 0), (800, 0), (800, 700)], ids=["all", "first of three", "last of three"])
@each_transpose
def test_special_values(rng, places, k, shift, transpose):
    left, right = (x.astype(np.float32) for x in normal(rng, 40, 33, k))
    right *= 0.25
    for operand, i, j, value in places:
        if operand == 0:
            left[i, j + shift if j + shift < k else j] = value
        else:
            right[i + shift if i + shift < k else i, j] = value
    a = np.ascontiguousarray(left.T) if transpose[0] else left
    b = np.ascontiguousarray(right.T) if transpose[1] else right
    with np.errstate(all="ignore"):
        want, got = left.astype("d") @ right.astype("d"), product(a, b, transpose)
        assert np.array_equal(np.isnan(got), np.isnan(want))
        assert np.array_equal(got[np.isinf(got)], want[np.isinf(want)])
        fine = np.isfinite(want)
        size = np.abs(left).astype("d") @ np.abs(right)
    assert (np.abs(got[fine] - want[fine]) <= (k + 8) * 2.0**-24 * size[fine]).all()


def test_only_the_chunk_with_special_values_leaves_the_tiles(rng):
    a, b = (x.astype(np.float32) for x in normal(rng, 300, 32, 40))
    a[3, 4] = np.inf
    # chunks of 160 and 140 rows
    with Counted(140, 32, 40):
        product(a, b)


def test_values_below_the_smallest_normal_count_as_zero():
    a, b = np.full((32, 32), 2.0**-127, np.float32), np.full((32, 32), 2.0**30, np.float32)
    assert not product(a, b).any()
    assert not product(b, a).any()
    # operands are normal, their products are not
    a[...], b[...] = 2.0**-70, 2.0**-70
    assert not product(a, b).any()


def test_error_of_very_small_operands(rng):
    a, b = (x.astype(np.float32) for x in normal(rng, 40, 40, 50))
    a *= (2.0 ** rng.integers(-149, -90, a.shape)).astype(np.float32)
    b *= np.float32(2.0**60)
    bound = 2.0**-126 * np.abs(b).astype("d").sum(0) + 58 * 2.0**-24 * (np.abs(a).astype("d") @ np.abs(b))
    assert (np.abs(product(a, b) - a.astype("d") @ b) <= bound).all()


def test_small_operands_that_keep_their_precision(rng):
    a, b = (x.astype(np.float32) for x in normal(rng, 40, 40, 50))
    # the smallest normal draw times 2**-100 is above 2**-126 / 2**-23
    tiny = np.float32(2.0**-80)
    assert same(product(a * tiny, b), product(a, b) * tiny)


def test_products_as_the_manual_says():
    """The emulator, or the processor: even and odd elements apart, one rounding a step, denormals as zero."""
    a, b = np.zeros((32, 32), np.float32), np.zeros((32, 32), np.float32)
    # steps p and p + 16 are a pair: steps 0 .. 15 are even, 16 .. 31 odd
    a[0, :3], b[:3, 0] = [1, 2.0**-24, 2.0**-24], 1  # 1, and twice half a unit in its last place: even stays
    a[1, [0, 1, 17]], b[17, 0] = [1, 2.0**-24, 2.0**-24], 1  # a tie in the even sum, and one at the end
    a[2, [0, 16, 17]], b[16, 0] = [1, 2.0**-24, 2.0**-24], 1  # the odd sum is exact: 1 + 2**-23
    a[3, [0, 1]] = [-1, 1 + 2.0**-7]
    with at_precision("medium"):
        got = product(a, b)[:4, 0]
    assert got.tolist() == [1, 1, 1 + 2.0**-23, 2.0**-7]
