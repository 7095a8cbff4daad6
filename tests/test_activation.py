"""Activations, PReLU, RReLU, GLU: kernels against ref, ref against slopes, special values against PyTorch."""

import numpy as np
import pytest
from helpers import Backend, absent, agree, close, finite_difference, poison
from hotloop.kernels import scalar

# name: (scalars of the forward, scalars of the backward, what backward is computed from)
KERNELS = {
    "relu": ([], [], "x"),
    "leaky_relu": ([0.2], [0.2], "x"),
    "threshold": ([0.3, 0.7], [0.3], "x"),
    "hardtanh": ([-0.9, 0.7], [-0.9, 0.7], "x"),
    "hardsigmoid": ([], [], "x"),
    "hardswish": ([], [], "x"),
    "hardshrink": ([0.4], [0.4], "x"),
    "softshrink": ([0.4], [0.4], "x"),
    "elu": ([1.3], [1.3], "x"),
    "celu": ([2.0], [2.0], "x"),
    "selu": ([], [], "x"),
    "sigmoid": ([], [], "y"),
    "tanh": ([], [], "y"),
    "tanhshrink": ([], [], "x"),
    "log_sigmoid": ([], [], "x"),
    "softplus": ([1.5, 4.0], [1.5, 4.0], "x"),
    "softsign": ([], [], "x"),
    "silu": ([], [], "x"),
    "mish": ([], [], "x"),
    "gelu": ([], [], "x"),
    "gelu_tanh": ([], [], "x"),
}
NAMES = sorted(KERNELS)
# nothing, one, a prime, several chunks and a remainder
SIZES = (0, 1, 61, 3 * 32768 + 17)


def inputs(rng, shape, dtype):
    """Numbers on both sides of every kink, some far out."""
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    # never only far out: where gelu vanishes its error is small beside 1, not beside itself, in ref too
    x.reshape(-1)[:1] = 0.5
    return x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", SIZES)
def test_forward(backend, dtype, rng, name, n):
    agree(backend, f"activation.{name}_forward", poison(n, dtype), inputs(rng, n, dtype), *KERNELS[name][0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", SIZES)
def test_backward(backend, dtype, rng, name, n):
    forward, scalars, kept = KERNELS[name]
    x = inputs(rng, n, dtype)
    y = np.empty_like(x)
    Backend("ref")(f"activation.{name}_forward", y, x, *forward)
    dy = rng.standard_normal(n).astype(dtype)
    agree(backend, f"activation.{name}_backward", poison(n, dtype), dy, x if kept == "x" else y, *scalars)


@pytest.mark.parametrize("name", NAMES)
def test_any_shape(backend, rng, name):
    x = inputs(rng, (3, 5, 7), np.float32)
    agree(backend, f"activation.{name}_forward", poison(x.shape, np.float32), x, *KERNELS[name][0])


@pytest.mark.parametrize("name", NAMES)
def test_ref_gradient_is_the_slope(rng, name):
    forward, scalars, kept = KERNELS[name]
    ref = Backend("ref")
    # 50 random numbers: none lies within the step of a kink
    x = inputs(rng, 50, np.float64)
    dy = rng.standard_normal(50)
    y = np.empty_like(x)

    def loss():
        ref(f"activation.{name}_forward", y, x, *forward)
        return float(dy @ y)

    want = finite_difference(loss, x)
    loss()
    dx = poison(50, np.float64)
    ref(f"activation.{name}_backward", dx, dy, x if kept == "x" else y, *scalars)
    # central differences with a step of 1e-5 err by 1e-10 times the third derivative, and 1e-11 by cancellation
    close(dx, want, 1e-8, name)


# (O, C, I): channels that are single numbers, one slope for all, planes; blocks of 16384 and a remainder
PRELU_SHAPES = [(0, 3, 2), (3, 0, 2), (1, 1, 1), (7, 5, 1), (1, 1, 40000), (3, 5, 7), (2, 3, 6000), (5000, 7, 1)]


@pytest.mark.parametrize("shape", PRELU_SHAPES, ids=str)
def test_prelu_forward(backend, dtype, rng, shape):
    w = rng.standard_normal(shape[1]).astype(dtype)
    agree(backend, "prelu.prelu_forward", poison(shape, dtype), inputs(rng, shape, dtype), w)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("shape", PRELU_SHAPES, ids=str)
def test_prelu_backward(backend, dtype, rng, shape, accumulate):
    x, dy = inputs(rng, shape, dtype), rng.standard_normal(shape).astype(dtype)
    w = rng.standard_normal(shape[1]).astype(dtype)
    dw = rng.standard_normal(shape[1]).astype(dtype) if accumulate else poison(shape[1], dtype)
    # sums of up to 40000 numbers of either sign: their rounding errors weigh against a total that is smaller
    tol = 2e-5 if dtype == np.float32 else 2e-13
    agree(backend, "prelu.prelu_backward", poison(shape, dtype), dw, dy, x, w, accumulate, tol=tol)


def test_prelu_backward_computes_only_what_is_wanted(backend, dtype, rng):
    x, dy = inputs(rng, (4, 3, 5), dtype), rng.standard_normal((4, 3, 5)).astype(dtype)
    w = rng.standard_normal(3).astype(dtype)
    agree(backend, "prelu.prelu_backward", absent(dtype), poison(3, dtype), dy, x, w, False)
    agree(backend, "prelu.prelu_backward", poison(x.shape, dtype), absent(dtype), dy, x, w, False)


@pytest.mark.parametrize("n", SIZES)
def test_rrelu(backend, dtype, rng, n):
    x, slope = inputs(rng, n, dtype), rng.uniform(0.1, 0.3, n).astype(dtype)
    agree(backend, "prelu.rrelu_forward", poison(n, dtype), x, slope)
    agree(backend, "prelu.rrelu_backward", poison(n, dtype), rng.standard_normal(n).astype(dtype), x, slope)


GLU_SHAPES = [(0, 2, 3), (2, 0, 3), (1, 1, 1), (7, 5, 1), (3, 4, 5), (1, 20000, 1), (30, 17, 61)]


@pytest.mark.parametrize("shape", GLU_SHAPES, ids=str)
def test_glu(backend, dtype, rng, shape):
    O, C, I = shape
    x, dy = inputs(rng, (O, 2 * C, I), dtype), rng.standard_normal(shape).astype(dtype)
    agree(backend, "glu.glu_forward", poison(shape, dtype), x)
    agree(backend, "glu.glu_backward", poison(x.shape, dtype), dy, x)


def test_ref_gradients_with_slopes_are_slopes(rng):
    ref = Backend("ref")
    x, w, dy = inputs(rng, (2, 3, 4), np.float64), rng.standard_normal(3), rng.standard_normal((2, 3, 4))
    y = np.empty_like(x)

    def prelu():
        ref("prelu.prelu_forward", y, x, w)
        return float((dy * y).sum())

    want_x, want_w = finite_difference(prelu, x), finite_difference(prelu, w)
    dx, dw = poison(x.shape, np.float64), poison(3, np.float64)
    ref("prelu.prelu_backward", dx, dw, dy, x, w, False)
    close(dx, want_x, 1e-8, "prelu dx")
    close(dw, want_w, 1e-8, "prelu dw")

    slope = rng.uniform(0.1, 0.3, x.shape)

    def rrelu():
        ref("prelu.rrelu_forward", y, x, slope)
        return float((dy * y).sum())

    want = finite_difference(rrelu, x)
    ref("prelu.rrelu_backward", dx, dy, x, slope)
    close(dx, want, 1e-8, "rrelu dx")

    wide = inputs(rng, (2, 6, 4), np.float64)

    def glu():
        ref("glu.glu_forward", y, wide)
        return float((dy * y).sum())

    want, dx = finite_difference(glu, wide), poison(wide.shape, np.float64)
    ref("glu.glu_backward", dx, dy, wide)
    close(dx, want, 1e-8, "glu dx")


# where torch's vector code and its scalar code differ, or give NaN for what has a value
UNSETTLED_IN_TORCH = {
    ("gelu", "inf"),
    ("softsign", "inf"),
    ("softsign", "-inf"),
    ("hardshrink", "nan"),
    ("softshrink", "nan"),
    ("hardsigmoid", "nan"),
    ("hardtanh", "nan"),
}


@pytest.mark.parametrize("name", NAMES)
def test_special_values_and_kinks_as_torch(dtype, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    forward, scalars, kept = KERNELS[name]
    points = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.3, -0.4, 0.4, 0.7, -0.9, 3.0, -3.0, 90.0, -90.0], dtype)
    x = torch.tensor(points, requires_grad=True)
    want = torch_function(torch, name, forward)(x)
    want.sum().backward()
    y, dx = poison(points.shape, dtype), poison(points.shape, dtype)
    cpu = Backend("cpu")
    cpu(f"activation.{name}_forward", y, points, *forward)
    cpu(f"activation.{name}_backward", dx, np.ones_like(y), points if kept == "x" else y, *scalars)
    exempt = np.array([(name, str(p)) in UNSETTLED_IN_TORCH for p in points.tolist()])
    # float32: 1 + erf loses digits near -1, torch's others than ours; float64: torch keeps 1 / 6, 1 / alpha in float32
    rtol, atol = (1e-5, 1e-6) if dtype == np.float32 else (1e-7, 1e-7)
    for ours, theirs in ((y, want.detach().numpy()), (dx, x.grad.numpy())):
        np.testing.assert_allclose(ours[~exempt], theirs[~exempt], rtol=rtol, atol=atol)


def torch_function(torch, name, scalars):
    f = torch.nn.functional
    special = {
        "log_sigmoid": f.logsigmoid,
        "gelu_tanh": lambda x: f.gelu(x, approximate="tanh"),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
    }
    function = special.get(name) or getattr(f, name)
    return lambda x: function(x, *scalars)


def test_an_infinite_gradient_stays_out_of_the_flat_side(backend):
    x, dy = np.array([-1.0, 2.0], np.float32), np.array([np.inf, 3.0], np.float32)
    for name, scalars in (("relu", ()), ("hardshrink", (1.5,)), ("threshold", (1.0,)), ("hardtanh", (0.0, 3.0))):
        dx = poison(2, np.float32)
        backend(f"activation.{name}_backward", dx, dy, x, *scalars)
        assert dx.tolist() == [0.0, 3.0], name


def test_fused_codes_are_the_kernels(rng):
    """What linear fuses is what these kernels compute, and its derivative from y (or z) is theirs."""
    z = inputs(rng, 61, np.float64)
    defaults = {"leaky_relu": [0.01], "elu": [1.0]}
    for name, code in scalar.ACTIVATIONS.items():
        if name is None:
            continue
        y, dz = np.empty_like(z), np.empty_like(z)
        numbers = defaults.get(name, [])
        Backend("ref")(f"activation.{name}_forward", y, z, *numbers)
        kept = y if KERNELS[name][2] == "y" else z
        Backend("ref")(f"activation.{name}_backward", dz, np.ones_like(z), kept, *numbers)
        keeps_input = code in scalar.NEEDS_INPUT
        value = [scalar.activate(code, v) for v in z.tolist()]
        # what a code does not need may hold anything
        given = z if keeps_input else poison(61, np.float64)
        slope = [scalar.activate_grad(code, 1.0, w, v) for w, v in zip(y.tolist(), given.tolist(), strict=True)]
        close(np.array(value), y, 1e-14, name)
        close(np.array(slope), dz, 1e-13, name)
