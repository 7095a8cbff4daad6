"""Resampling: tables and kernels against ref, gradients, layers and functions against PyTorch, what is refused."""

import itertools

import hotloop
import numpy as np
import pytest
from helpers import Backend, agree, close, finite_difference, poison, same
from hotloop import nn
from hotloop.kernels import interpolate_modes as modes
from hotloop.nn import functional as F

CODES = {
    "nearest": modes.NEAREST,
    "nearest-exact": modes.NEAREST_EXACT,
    "linear": modes.LINEAR,
    "cubic": modes.CUBIC,
    "linear antialias": modes.LINEAR_ANTIALIAS,
    "cubic antialias": modes.CUBIC_ANTIALIAS,
}
# elements, results, scale, corners
AXES = [
    (1, 1, 0.0, False),
    (5, 10, 0.0, False),
    (37, 13, 0.0, False),
    (7, 17, 0.0, True),
    (17, 7, 0.4123, False),
    (1, 5, 0.0, True),
    (6, 1, 0.0, True),
    (6, 6, 1.1, False),
    (2, 9, 4.7, False),
    (70, 61, 0.0, False),
]


def table(backend, dtype, axis, mode):
    size, count, scale, corners = axis
    shape = modes.taps_of(mode, size, count, scale, corners), count
    taps, weights = poison(shape, np.int64), poison(shape, dtype)
    backend("interpolate_taps.interpolate_taps_forward", taps, weights, size, scale, mode, corners)
    return taps, weights


@pytest.mark.parametrize("mode", CODES)
def test_tables(backend, dtype, mode):
    for axis in AXES:
        # in the dtype of the weights: one in the other would choose another element now and then
        taps, weights = table(backend, dtype, axis, CODES[mode])
        want_taps, want = table(Backend("ref"), dtype, axis, CODES[mode])
        assert (taps == want_taps).all() and taps.min() >= 0 and taps.max() <= axis[0]
        close(weights, want)
        # a constant stays what it is
        close(weights.sum(0), np.ones(axis[1]), 1e-6 if dtype == np.float32 else 1e-14)


# planes and, for each axis, which of AXES
SHAPES = {
    "nothing": (0, 0, 1, 2),
    "line": (7, 0, 0, 2),
    "up": (3, 0, 1, 3),
    "down": (3, 0, 4, 2),
    "solid": (2, 5, 8, 1),
    "many rows": (40, 0, 9, 9),
}


def case(dtype, shape, mode):
    planes, *axes = shape
    axes = [AXES[i] for i in axes]
    tables = [array for axis in axes for array in table(Backend("ref"), dtype, axis, CODES[mode])]
    return (planes, *(axis[0] for axis in axes)), (planes, *(axis[1] for axis in axes)), tables


@pytest.mark.parametrize("mode", CODES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_kernels(backend, dtype, rng, shape, mode):
    x_shape, y_shape, tables = case(dtype, shape, mode)
    x, dy = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
    agree(backend, "interpolate.interpolate_forward", poison(y_shape, dtype), x, *tables)
    agree(backend, "interpolate.interpolate_backward", poison(x_shape, dtype), dy, *tables)


@pytest.mark.parametrize("mode", ["nearest", "cubic", "linear antialias"])
def test_ref_gradient_is_the_slope(rng, mode):
    ref = Backend("ref")
    x_shape, y_shape, tables = case(np.float64, (2, 8, 1, 4), mode)
    x, y, dy = rng.standard_normal(x_shape), np.empty(y_shape), rng.standard_normal(y_shape)

    def loss():
        ref("interpolate.interpolate_forward", y, x, *tables)
        return float((dy * y).sum())

    dx = poison(x_shape, np.float64)
    ref("interpolate.interpolate_backward", dx, dy, *tables)
    # linear in x: cancellation alone
    close(dx, finite_difference(loss, x), 1e-8)


def test_what_is_none_spoils_nothing(backend, dtype):
    """Missing taps read nothing: an infinity stays where it is looked at."""
    taps = np.array([[0, 1, 2], [1, 3, 3], [3, 3, 3]])
    one = np.zeros((1, 1), np.int64), np.ones((1, 1), dtype)
    given = *one, *one, taps, np.ones((3, 3), dtype)
    for x in ([1, 2, np.inf], [np.inf, 2, 3], [1, np.nan, 3]):
        x, y, want = np.array(x, dtype).reshape(1, 1, 1, 3), poison((1, 1, 1, 3), dtype), poison((1, 1, 1, 3), dtype)
        for path in ("interpolate.interpolate_forward", "interpolate.interpolate_backward"):
            backend(path, y, x, *given)
            Backend("ref")(path, want, x, *given)
            np.testing.assert_array_equal(y, want)
            assert np.isfinite(want).any()


def test_wrong_tables_are_refused(backend):
    x, y = np.ones((1, 1, 1, 4), np.float32), np.ones((1, 1, 1, 2), np.float32)
    one, weights = (np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32)), np.ones((1, 2), np.float32)
    for bad in ([[0, 5]], [[-1, 0]]):
        with pytest.raises(ValueError, match="does not lie in the input"):
            backend("interpolate.interpolate_forward", y, x, *one, *one, np.array(bad), weights)
        with pytest.raises(ValueError, match="does not lie in the input"):
            backend("interpolate.interpolate_backward", x, y, *one, *one, np.array(bad), weights)
    none = np.zeros((0, 2), np.int64), np.ones((0, 2), np.float32)
    for kernel, arrays in (("forward", (y, x)), ("backward", (x, y))):
        with pytest.raises(ValueError, match="a tap or more"):
            backend(f"interpolate.interpolate_{kernel}", *arrays, *one, *one, *none)
    for size, mode in ((0, 0), (4, 2), (4, 6), (4, -1)):
        with pytest.raises(ValueError, match="its number of taps"):
            backend("interpolate_taps.interpolate_taps_forward", np.array([[0, 0]]), weights, size, 0.0, mode, False)


def test_any_number_of_threads_gives_the_same_bits(rng):
    x_shape, y_shape, tables = case(np.float32, SHAPES["many rows"], "linear antialias")
    x, dy = rng.standard_normal(x_shape).astype(np.float32), rng.standard_normal(y_shape).astype(np.float32)
    before, results = hotloop.get_num_threads(), []
    for threads in (1, 2):
        hotloop.set_num_threads(threads)
        y, dx = np.empty_like(dy), np.empty_like(x)
        Backend("cpu")("interpolate.interpolate_forward", y, x, *tables)
        Backend("cpu")("interpolate.interpolate_backward", dx, dy, *tables)
        results.append((y, dx))
    hotloop.set_num_threads(before)
    assert all(same(a, b) for a, b in zip(*results, strict=True))


# by dimensions: modes, with antialias or not
MODES = {
    1: [("nearest", False), ("nearest-exact", False), ("linear", False)],
    2: [
        *(("nearest", False), ("nearest-exact", False)),
        *itertools.product(("bilinear", "bicubic"), (False, True)),
    ],
    3: [("nearest", False), ("nearest-exact", False), ("trilinear", False)],
}
EITHER = [(axes, *mode) for axes, found in MODES.items() for mode in found]
SIZES = [(3, 4, 5), (1, 1, 1), (10, 12, 14), (5, 6, 7), (17, 3, 9)]
# that none of (5, 6, 7) keeps its size: there PyTorch's gradient is not that of its forward
SCALES = [2, 0.5, 1.7, 0.3, 2.34567, 3.999, 0.77]


@pytest.mark.parametrize(("axes", "mode", "antialias"), EITHER, ids=str)
def test_as_torch(dtype, rng, axes, mode, antialias):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    corners = (None, False, True) if "linear" in mode or "cubic" in mode else (None,)
    cases = [dict(size=size[:axes]) for size in SIZES]
    cases += [dict(scale_factor=s) for s in (*SCALES, (1.5, 0.6, 3.0)[:axes])]
    cases += [dict(scale_factor=s, recompute_scale_factor=True) for s in (1.7, 0.3)]
    for given, align_corners in itertools.product(cases, corners):
        given = dict(given, mode=mode, align_corners=align_corners, antialias=antialias)
        x = rng.standard_normal((2, 3, *(5, 6, 7)[:axes])).astype(dtype)
        here, there = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, want = F.interpolate(here, **given), torch.nn.functional.interpolate(there, **given)
        assert y.shape == tuple(want.shape) and y.dtype == dtype, given
        # torch contracts places and weights into fused operations: a rounding or two
        tol = 5e-6 if dtype == np.float32 else 2e-14
        close(y.numpy(), want.detach().numpy(), tol)
        dy = rng.standard_normal(y.shape).astype(dtype)
        y.backward(dy)
        want.backward(torch.tensor(dy))
        close(here.grad, there.grad.numpy(), tol)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_area_as_torch(rng, axes):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = rng.standard_normal((2, 3, *(5, 6, 7)[:axes])).astype(np.float32)
    for given in (dict(size=4), dict(scale_factor=0.5), dict(scale_factor=(1.5, 0.6, 2.0)[:axes])):
        y = F.interpolate(x, **given, mode="area")
        close(y.numpy(), torch.nn.functional.interpolate(torch.tensor(x), **given, mode="area").numpy())


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("axes", [1, 2])
def test_the_same_elements_as_torch(dtype, rng, axes, mode):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for size in (1, 7, 31, 76, 127):
        x = np.arange(size * 2 ** (axes - 1), dtype=dtype).reshape(1, 1, size, *[2] * (axes - 1))
        for scale in (*rng.uniform(1 / size, 4, 12), 1.001, 1.01, 2.001, 2.03):
            given = dict(scale_factor=(scale, 1)[:axes], mode=mode)
            want = torch.nn.functional.interpolate(torch.tensor(x), **given)
            np.testing.assert_array_equal(F.interpolate(x, **given).numpy(), want.numpy(), str(given))


LAYERS = [
    ("Upsample", dict(scale_factor=2)),
    ("Upsample", dict(size=(4, 9), mode="bilinear", align_corners=True)),
    ("Upsample", dict(scale_factor=(1.5, 2.5), mode="bicubic", recompute_scale_factor=True)),
    ("UpsamplingNearest2d", dict(size=7)),
    ("UpsamplingBilinear2d", dict(scale_factor=3)),
]


@pytest.mark.parametrize(("name", "arguments"), LAYERS, ids=str)
def test_layers_as_torch(rng, name, arguments):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer, theirs = getattr(nn, name)(**arguments), getattr(torch.nn, name)(**arguments)
    assert repr(layer) == repr(theirs)
    for samples in (0, 2):
        x = rng.standard_normal((samples, 3, 5, 6)).astype(np.float32)
        close(layer(x).numpy(), theirs(torch.tensor(x)).numpy())


def test_views_and_small_results(rng):
    x = rng.standard_normal((4, 6, 3, 2)).astype(np.float32)
    turned = nn.Tensor(x).permute(3, 2, 0, 1)
    whole = np.ascontiguousarray(x.transpose(3, 2, 0, 1))
    assert same(F.interpolate(turned, 9, mode="bilinear").numpy(), F.interpolate(whole, 9, mode="bilinear").numpy())


MISTAKES = {
    "neither": (dict(), ValueError, "either a size or a scale_factor"),
    "both": (dict(size=3, scale_factor=2), ValueError, "either a size or a scale_factor"),
    "sizes": (dict(size=(3, 4, 5)), ValueError, "a size or 2 of them"),
    "scales": (dict(scale_factor=(3.0,)), ValueError, "a scale_factor or 2 of them"),
    "no integer": (dict(size=2.5), TypeError, "size as an integer"),
    "nothing": (dict(scale_factor=0.1), ValueError, r"at least 1, got \(5, 6\) to \(0, 0\)"),
    "corners": (dict(size=3, align_corners=True), ValueError, "align_corners can only be set"),
    "antialias": (dict(size=3, antialias=True), ValueError, "restricted to bilinear and bicubic"),
    "recompute": (dict(size=3, recompute_scale_factor=True), ValueError, "not meaningful"),
    "mode": (dict(size=3, mode="cubic"), NotImplementedError, "'cubic'"),
    "dimensions": (dict(size=3, mode="trilinear"), NotImplementedError, "'trilinear' for"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    given, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        F.interpolate(np.ones((1, 2, 5, 6), np.float32), **given)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="float"):
        F.interpolate(np.ones((1, 2, 5, 6), np.int64), 3)
