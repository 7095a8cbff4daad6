"""Tests of the AMX path, for a process that is told the processor has AMX: see test_amx.py.

Where it has not, the machine code is executed by an emulator (amx_emulator.py), some microseconds an instruction.
"""

import itertools
import math

import amx_emulator
import hotloop
import numpy as np
import pytest
from guard_pages import guarded
from helpers import Backend, agree, poison, same
from hotloop.kernels import state, threads
from hotloop.kernels.cpu import amx_gemm, matmul_packed, split, target
from hotloop.kernels.cpu.epilogue import Plain
from hotloop.kernels.cpu.linear import Activated
from hotloop.kernels.cpu.pack import Matrix, address_of
from hotloop.kernels.jit import standalone
from hotloop.kernels.scalar import GELU
from products import DENSE, Amid, each_transpose, excess_over, operands, turned

EMULATED = amx_emulator.install()
NONE = np.empty(0, np.float32)
PRECISIONS = {"highest": 6, "high": 3, "medium": 1}
# componentwise, relative to |a| @ |b|: what the parts that are left out may come to (kernels/cpu/split.py)
LEFT_OUT = {"highest": 2.0**-24, "high": 2.0**-15, "medium": 2.0**-7 + 2.0**-16}

# what comes of it on normal random operands: neither more, nor so little that it was not what was asked for
NORMWISE = {"highest": (0, 3e-7), "high": (2e-6, 1e-5), "medium": (1e-3, 5e-3)}


@standalone
def multiply(y, a, b, transpose_a, transpose_b, accumulate, bias, relu):
    m, k = (a.shape[1], a.shape[0]) if transpose_a else a.shape
    n, c = y.shape[1], y.reshape(-1)
    lines = Matrix(a.reshape(-1), a.shape[1], m, not transpose_a)
    columns = Matrix(b.reshape(-1), b.shape[1], n, transpose_b)
    amx_gemm.amx_gemm(m, n, k, lines, columns, c, n, accumulate, Plain(bias, relu))


@standalone
def multiply_activated(y, z, a, b, bias, activation):
    m, n, k, c = a.shape[0], y.shape[1], a.shape[1], y.reshape(-1)
    lines, columns = Matrix(a.reshape(-1), k, m, True), Matrix(b.reshape(-1), n, n, False)
    amx_gemm.amx_gemm(m, n, k, lines, columns, c, n, False, Activated(bias, False, z.reshape(-1), activation))


@standalone
def split_panel(packed, for_a, operand, first, count, step, depth, parts, like):
    return split.split_panel(address_of(packed), for_a, operand, first, count, step, depth, parts, like)


@pytest.fixture(autouse=True)
def as_before():
    count = threads.get_num_threads()
    yield
    threads.set_num_threads(count)
    hotloop.set_matmul_precision("highest")


def product(a, b, transpose=(False, False), start=None, bias=NONE, relu=False):
    """op(a) @ op(b) amid NaN, into NaN or added to start."""
    left, right = turned(a, b, transpose)
    y = Amid(poison((left.shape[0], right.shape[1]), np.float32) if start is None else start, 3)
    a, b = Amid(a, 5), Amid(b, 1)
    multiply(y.array, a.array, b.array, *transpose, start is not None, bias, relu)
    assert all(field.surroundings_untouched() for field in (y, a, b))
    return y.array


def tiles_used(m, n, k):
    return math.ceil(m / 32) * math.ceil(n / 32) * math.ceil(k / 32)


class Counted:
    """Asserts that tiles did the whole of a product: no block of depth went another way."""

    def __init__(self, m, n, k, products=6):
        self.expected = tiles_used(m, n, k) * products * 4

    def __enter__(self):
        self.before = amx_emulator.executed()["tdpbf16ps"]

    def __exit__(self, kind, value, trace):
        done = amx_emulator.executed()["tdpbf16ps"] - self.before
        assert kind or not EMULATED or done == self.expected, f"{done} tile products, expected {self.expected}"


def excess(got, left, right, *added, left_out=LEFT_OUT["highest"]):
    """The error in units of its bound: a plain sum's, eight roundings more, and what the split leaves out."""
    left, right, added = left.astype("d"), right.astype("d"), [x.astype("d") for x in added]
    products, n = np.abs(left) @ np.abs(right), left.shape[1] + 8 + len(added)
    # excess_over multiplies by n unit roundoffs
    size = sum(map(np.abs, added), products * (1 + left_out / (n * 2.0**-24)))
    return excess_over(got, sum(added, left @ right), size, n)


def test_the_path_is_on():
    assert target.AMX
    assert "AMX" in target.path()
    assert state.words[state.PRODUCTS] == 6


SIZES = [size for size in DENSE if size]
# each size in each place, each pair of neighbours in the list together
TRIPLES = [(m, SIZES[(i + 7) % len(SIZES)], SIZES[(5 * i + 3) % len(SIZES)]) for i, m in enumerate(SIZES)]
# over one panel's depth, over the rows and columns packed at a time, over the rows of a chunk
LARGE = [(40, 33, 385), (33, 40, 800), (2050, 5, 40), (5, 2070, 40), (290, 33, 20)]


@each_transpose
@pytest.mark.parametrize("m, n, k", TRIPLES + LARGE)
def test_sizes(rng, m, n, k, transpose):
    a, b = operands(rng, m, n, k, transpose, np.float32)
    start = rng.standard_normal((m, n)).astype(np.float32)
    with Counted(2 * m, n, k) if m % 32 == 0 else Counted(64 * math.ceil(m / 32), n, k):
        overwritten, added = product(a, b, transpose), product(a, b, transpose, start)
    left, right = turned(a, b, transpose)
    assert excess(overwritten, left, right) <= 1
    assert excess(added, left, right, start) <= 1


@pytest.mark.parametrize("m, n, k", [(33, 65, 40), (64, 64, 400)])
def test_epilogues(rng, m, n, k):
    a, b = operands(rng, m, n, k, (False, False), np.float32)
    bias = rng.standard_normal(n).astype(np.float32)
    biased = product(a, b, bias=bias)
    assert excess(biased, a, b, np.broadcast_to(bias, (m, n))) <= 1
    assert same(product(a, b, bias=bias, relu=True), np.maximum(biased, 0))
    assert same(product(a, b, relu=True), np.maximum(product(a, b), 0))

    y, z = poison((m, n), np.float32), poison((m, n), np.float32)
    multiply_activated(y, z, a, b, bias, GELU)
    assert same(z, biased)
    erf = np.vectorize(math.erf)(z.astype("d") / math.sqrt(2))
    assert np.abs(y - z * (1 + erf) / 2).max() < 1e-6


def normal(rng, m, n, k):
    return rng.standard_normal((m, k)), rng.standard_normal((k, n))


def positive(rng, m, n, k):
    return rng.random((m, k)), rng.random((k, n))


def badly_scaled(rng, m, n, k):
    a, b = normal(rng, m, n, k)
    return a * 10.0 ** rng.integers(-9, 9, (m, 1)), b * 10.0 ** rng.integers(-9, 9, (1, n))


def badly_scaled_inside(rng, m, n, k):
    a, b = normal(rng, m, n, k)
    return a * 10.0 ** rng.integers(-4, 4, (m, k)), b * 10.0 ** rng.integers(-4, 4, (k, n))


def errors(got, a, b):
    """Normwise error, each row and column brought to the size of its operands; largest componentwise error."""
    exact, size = a.astype("d") @ b.astype("d"), np.abs(a).astype("d") @ np.abs(b)
    scale = np.linalg.norm(a.astype("d"), axis=1)[:, None] * np.linalg.norm(b.astype("d"), axis=0)
    return np.array(
        [np.linalg.norm((got - exact) / scale) / np.linalg.norm(exact / scale), np.max(np.abs(got - exact) / size)]
    )


@pytest.mark.parametrize("k", [64, 384, 800])
@pytest.mark.parametrize("kind", [normal, positive, badly_scaled, badly_scaled_inside])
def test_no_less_accurate_than_a_plain_product(rng, kind, k):
    a, b = (x.astype(np.float32) for x in kind(rng, 64, 96, k))
    ours, plain = errors(product(a, b), a, b), errors(a @ b, a, b)
    print(f"normwise, componentwise: {ours}, NumPy {plain}")
    assert (ours <= plain).all()
    torch = pytest.importorskip("torch")
    peer = errors((torch.from_numpy(a) @ torch.from_numpy(b)).numpy(), a, b)
    print(f"PyTorch {peer}")
    assert (ours <= peer).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precisions(rng, precision):
    hotloop.set_matmul_precision(precision)
    for transpose, k in itertools.product([(False, False), (True, True)], (1, 50, 500)):
        a, b = operands(rng, 50, 40, k, transpose, np.float32)
        with Counted(50, 40, k, PRECISIONS[precision]):
            got = product(a, b, transpose)
        left, right = turned(a, b, transpose)
        assert excess(got, left, right, left_out=LEFT_OUT[precision]) <= 1
        low, high = NORMWISE[precision]
        assert low < errors(got, left, right)[0] < high


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


@pytest.mark.parametrize("m, n, k", [(128, 160, 130), (128, 96, 400)])
def test_threads_change_no_bit(rng, m, n, k):
    a, b = operands(rng, m, n, k, (False, False), np.float32)
    threads.set_num_threads(1)
    alone = product(a, b)
    for count in (2, 3):
        threads.set_num_threads(count)
        for _ in range(3):
            assert same(product(a, b), alone)


@each_transpose
def test_kernels_come_this_way(rng, transpose):
    m, n, k = 150, 130, 110
    a, b = operands(rng, m, n, k, transpose, np.float32)
    with Counted(m, n, k):
        agree(Backend("cpu"), "gemm.matmul_forward", poison((m, n), np.float32), a, b, *transpose, False, tol=2e-7)


@pytest.mark.parametrize("transpose_b", [False, True], ids=["N", "T"])
def test_weights_packed_once_come_this_way(rng, transpose_b):
    m, n, k = 150, 130, 420
    a, b = operands(rng, m, n, k, (False, transpose_b), np.float32)
    packed = poison(matmul_packed.packed_size(k, n, np.float32), np.float32)
    matmul_packed.matmul_pack_forward(packed, b, transpose_b)
    y = poison((m, n), np.float32)
    with Counted(m, n, k):
        matmul_packed.matmul_packed_forward(y, a, packed, False, False)
    assert same(y, product(a, b, (False, transpose_b)))


def test_small_products_do_not(rng):
    for m, n, k in [(100, 100, 100), (8, 1000, 1000)]:
        a, b = operands(rng, m, n, k, (False, False), np.float32)
        with Counted(0, 0, 0):
            agree(Backend("cpu"), "gemm.matmul_forward", poison((m, n), np.float32), a, b, False, False, False)


def test_a_layer_with_its_activation(rng):
    n, d, h = 150, 130, 110
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in [(n, d), (h, d), (h,)])
    y, z = poison((n, h), np.float32), poison((n, h), np.float32)
    with Counted(n, h, d):
        agree(Backend("cpu"), "linear.linear_forward", y, z, x, w, b, GELU)


@each_transpose
@pytest.mark.parametrize("end", [False, True], ids=["begin", "end"])
@pytest.mark.parametrize("m, n, k", [(32, 32, 32), (64, 64, 128), (33, 70, 45)])
def test_nothing_outside_the_operands_is_touched(rng, m, n, k, transpose, end):
    a, b = (guarded(x, end) for x in operands(rng, m, n, k, transpose, np.float32))
    y = guarded(poison((m, n), np.float32), end)
    multiply(y, a, b, *transpose, False, NONE, False)
    assert excess(y, *turned(a, b, transpose)) <= 1


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
        x = rng.uniform(-2, 2, (depth + 7, lines)) * 2.0 ** rng.integers(-102, 126, (depth + 7, lines))
        x = x.astype(np.float32)
        field = Amid(np.ascontiguousarray(x.T) if by_line else x)
        operand = Matrix(field.array.reshape(-1), field.array.shape[1], lines, by_line)
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
    multiply_code = next(iter(multiply.inspect_asm().values()))
    names = [line.split()[0] for line in multiply_code.splitlines() if line.strip()]
    loads = {6: 14, 3: 8, 1: 4}
    assert names.count("tdpbf16ps") == sum(4 * products for products in loads)
    assert names.count("tileloadd") == sum(loads.values())
    assert names.count("tilestored") == names.count("tilezero") == 4
    # one after the other, each loop holds its loads and products alone
    kinds = [name for name in names if name in ("tdpbf16ps", "tileloadd") or name.startswith("j")]
    runs = [list(group) for jump, group in itertools.groupby(kinds, lambda name: name.startswith("j")) if not jump]
    assert sorted((run.count("tdpbf16ps"), run.count("tileloadd")) for run in runs) == [(4, 4), (12, 8), (24, 14)]


def test_products_as_the_manual_says():
    """The emulator, or the processor: even and odd elements apart, one rounding a step, denormals as zero."""
    a, b = np.zeros((32, 32), np.float32), np.zeros((32, 32), np.float32)
    hotloop.set_matmul_precision("medium")
    # steps p and p + 16 are a pair: steps 0 .. 15 are even, 16 .. 31 odd
    a[0, :3], b[:3, 0] = [1, 2.0**-24, 2.0**-24], 1  # 1, and twice half a unit in its last place: even stays
    a[1, [0, 1, 17]], b[17, 0] = [1, 2.0**-24, 2.0**-24], 1  # a tie in the even sum, and one at the end
    a[2, [0, 16, 17]], b[16, 0] = [1, 2.0**-24, 2.0**-24], 1  # the odd sum is exact: 1 + 2**-23
    a[3, [0, 1]] = [-1, 1 + 2.0**-7]
    got = product(a, b)[:4, 0]
    assert got.tolist() == [1, 1, 1 + 2.0**-23, 2.0**-7]
