"""3 x 3 convolutions with channels enough to be done by fewer products: kernels/cpu/winograd.py, winograd_weight.py."""

import hotloop
import numpy as np
import pytest
from helpers import Backend, absent, agree, close, error, poison, python, same
from hotloop.kernels import scalar
from hotloop.kernels.cpu.conv import conv_backward, conv_forward
from hotloop.kernels.cpu.target import VECTOR_BYTES
from hotloop.kernels.cpu.winograd import BY_NEST, Planes, suits
from hotloop.kernels.ref import conv as ref

CPU = Backend("cpu")
# images, channels, height, width, lines, padding down and across, groups
CASES = [
    (2, 33, 14, 14, 40, (1, 1), 1),
    (2, 20, 15, 37, 17, (0, 2), 1),
    (1, 130, 13, 9, 20, (2, 0), 1),
    # rows of tiles longer than a block, and shorter than a vector; tall and narrow
    (1, 16, 9, 301, 18, (1, 1), 1),
    (40, 16, 3, 3, 15, (1, 1), 1),
    (9, 16, 40, 3, 16, (0, 1), 1),
    # more padding than taps, so that the gradient of the input begins inside of dy
    (3, 16, 12, 10, 16, (3, 4), 1),
    (4, 48, 11, 7, 32, (1, 1), 2),
    # shares of lines and channels, in parts and in turns
    (1, 150, 10, 10, 100, (1, 1), 1),
    (1, 20, 14, 14, 600, (1, 1), 1),
]
IDS = [str(case).replace(" ", "") for case in CASES]
cases = pytest.mark.parametrize("case", CASES, ids=IDS)


def operands(rng, case, dtype):
    """x, w, b, dy and the kernel's numbers."""
    n, c, height, width, k, (down, across), groups = case
    shapes = (n, c, 1, height, width), (k, c // groups, 1, 3, 3), (k,)
    shapes += ((n, k, 1, height + 2 * down - 2, width + 2 * across - 2),)
    x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    w /= dtype.type(np.sqrt(9 * c // groups))
    return x, w, b, dy, (1, 1, 1, 0, down, across, 1, 1, 1, groups)


@cases
def test_the_cases_are_done_so(case, dtype):
    """Else what follows would prove nothing."""
    n, c, height, width, k, (down, across), groups = case
    planes = Planes(height, width, -down, -across, height + 2 * down - 2, width + 2 * across - 2)
    form = (1, 3, 3), (1, 1, 1), (0, down, across), (1, 1, 1), (1, 1)
    lanes = VECTOR_BYTES // dtype.itemsize
    assert suits(n, k // groups, c // groups, planes, form, lanes, BY_NEST)


@cases
@pytest.mark.parametrize("code", [0, scalar.RELU, scalar.TANH], ids=["", "relu", "tanh"])
def test_forward(case, dtype, rng, code):
    x, w, b, dy, numbers = operands(rng, case, dtype)
    z = dy.copy() if code == scalar.TANH else absent(dtype)
    agree(CPU, "conv.conv_forward", dy.copy(), z, x, w, absent(dtype) if code == 0 else b, code, *numbers)


@cases
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(case, dtype, rng, accumulate):
    x, w, b, dy, numbers = operands(rng, case, dtype)
    dw, db = rng.standard_normal(w.shape).astype(dtype), rng.standard_normal(b.shape).astype(dtype)
    none = absent(dtype)
    agree(CPU, "conv.conv_backward", poison(x.shape, dtype), dw, db, dy, x, w, none, none, 0, *numbers, accumulate)


def test_results_that_reach_further_than_the_padding_in_front(dtype, rng):
    x, w, b, _, numbers = operands(rng, CASES[0], dtype)
    agree(CPU, "conv.conv_forward", poison((2, 40, 1, 17, 15), dtype), absent(dtype), x, w, b, 0, *numbers)
    # planes of results that see nothing
    agree(CPU, "conv.conv_forward", poison((2, 40, 2, 14, 14), dtype), absent(dtype), x, w, b, 0, *numbers)


def test_whole_numbers_are_exact(dtype, rng):
    x, w, b, dy, numbers = operands(rng, CASES[0], dtype)
    x, w, b, dy = (rng.integers(-4, 5, a.shape).astype(dtype) for a in (x, w, b, dy))
    y, none, gradients = poison(dy.shape, dtype), absent(dtype), [poison(a.shape, dtype) for a in (x, w, b)]
    want = [np.empty_like(a) for a in (y, *gradients)]
    ref.conv_forward(want[0], none, x, w, b, 0, *numbers)
    ref.conv_backward(*want[1:], dy, x, w, none, none, 0, *numbers, False)
    conv_forward(y, none, x, w, b, 0, *numbers)
    conv_backward(*gradients, dy, x, w, none, none, 0, *numbers, False)
    for got, right in zip((y, *gradients), want, strict=True):
        assert np.array_equal(got, right)


@pytest.mark.parametrize("channels", [64, 512])
def test_as_accurate_as_sums_in_float32(channels, rng):
    """The same sums without transforms, by the same register tile: a 1 x 1 convolution of patches."""
    case = (2, channels, 8, 8, channels, (1, 1), 1)
    x, w, _, dy, numbers = operands(rng, case, np.dtype(np.float64))
    none, narrow = absent(np.float64), [a.astype(np.float32) for a in (x, w, dy)]
    want = [np.empty_like(a) for a in (dy, x, w)]
    given = [a.astype(np.float64) for a in narrow]
    ref.conv_forward(want[0], none, given[0], given[1], none, 0, *numbers)
    ref.conv_backward(*want[1:], none, given[2], given[0], given[1], none, none, 0, *numbers, False)
    got, none = [np.empty_like(a, np.float32) for a in want], absent()
    conv_forward(got[0], none, narrow[0], narrow[1], none, 0, *numbers)
    conv_backward(*got[1:], none, narrow[2], narrow[0], narrow[1], none, none, 0, *numbers, False)
    wide = np.pad(narrow[0], ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1)))
    patches = np.stack([wide[..., i : i + 8, j : j + 8] for i in range(3) for j in range(3)], 2)
    patches, plain = patches.reshape(2, 9 * channels, 1, 8, 8), (1, 1, 1, 0, 0, 0, 1, 1, 1, 1)
    direct = np.empty_like(got[0])
    conv_forward(direct, none, patches, narrow[1].reshape(channels, -1, 1, 1, 1), none, 0, *plain)
    bound = error(direct, want[0])
    for name, result, right in zip(("y", "dx", "dw"), got, want, strict=True):
        ratio = error(result, right)
        largest = np.abs(result - right).max() / np.abs(direct - want[0]).max() * want[0].std() / right.std()
        print(f"{name}: {ratio:.2e}, {ratio / bound:.2f} of the direct sum's, the largest {largest:.2f}")
        assert ratio < 1.5 * bound and largest < 2


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [(0, 0), (5, 6), (6, 5), (13, 13), (0, 12)], ids=str)
@pytest.mark.parametrize("which", ["x", "w", "dy"])
def test_what_is_not_finite_goes_where_the_sums_take_it(dtype, rng, which, place, value):
    # no padding: in front of an infinite weight zeros are multiplied by it
    x, w, b, dy, numbers = operands(rng, (2, 16, 14, 14, 17, (0, 0), 1), dtype)
    if which == "w":
        w[3, 5, 0, place[0] % 3, place[1] % 3] = value
    else:
        a = {"x": x, "dy": dy}[which]
        a[1, 5, 0, min(place[0], a.shape[3] - 1), min(place[1], a.shape[4] - 1)] = value
    dw, none = rng.standard_normal(w.shape).astype(dtype), absent(dtype)
    results = []
    with np.errstate(invalid="ignore"):
        for kernels in (ref.conv_forward, ref.conv_backward), (conv_forward, conv_backward):
            y, dx, added = poison(dy.shape, dtype), poison(x.shape, dtype), dw.copy()
            kernels[0](y, none, x, w, b, scalar.RELU, *numbers)
            kernels[1](dx, added, none, dy, x, w, none, none, 0, *numbers, True)
            results.append((y, dx, added))
    for name, want, got in zip(("y", "dx", "dw"), *results, strict=True):
        assert np.array_equal(np.isnan(got), np.isnan(want)), name
        close(np.where(np.isnan(got), 0, got), np.where(np.isnan(want), 0, want), name=name)


def test_numbers_as_large_as_there_are(rng):
    """What overflows in a transform is summed as it is."""
    x, w, b, dy, numbers = operands(rng, CASES[0], np.dtype(np.float32))
    x, dy = (np.sign(a) * np.float32(2e38) for a in (x, dy))
    w, none = w * np.float32(0.01), absent()
    agree(CPU, "conv.conv_forward", np.empty_like(dy), none, x, w, b, 0, *numbers)
    x, dx = x * np.float32(1e-38), np.empty_like(x)
    dx, dw = np.empty_like(x), rng.standard_normal(w.shape).astype(np.float32)
    agree(CPU, "conv.conv_backward", dx, dw, none, dy * np.float32(0.1), x * 0.01, w, none, none, 0, *numbers, True)


def test_nothing_of_an_earlier_call_is_left(dtype, rng):
    x, w, b, dy, numbers = operands(rng, CASES[1], dtype)
    none = absent(dtype)

    def run(x, dy):
        out = [np.empty_like(a) for a in (dy, x, w, b)]
        conv_forward(out[0], none, x, w, b, 0, *numbers)
        conv_backward(*out[1:], dy, x, w, none, none, 0, *numbers, False)
        return out

    first = run(x, dy)
    run(np.full_like(x, np.nan), np.full_like(dy, np.nan))
    assert all(map(same, first, run(x, dy)))


@pytest.mark.parametrize("case", [CASES[i] for i in (0, 3, 7, 8)], ids=[IDS[i] for i in (0, 3, 7, 8)])
def test_same_bits_for_any_number_of_threads(rng, dtype, case):
    x, w, b, dy, numbers = operands(rng, (3 * case[0], *case[1:]), dtype)
    none, found, threads = absent(dtype), [], hotloop.get_num_threads()
    try:
        for count in (1, 2, 5):
            hotloop.set_num_threads(count)
            out = [np.empty_like(a) for a in (dy, x, w, b)]
            conv_forward(out[0], none, x, w, b, 0, *numbers)
            conv_backward(*out[1:], dy, x, w, none, none, 0, *numbers, False)
            found.append([a.tobytes() for a in out])
    finally:
        hotloop.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


def test_nothing_is_touched_beyond_the_operands():
    program = """
import numpy as np
from guard_pages import run
from test_winograd import CASES, absent, operands

for dtype in map(np.dtype, (np.float32, np.float64)):
    for case in CASES[:5]:
        x, w, b, dy, numbers = operands(np.random.default_rng(0), case, dtype)
        none = absent(dtype)
        run("conv.conv_forward", np.empty_like(dy), none, x, w, b, 0, *numbers)
        dx, dw, db = (np.empty_like(a) for a in (x, w, b))
        run("conv.conv_backward", dx, dw, db, dy, x, w, none, none, 0, *numbers, False)
print("finished")
"""
    assert "finished" in python("-c", program, cwd="tests")
