"""Dropout: kernels against the reference, layers against torch's statistics and rules."""

import numpy as np
import pytest
from helpers import agree, finite_difference, poison

STATE = np.array([99, 2**40], np.uint64)
SHAPES = [(0,), (1,), (3,), (61,), (5, 7), (2049,), (16384 + 17,)]
MATRICES = [(0, 3), (3, 0), (1, 1), (7, 5), (61, 17), (2051, 3), (9, 5003)]
ELEMENTWISE = ["dropout", "alpha_dropout"]
ROWWISE = ["feature_dropout", "feature_alpha_dropout"]


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9, 1.0], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("op", ELEMENTWISE)
def test_elementwise(backend, dtype, rng, op, shape, p):
    x = rng.standard_normal(shape).astype(dtype)
    agree(backend, f"dropout.{op}_forward", poison(shape, dtype), x, STATE, p)
    agree(backend, f"dropout.{op}_backward", poison(shape, dtype), x, STATE, p)


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0], ids=str)
@pytest.mark.parametrize("shape", MATRICES, ids=str)
@pytest.mark.parametrize("op", ROWWISE)
def test_rowwise(backend, dtype, rng, op, shape, p):
    x = rng.standard_normal(shape).astype(dtype)
    agree(backend, f"dropout.{op}_forward", poison(shape, dtype), x, STATE, p)
    agree(backend, f"dropout.{op}_backward", poison(shape, dtype), x, STATE, p)


@pytest.mark.parametrize("op", ELEMENTWISE + ROWWISE)
def test_gradient(rng, op):
    from hotloop.kernels.ref import dropout as ref

    x, dy, y, dx = (rng.standard_normal((6, 5)) for _ in range(4))

    def loss():
        getattr(ref, f"{op}_forward")(y, x, STATE, 0.4)
        return (y * dy).sum()

    getattr(ref, f"{op}_backward")(dx, dy, STATE, 0.4)
    assert np.allclose(dx, finite_difference(loss, x), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("op", ELEMENTWISE + ROWWISE)
def test_dropped_whatever_it_held(backend, op):
    """A dropped element does not pass on NaN or infinity; a kept one does."""
    x = np.full((40, 3), np.nan, np.float32)
    y = poison((40, 3), np.float32)
    backend(f"dropout.{op}_forward", y, x, STATE, 0.5)
    assert 0 < np.isfinite(y).sum() < y.size
    with np.errstate(invalid="ignore"):
        backend(f"dropout.{op}_forward", y, np.full_like(x, np.inf), STATE, 1.0)
    assert (y == 0).all()


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan], ids=str)
@pytest.mark.parametrize("op", ELEMENTWISE + ROWWISE)
def test_bad_probability(backend, op, p):
    x = np.ones((3, 3))
    with pytest.raises(ValueError, match="probability"):
        backend(f"dropout.{op}_forward", x.copy(), x, STATE, p)


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_statistics(dtype, rng, op):
    """The share that is dropped, and the mean (alpha: and variance) that stay."""
    from hotloop.kernels.cpu import dropout as cpu

    n, p = 100_000, 0.3
    x = rng.standard_normal(n).astype(dtype)
    y = np.empty_like(x)
    getattr(cpu, f"{op}_forward")(y, x, STATE, p)
    value, count = np.unique(y, return_counts=True)
    dropped = count.max()
    assert value[count.argmax()] == 0 or op == "alpha_dropout"
    assert abs(dropped - n * p) < 5 * np.sqrt(n * p * (1 - p))
    assert abs(y.mean(dtype=np.float64)) < 5 * y.std() / np.sqrt(n)
    if op == "alpha_dropout":
        assert abs(y.var(dtype=np.float64) - 1) < 0.05


# ---- layers


@pytest.fixture
def drop():
    from hotloop.nn import dropout, rng

    rng.manual_seed(5)
    return dropout


LAYERS = {
    "Dropout": (6, 50),
    "Dropout1d": (40, 5, 3),
    "Dropout2d": (20, 10, 3, 2),
    "Dropout3d": (10, 20, 2, 1, 3),
    "AlphaDropout": (6, 50),
    "FeatureAlphaDropout": (40, 5, 3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(drop, dtype, rng, name):
    """A fresh mask each time, whole channels where they go together, and a gradient through the same mask."""
    from hotloop.nn import Tensor

    x = Tensor(rng.standard_normal(LAYERS[name]).astype(dtype), requires_grad=True)
    layer = getattr(drop, name)(0.4)
    y, again = layer(x), layer(x)
    assert y.shape == x.shape and y.dtype == dtype
    assert not np.array_equal(y.data, again.data)
    y.backward(np.ones(x.shape, dtype))
    kept = x.grad != 0
    assert 0.4 < kept.mean() < 0.8
    if name[-2:] in ("1d", "2d", "3d") or name.startswith("Feature"):
        channels = kept.reshape(*x.shape[:2], -1)
        assert (channels == channels[:, :, :1]).all()
    scale = np.unique(x.grad[kept])
    assert scale.size == 1
    if "Alpha" not in name:
        assert np.allclose(y.data, x.data * x.grad) and np.isclose(scale, 1 / 0.6)
    layer.eval()
    assert layer(x) is x
    assert repr(layer) == f"{name}(p=0.4, inplace=False)"


@pytest.mark.parametrize("name", LAYERS)
def test_extremes(drop, name):
    x = np.ones(LAYERS[name], np.float32)
    layer = getattr(drop, name)
    assert np.allclose(layer(0.0)(x).data, 1, rtol=1e-6)
    assert (layer(1.0)(x).data == 0).all()
    empty = layer(0.5)(np.ones((0, *x.shape[1:]), np.float32))
    assert empty.shape == (0, *x.shape[1:])
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            layer(p)


def test_manual_seed_repeats(drop):
    from hotloop.nn import rng

    x = np.ones((50, 50), np.float32)
    a, b = drop.dropout(x).data, drop.dropout(x).data
    rng.manual_seed(5)
    assert np.array_equal(drop.dropout(x).data, a)
    state = rng.get_rng_state()
    assert np.array_equal(drop.dropout(x).data, b)
    rng.set_rng_state(state)
    assert np.array_equal(drop.dropout(x).data, b)


def test_in_place(drop):
    from hotloop.nn import Tensor

    x = Tensor(np.ones((20, 20), np.float32))
    y = drop.Dropout(0.5, inplace=True)(x)
    assert y is x and (x.data == 0).any()


@pytest.mark.parametrize(
    "name, shape", [("dropout1d", (3,)), ("dropout2d", (3, 4)), ("dropout3d", (2, 3)), ("feature_alpha_dropout", (4,))]
)
def test_wrong_dimensions(drop, name, shape):
    with pytest.raises(ValueError, match=f"{name}: expected"):
        getattr(drop, name)(np.ones(shape, np.float32), 0.5, True)


def test_unbatched(drop):
    """(C, L): a word for each channel."""
    y = drop.dropout1d(np.ones((200, 3), np.float32)).data
    assert ((y == y[:, :1]).all(1)).all() and 0 < (y == 0).sum() < y.size


@pytest.mark.parametrize("name", LAYERS)
def test_same_rules_as_torch(drop, name):
    """Defaults, constructor arguments, and what eval mode does."""
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(drop, name)(), getattr(torch.nn, name)()
    assert (ours.p, ours.inplace, repr(ours)) == (theirs.p, theirs.inplace, repr(theirs))
    with pytest.raises(ValueError) as raised:
        getattr(torch.nn, name)(2)
    with pytest.raises(ValueError, match=str(raised.value).split(",")[0]):
        getattr(drop, name)(2)
