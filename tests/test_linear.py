"""kernels/*/linear.py: forward and every gradient, each activation, accumulation, absent outputs."""

import numpy as np
import pytest
from helpers import absent, agree, close, finite_difference, poison
from hotloop.kernels import scalar
from hotloop.kernels.ref import linear as ref

SHAPES = [(0, 3, 4), (3, 0, 4), (1, 1, 1), (5, 7, 3), (32, 64, 10), (61, 129, 257), (300, 40, 33)]
CODES = list(scalar.ACTIVATIONS.values())
NAMES = [str(name) for name in scalar.ACTIVATIONS]
# every shape without an activation, in registers and in L1; every activation on one shape with edges
CASES = [(shape, code) for shape in SHAPES for code in (0, scalar.RELU, scalar.TANH)]
CASES += [((17, 9, 37), code) for code in CODES]
CASE_IDS = [f"{shape}-{NAMES[CODES.index(code)]}" for shape, code in CASES]


def case(rng, n, d, h, dtype):
    x = rng.standard_normal((n, d)).astype(dtype)
    w = (rng.standard_normal((h, d)) / np.sqrt(max(d, 1))).astype(dtype)
    return x, w, rng.standard_normal(h).astype(dtype)


@pytest.mark.parametrize("shape, code", CASES, ids=CASE_IDS)
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", "bias"])
@pytest.mark.parametrize("keep", [False, True], ids=["", "keep-z"])
def test_forward(backend, dtype, rng, shape, bias, code, keep):
    x, w, b = case(rng, *shape, dtype)
    y = poison((shape[0], shape[2]), dtype)
    z = y.copy() if keep else np.empty((0, 0), dtype)
    agree(backend, "linear.linear_forward", y, z, x, w, b if bias else absent(dtype), code)


@pytest.mark.parametrize("shape, code", CASES, ids=CASE_IDS)
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, shape, code, accumulate):
    n, d, h = shape
    x, w, b = case(rng, n, d, h, dtype)
    y, z = np.empty((n, h), dtype), np.empty((n, h), dtype)
    ref.linear_forward(y, z, x, w, b, code)
    dy = rng.standard_normal((n, h)).astype(dtype)
    dw, db = rng.standard_normal(w.shape).astype(dtype), rng.standard_normal(h).astype(dtype)
    if not accumulate:
        dw, db = poison(w.shape, dtype), poison(h, dtype)
    agree(backend, "linear.linear_backward", poison(x.shape, dtype), dw, db, dy, x, w, y, z, code, accumulate)


@pytest.mark.parametrize("wanted", ["dx", "dw", "db"])
def test_each_gradient_alone(backend, dtype, rng, wanted):
    x, w, b = case(rng, 37, 41, 29, dtype)
    dy = rng.standard_normal((37, 29)).astype(dtype)
    none = np.empty((0, 0), dtype)
    dx = poison(x.shape, dtype) if wanted == "dx" else none
    dw = poison(w.shape, dtype) if wanted == "dw" else none
    db = poison(b.shape, dtype) if wanted == "db" else absent(dtype)
    agree(backend, "linear.linear_backward", dx, dw, db, dy, x, w, none, none, 0, False)


@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_ref_against_finite_differences(rng, code):
    x, w, b = case(rng, 4, 5, 3, np.float64)
    dy = rng.standard_normal((4, 3))
    y, z = np.empty((4, 3)), np.empty((4, 3))

    def total():
        ref.linear_forward(y, z, x, w, b, code)
        return float((y * dy).sum())

    wants = [finite_difference(total, a) for a in (x, w, b)]
    total()
    got = [np.empty_like(a) for a in (x, w, b)]
    ref.linear_backward(*got, dy, x, w, y, z, code, False)
    for name, g, want in zip(("dx", "dw", "db"), got, wants, strict=True):
        # central differences with a step of 1e-5 leave about 1e-10
        close(g, want, 1e-8, name)


@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_against_torch(rng, code):
    torch = pytest.importorskip("torch")
    functions = {
        "relu": torch.relu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "gelu": torch.nn.functional.gelu,
        "gelu_tanh": lambda t: torch.nn.functional.gelu(t, approximate="tanh"),
        "silu": torch.nn.functional.silu,
        "leaky_relu": torch.nn.functional.leaky_relu,
        "elu": torch.nn.functional.elu,
        None: lambda t: t,
    }
    name = next(n for n, c in scalar.ACTIVATIONS.items() if c == code)
    x, w, b = case(rng, 6, 5, 4, np.float64)
    dy = rng.standard_normal((6, 4))
    tx, tw, tb = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    ty = functions[name](torch.nn.functional.linear(tx, tw, tb))
    ty.backward(torch.tensor(dy))
    y, z, grads = np.empty((6, 4)), np.empty((6, 4)), [np.empty_like(a) for a in (x, w, b)]
    ref.linear_forward(y, z, x, w, b, code)
    ref.linear_backward(*grads, dy, x, w, y, z, code, False)
    close(y, ty.detach().numpy())
    for g, t in zip(grads, (tx, tw, tb), strict=True):
        close(g, t.grad.numpy())


def test_nan_passes_relu(backend, dtype):
    x, w = np.ones((40, 3), dtype), np.ones((50, 3), dtype)
    x[4, 1] = np.nan
    y = poison((40, 50), dtype)
    backend("linear.linear_forward", y, np.empty((0, 0), dtype), x, w, absent(dtype), scalar.RELU)
    assert np.isnan(y[4]).all() and (np.delete(y, 4, 0) == 3).all()


@pytest.mark.parametrize("code", [scalar.RELU, scalar.LEAKY_RELU, scalar.ELU], ids=["relu", "leaky_relu", "elu"])
def test_infinite_gradient_on_the_flat_side(backend, dtype, code):
    # relu is a choice between dy and 0, as in torch: an infinite dy on the flat side is no NaN
    y = np.array([[-0.5, 0.5, 0.0]], dtype) if code != scalar.RELU else np.array([[0.0, 0.5, 0.0]], dtype)
    dy = np.array([[np.inf, 1.0, np.inf]], dtype)
    db = poison(3, dtype)
    none = np.empty((0, 0), dtype)
    args = (np.ones((1, 2), dtype), np.ones((3, 2), dtype), y, none, code, False)
    backend("linear.linear_backward", none, none, db, dy, *args)
    assert np.array_equal(db, [0, 1, 0] if code == scalar.RELU else [np.inf, 1, np.inf])


@pytest.mark.parametrize("code", [-1, len(CODES)])
def test_unknown_activations_are_refused(backend, rng, code):
    x, w, b = case(rng, 4, 3, 2, np.float32)
    y, none = np.empty((4, 2), np.float32), np.empty((0, 0), np.float32)
    with pytest.raises(ValueError, match="ACTIVATIONS"):
        backend("linear.linear_forward", y, none, x, w, b, code)
    with pytest.raises(ValueError, match="ACTIVATIONS"):
        backend("linear.linear_backward", x.copy(), w.copy(), b.copy(), y, x, w, y, y, code, False)


@pytest.mark.parametrize("code", CODES[1:], ids=NAMES[1:])
def test_what_a_gradient_is_made_of_must_be_there(backend, rng, code):
    """An absent y or z is never read."""
    x, w, b = case(rng, 4, 3, 2, np.float32)
    y, none = np.ones((4, 2), np.float32), np.empty((0, 0), np.float32)
    gradients = x.copy(), w.copy(), b.copy()
    with pytest.raises(ValueError, match="y: expected the result"):
        backend("linear.linear_backward", *gradients, y, x, w, none, y, code, False)
    if code in scalar.NEEDS_INPUT:
        with pytest.raises(ValueError, match="z: expected"):
            backend("linear.linear_backward", *gradients, y, x, w, y, none, code, False)
    else:
        backend("linear.linear_backward", *gradients, y, x, w, y, none, code, False)
