"""kernels/*/conv_transpose.py: forward and every gradient over geometries, activations, accumulation, threads."""

import hotloop
import numpy as np
import pytest
from helpers import absent, agree, close, finite_difference, poison
from hotloop.kernels import scalar
from hotloop.kernels.cpu.conv_transpose import conv_transpose_backward, conv_transpose_forward
from hotloop.kernels.ref import conv_transpose as ref

# x (N, C, D, H, W), w (C, K / groups, KD, KH, KW), strides, paddings, output paddings, dilations, groups
CASES = [
    ((2, 3, 1, 7, 9), (3, 4, 1, 3, 3), (1, 1, 1), (0, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((2, 17, 1, 6, 5), (17, 35, 1, 4, 4), (1, 2, 2), (0, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((3, 70, 1, 5, 31), (70, 3, 1, 3, 2), (1, 2, 3), (0, 1, 0), (0, 1, 2), (1, 1, 1), 1),
    # strides beyond the kernel leave places that nothing reaches
    ((2, 5, 1, 4, 6), (5, 6, 1, 2, 1), (1, 4, 3), (0, 0, 0), (0, 1, 2), (1, 1, 1), 1),
    # dilation that shares a divisor with the stride or does not; output padding that only dilation allows
    ((2, 3, 1, 6, 9), (3, 6, 1, 3, 4), (1, 2, 4), (0, 2, 3), (0, 0, 1), (1, 2, 2), 1),
    ((2, 3, 1, 6, 5), (3, 4, 1, 3, 3), (1, 2, 1), (0, 1, 3), (0, 2, 1), (1, 3, 2), 1),
    # rows longer than a block; three dimensions, groups
    ((1, 4, 1, 1, 500), (4, 6, 1, 1, 5), (1, 1, 2), (0, 0, 2), (0, 0, 1), (1, 1, 1), 1),
    ((2, 4, 3, 4, 5), (4, 3, 3, 2, 3), (2, 1, 2), (1, 0, 1), (1, 0, 0), (1, 2, 1), 2),
    ((2, 6, 1, 7, 9), (6, 1, 1, 3, 3), (1, 2, 2), (0, 1, 1), (0, 1, 1), (1, 1, 1), 6),
    ((1, 6, 1, 7, 9), (6, 2, 1, 3, 3), (1, 1, 1), (0, 1, 1), (0, 0, 0), (1, 1, 1), 6),
    # many channels in, more of them out than go together; many images, which leave all channels in one share
    ((1, 300, 1, 3, 4), (300, 20, 1, 3, 3), (1, 1, 2), (0, 1, 0), (0, 0, 0), (1, 1, 1), 1),
    ((17, 5, 1, 2, 3), (5, 9, 1, 4, 4), (1, 2, 2), (0, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    # nothing: no images; a few places of padding alone
    ((0, 3, 1, 7, 9), (3, 4, 1, 3, 3), (1, 1, 1), (0, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((2, 3, 1, 1, 4), (3, 4, 1, 1, 3), (1, 1, 1), (0, 0, 3), (0, 0, 0), (1, 1, 1), 1),
]
IDS = [f"{x}*{w}s{s}p{p}o{o}d{d}g{g}".replace(" ", "") for x, w, s, p, o, d, g in CASES]
geometries = pytest.mark.parametrize("case", CASES, ids=IDS)
CODES, NAMES = list(scalar.ACTIVATIONS.values()), [str(name) for name in scalar.ACTIVATIONS]


def operands(rng, case, dtype):
    """x, w, b, dy and the kernel's numbers."""
    x, w, strides, paddings, beyond, dilations, groups = case
    size = tuple(
        (i - 1) * s - 2 * p + d * (k - 1) + 1 + o
        for i, k, s, p, o, d in zip(x[2:], w[2:], strides, paddings, beyond, dilations, strict=True)
    )
    outputs = w[1] * groups
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in (x, w, (outputs,), (x[0], outputs, *size))]
    arrays[1] /= dtype.type(np.sqrt(w[0]))
    return *arrays, (*strides, *paddings, *dilations, groups)


@geometries
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", "bias"])
@pytest.mark.parametrize("code", [0, scalar.RELU, scalar.TANH], ids=["", "relu", "tanh"])
def test_forward(backend, dtype, rng, case, bias, code):
    x, w, b, dy, numbers = operands(rng, case, dtype)
    z, b = dy.copy() if code == scalar.TANH else absent(dtype), b if bias else absent(dtype)
    agree(backend, "conv_transpose.conv_transpose_forward", dy.copy(), z, x, w, b, code, *numbers)


@geometries
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, case, accumulate):
    x, w, b, dy, numbers = operands(rng, case, dtype)
    dweight, db = rng.standard_normal(w.shape).astype(dtype), rng.standard_normal(b.shape).astype(dtype)
    if not accumulate:
        dweight, db = poison(w.shape, dtype), poison(b.shape, dtype)
    arguments = (dy, x, w, absent(dtype), absent(dtype), 0, *numbers, accumulate)
    agree(backend, "conv_transpose.conv_transpose_backward", poison(x.shape, dtype), dweight, db, *arguments)


@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_every_activation(backend, dtype, rng, code):
    x, w, b, dy, numbers = operands(rng, CASES[1], dtype)
    forward = "conv_transpose.conv_transpose_forward"
    y, z, *_ = agree(backend, forward, dy.copy(), dy.copy(), x, w, b, code, *numbers)
    gradients = poison(x.shape, dtype), poison(w.shape, dtype), poison(b.shape, dtype)
    backward = "conv_transpose.conv_transpose_backward"
    agree(backend, backward, *gradients, dy, x, w, y, z, code, *numbers, False)


@pytest.mark.parametrize("wanted", range(3), ids=["dx", "dweight", "db"])
def test_each_gradient_alone(backend, dtype, rng, wanted):
    x, w, b, dy, numbers = operands(rng, CASES[7], dtype)
    none = absent(dtype)
    gradients = [poison(a.shape, dtype) if i == wanted else none for i, a in enumerate((x, w, b))]
    agree(backend, "conv_transpose.conv_transpose_backward", *gradients, dy, x, w, none, none, 0, *numbers, False)


@pytest.mark.parametrize("case", [CASES[i] for i in (0, 4, 7, 8)], ids=[IDS[i] for i in (0, 4, 7, 8)])
def test_ref_against_finite_differences(rng, case):
    (_, c, *size), *rest = case
    x, w, b, dy, numbers = operands(rng, ((1, c, *size), *rest), np.dtype(np.float64))
    y, none = np.empty_like(dy), absent(np.float64)

    def total():
        ref.conv_transpose_forward(y, none, x, w, b, 0, *numbers)
        return float((y * dy).sum())

    gradients = [np.empty_like(a) for a in (x, w, b)]
    ref.conv_transpose_backward(*gradients, dy, x, w, none, none, 0, *numbers, False)
    for name, got, a in zip(("dx", "dw", "db"), gradients, (x, w, b), strict=True):
        # a linear function: central differences are exact but for rounding
        close(got, finite_difference(total, a, 1e-3), 1e-10, name)


@pytest.mark.parametrize("case", [CASES[i] for i in (1, 7, 8)], ids=[IDS[i] for i in (1, 7, 8)])
def test_same_bits_for_any_number_of_threads(rng, dtype, case):
    x, w, b, dy, numbers = operands(rng, case, dtype)
    x, dy = (np.concatenate([a] * 8) for a in (x, dy))
    found = []
    threads = hotloop.get_num_threads()
    try:
        for count in (1, 2, 4):
            hotloop.set_num_threads(count)
            out = [np.empty_like(a) for a in (dy, x, w, b)]
            conv_transpose_forward(out[0], absent(dtype), x, w, b, 0, *numbers)
            conv_transpose_backward(*out[1:], dy, x, w, absent(dtype), absent(dtype), 0, *numbers, False)
            found.append([a.tobytes() for a in out])
    finally:
        hotloop.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "at, value, words",
    [(0, 0, "strides"), (2, -1, "strides"), (4, -1, "paddings"), (8, 0, "dilations"), (9, 0, "groups")],
)
def test_numbers_that_no_convolution_has(backend, rng, at, value, words):
    x, w, b, dy, numbers = operands(rng, CASES[0], np.dtype(np.float32))
    numbers = [value if i == at else number for i, number in enumerate(numbers)]
    # no groups at all make a weight of no lines
    w = w[:, :0].copy() if at == 9 else w
    with pytest.raises(ValueError, match=words):
        backend("conv_transpose.conv_transpose_forward", dy, absent(), x, w, b, 0, *numbers)
