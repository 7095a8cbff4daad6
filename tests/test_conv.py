"""kernels/*/conv.py: forward and every gradient over geometries, activations, accumulation, absent outputs, threads."""

import hotloop
import numpy as np
import pytest
from helpers import absent, agree, close, finite_difference, poison
from hotloop.kernels import scalar
from hotloop.kernels.cpu.conv import conv_backward, conv_forward
from hotloop.kernels.ref import conv as ref

# x (N, C, D, H, W), w (K, C / groups, KD, KH, KW), strides, paddings, dilations, groups
CASES = [
    ((2, 3, 1, 7, 9), (4, 3, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    ((3, 1, 1, 13, 17), (32, 1, 1, 3, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((2, 16, 1, 14, 14), (17, 16, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    ((1, 70, 1, 6, 31), (35, 70, 1, 3, 2), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    ((2, 37, 1, 5, 67), (3, 37, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    # a single tap: groups, products that threads share, three dimensions, fewer places than a tile has
    ((3, 12, 1, 9, 11), (14, 6, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 2),
    ((2, 70, 1, 30, 31), (61, 70, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((2, 5, 3, 4, 7), (3, 5, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((2, 5, 1, 2, 3), (6, 5, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    # rows longer than a block; many rows; a single place
    ((2, 4, 1, 1, 700), (6, 4, 1, 1, 5), (1, 1, 1), (0, 0, 2), (1, 1, 1), 1),
    ((1, 2, 1, 301, 3), (15, 2, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    ((2, 5, 1, 3, 3), (29, 5, 1, 3, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    # strides with a remainder, larger than the kernel, with dilation that shares a divisor or does not
    ((3, 8, 1, 9, 17), (9, 8, 1, 1, 1), (1, 2, 3), (0, 0, 0), (1, 1, 1), 1),
    ((2, 5, 1, 13, 12), (6, 5, 1, 3, 3), (1, 2, 3), (0, 1, 2), (1, 3, 2), 1),
    ((2, 3, 1, 16, 19), (6, 3, 1, 3, 4), (1, 2, 4), (0, 2, 3), (1, 2, 2), 1),
    ((1, 3, 1, 40, 41), (8, 3, 1, 7, 7), (1, 2, 2), (0, 3, 3), (1, 1, 1), 1),
    # a kernel that sees only padding at the edges
    ((2, 3, 1, 2, 2), (4, 3, 1, 2, 3), (1, 1, 1), (0, 5, 4), (1, 1, 1), 1),
    # three dimensions, groups
    ((2, 4, 5, 6, 7), (8, 2, 3, 2, 3), (2, 1, 2), (1, 0, 1), (1, 2, 1), 2),
    ((2, 6, 1, 11, 9), (12, 1, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 6),
    ((1, 6, 1, 11, 9), (6, 1, 1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 6),
    ((2, 4, 1, 1, 30), (6, 2, 1, 1, 5), (1, 1, 2), (0, 0, 2), (1, 1, 1), 2),
    # few channels to many lines, in several blocks of rows; strides, in several shares of the channels
    ((2, 3, 1, 40, 71), (20, 3, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    ((17, 15, 1, 9, 11), (24, 15, 1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 1),
    # a channel at a time: rows in parts, taps that are no runs of three, strides, three dimensions
    ((1, 2, 1, 3, 4203), (2, 1, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 2),
    ((2, 3, 1, 21, 35), (3, 1, 1, 5, 4), (1, 1, 1), (0, 4, 1), (1, 2, 1), 3),
    ((2, 3, 1, 22, 37), (3, 1, 1, 7, 3), (1, 1, 3), (0, 3, 2), (1, 1, 2), 3),
    ((2, 3, 1, 23, 37), (3, 1, 1, 3, 5), (1, 3, 1), (0, 0, 5), (1, 1, 1), 3),
    ((1, 2, 5, 9, 18), (2, 1, 3, 3, 3), (2, 1, 1), (1, 1, 1), (1, 1, 1), 2),
    # nothing: no images, no results
    ((0, 3, 1, 7, 9), (4, 3, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    ((2, 3, 1, 0, 9), (4, 3, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
]
IDS = [f"{x}*{w}s{s}p{p}d{d}g{g}".replace(" ", "") for x, w, s, p, d, g in CASES]
geometries = pytest.mark.parametrize("case", CASES, ids=IDS)
CODES, NAMES = list(scalar.ACTIVATIONS.values()), [str(name) for name in scalar.ACTIVATIONS]


def operands(rng, case, dtype):
    """x, w, b, dy and the kernel's numbers."""
    x, w, strides, paddings, dilations, groups = case
    size = tuple(
        max(0, (i + 2 * p - d * (k - 1) - 1) // s + 1)
        for i, k, s, p, d in zip(x[2:], w[2:], strides, paddings, dilations, strict=True)
    )
    shapes = x, w, w[:1], (x[0], w[0], *size)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    arrays[1] /= dtype.type(np.sqrt(max(1, np.prod(w[1:]))))
    return *arrays, (*strides, *paddings, *dilations, groups)


@geometries
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", "bias"])
@pytest.mark.parametrize("code", [0, scalar.RELU, scalar.TANH], ids=["", "relu", "tanh"])
def test_forward(backend, dtype, rng, case, bias, code):
    x, w, b, dy, numbers = operands(rng, case, dtype)
    z = dy.copy() if code == scalar.TANH else absent(dtype)
    agree(backend, "conv.conv_forward", dy.copy(), z, x, w, b if bias else absent(dtype), code, *numbers)


@geometries
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, case, accumulate):
    x, w, b, dy, numbers = operands(rng, case, dtype)
    dweight, db = rng.standard_normal(w.shape).astype(dtype), rng.standard_normal(b.shape).astype(dtype)
    if not accumulate:
        dweight, db = poison(w.shape, dtype), poison(b.shape, dtype)
    none = absent(dtype)
    agree(
        backend,
        "conv.conv_backward",
        poison(x.shape, dtype),
        dweight,
        db,
        dy,
        x,
        w,
        none,
        none,
        0,
        *numbers,
        accumulate,
    )


@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_every_activation(backend, dtype, rng, code):
    x, w, b, dy, numbers = operands(rng, CASES[3], dtype)
    y, z, *_ = agree(backend, "conv.conv_forward", dy.copy(), dy.copy(), x, w, b, code, *numbers)
    gradients = poison(x.shape, dtype), poison(w.shape, dtype), poison(b.shape, dtype)
    agree(backend, "conv.conv_backward", *gradients, dy, x, w, y, z, code, *numbers, False)


@pytest.mark.parametrize("wanted", range(3), ids=["dx", "dweight", "db"])
def test_each_gradient_alone(backend, dtype, rng, wanted):
    x, w, b, dy, numbers = operands(rng, CASES[13], dtype)
    none = absent(dtype)
    gradients = [poison(a.shape, dtype) if i == wanted else none for i, a in enumerate((x, w, b))]
    agree(backend, "conv.conv_backward", *gradients, dy, x, w, none, none, 0, *numbers, False)


@pytest.mark.parametrize("case", [CASES[i] for i in (0, 9, 10, 13, 15)], ids=[IDS[i] for i in (0, 9, 10, 13, 15)])
def test_ref_against_finite_differences(rng, case):
    (_, c, *size), w_shape, *rest = case
    x, w, b, dy, numbers = operands(rng, ((1, c, *(min(s, 7) for s in size)), w_shape, *rest), np.dtype(np.float64))
    y, none = np.empty_like(dy), absent(np.float64)

    def total():
        ref.conv_forward(y, none, x, w, b, 0, *numbers)
        return float((y * dy).sum())

    gradients = [np.empty_like(a) for a in (x, w, b)]
    ref.conv_backward(*gradients, dy, x, w, none, none, 0, *numbers, False)
    for name, got, a in zip(("dx", "dw", "db"), gradients, (x, w, b), strict=True):
        # a linear function: central differences are exact but for rounding
        close(got, finite_difference(total, a, 1e-3), 1e-10, name)


def test_the_result_says_how_much_is_padded_behind(backend, dtype, rng):
    """Padding in front is a number, behind it is what the size of the result asks for."""
    x, w, b, _, _ = operands(rng, CASES[0], dtype)
    wide = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, 3), (1, 2)))
    y, want = poison((2, 4, 1, 8, 10), dtype), poison((2, 4, 1, 8, 10), dtype)
    backend("conv.conv_forward", want, absent(dtype), wide, w, b, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1)
    backend("conv.conv_forward", y, absent(dtype), x, w, b, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1)
    close(y, want)


def test_nan_stays_where_it_is_seen(backend, dtype):
    x, w = np.ones((1, 2, 1, 20, 40), dtype), np.ones((3, 2, 1, 3, 3), dtype)
    x[0, 1, 0, 10, 20] = np.nan
    y = poison((1, 3, 1, 20, 40), dtype)
    backend("conv.conv_forward", y, absent(dtype), x, w, absent(dtype), scalar.RELU, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1)
    seen = np.zeros((20, 40), bool)
    seen[9:12, 19:22] = True
    assert np.array_equal(np.isnan(y), np.broadcast_to(seen, y.shape))


@pytest.mark.parametrize("groups", [1, 3], ids=["", "depthwise"])
def test_infinity_reaches_the_gradients_of_the_taps_that_see_it(backend, dtype, groups):
    x, dy = np.ones((2, 3, 1, 6, 9), dtype), np.ones((2, 3, 1, 6, 9), dtype)
    x[1, 1, 0, 2, 0] = np.inf
    dweight = poison((3, 3 // groups, 1, 3, 3), dtype)
    none, w = absent(dtype), np.ones_like(dweight)
    numbers = (1, 1, 1, 0, 1, 1, 1, 1, 1, groups, False)
    backend("conv.conv_backward", none, dweight, none, dy, x, w, none, none, 0, *numbers)
    want = np.zeros(dweight.shape, bool)
    # the first column is seen through all taps but the last of a row
    want[(1, 0) if groups == 3 else (slice(None), 1)][..., :2] = True
    assert np.array_equal(np.isinf(dweight), want) and not np.isnan(dweight).any()


@pytest.mark.parametrize("case", [CASES[i] for i in (2, 5, 9, 14, 17, 18, 20)])
def test_same_bits_for_any_number_of_threads(rng, dtype, case):
    x, w, b, dy, numbers = operands(rng, case, dtype)
    x, dy = (np.concatenate([a] * 8) for a in (x, dy))
    found = []
    threads = hotloop.get_num_threads()
    try:
        for count in (1, 2, 4):
            hotloop.set_num_threads(count)
            out = [np.empty_like(a) for a in (dy, x, w, b)]
            conv_forward(out[0], absent(dtype), x, w, b, 0, *numbers)
            conv_backward(*out[1:], dy, x, w, absent(dtype), absent(dtype), 0, *numbers, False)
            found.append([a.tobytes() for a in out])
    finally:
        hotloop.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "at, value, words",
    [(0, 0, "strides"), (2, -1, "strides"), (4, -1, "paddings"), (8, 0, "dilations"), (9, 2, "groups")],
)
def test_numbers_that_no_convolution_has(backend, rng, at, value, words):
    x, w, b, dy, numbers = operands(rng, CASES[0], np.dtype(np.float32))
    numbers = [value if i == at else number for i, number in enumerate(numbers)]
    # two groups of 3 channels do not exist; the weight is made to fit them
    w = np.ascontiguousarray(w[:, :1]) if at == 9 else w
    with pytest.raises(ValueError, match=words):
        backend("conv.conv_forward", dy, absent(), x, w, b, 0, *numbers)
