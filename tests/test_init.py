"""nn.init: bounds, moments and shapes of the distributions, errors, and the formulas of torch.nn.init."""

import math

import hotloop
import numpy as np
import pytest
from hotloop import nn
from hotloop.nn import init


@pytest.fixture(autouse=True)
def seed():
    hotloop.manual_seed(20240607)


def weight(*shape, dtype=np.float32):
    return nn.Parameter(nn.Tensor(np.full(shape, np.nan, dtype)))


def is_distributed(values, cdf):
    """Kolmogorov-Smirnov: the largest gap to the distribution stays under the 1e-6 quantile for this many values."""
    values = np.sort(np.asarray(values, np.float64).ravel())
    n = values.size
    at = cdf(values)
    gap = max(np.max(np.arange(1, n + 1) / n - at), np.max(at - np.arange(n) / n))
    print(f"gap {gap:.4f} of {n} values")
    # P(gap > t / sqrt(n)) = 2 exp(-2 t^2): t = 2.7 is 1e-6; the seed is fixed
    return gap * math.sqrt(n) < 2.7


def has_moments(values, mean, std, kurtosis):
    """Mean, deviation and fourth moment within five of their standard errors."""
    values = np.asarray(values, np.float64).ravel()
    root = math.sqrt(values.size)
    z = (values - mean) / std
    return (
        abs(z.mean()) * root < 5
        and abs((z**2).mean() - 1) * root / math.sqrt(kurtosis - 1) < 5
        and abs((z**4).mean() / kurtosis - 1) * root < 5 * 10 / kurtosis
    )


def uniform_cdf(a, b):
    return lambda v: np.clip((v - a) / (b - a), 0, 1)


def normal_cdf(mean, std):
    return lambda v: (1 + np.vectorize(math.erf)((v - mean) / std / math.sqrt(2))) / 2


def test_the_statistic_notices():
    values = np.random.default_rng(0).standard_normal(20000)
    assert is_distributed(values, normal_cdf(0, 1))
    assert not is_distributed(values * 1.1, normal_cdf(0, 1))
    assert not is_distributed(values + 0.04, normal_cdf(0, 1))
    assert not is_distributed(np.tile(values[:50], 400), normal_cdf(0, 1))
    assert has_moments(values, 0, 1, 3)
    assert not has_moments(values * 1.04, 0, 1, 3)
    assert not has_moments(np.clip(values, -2.5, 2.5), 0, 1, 3)


def test_uniform_and_normal(dtype):
    w = weight(200, 100, dtype=dtype)
    assert init.uniform_(w, -3, 5) is w
    assert w.requires_grad
    assert (w.numpy() >= -3).all()
    assert (w.numpy() < 5).all()
    assert is_distributed(w.numpy(), uniform_cdf(-3, 5))
    assert has_moments(w.numpy(), 1, 8 / math.sqrt(12), 1.8)
    init.normal_(w, 2, 0.5)
    assert is_distributed(w.numpy(), normal_cdf(2, 0.5))
    assert has_moments(w.numpy(), 2, 0.5, 3)
    neighbours = w.numpy().ravel()
    assert abs(np.corrcoef(neighbours[:-1], neighbours[1:])[0, 1]) < 0.03


def test_constants():
    w = weight(3, 4)
    assert (init.constant_(w, 0.3).numpy() == np.float32(0.3)).all()
    assert (init.ones_(w).numpy() == 1).all()
    assert (init.zeros_(w).numpy() == 0).all()
    assert np.array_equal(init.eye_(w).numpy(), np.eye(3, 4))


@pytest.mark.parametrize("shape", [(4, 3, 3), (2, 5, 3, 4), (6, 2, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_as_torch(shape, groups):
    torch = pytest.importorskip("torch")
    want = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    assert np.array_equal(init.dirac_(weight(*shape), groups).numpy(), want)


GAINS = [("linear", None), ("conv2d", None), ("conv_transpose3d", None), ("sigmoid", None), ("tanh", None),
         ("relu", None), ("leaky_relu", None), ("leaky_relu", 0.3), ("leaky_relu", 2), ("selu", None)]  # fmt: skip


@pytest.mark.parametrize("name, param", GAINS)
def test_gain_as_torch(name, param):
    torch = pytest.importorskip("torch")
    assert init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param))


@pytest.mark.parametrize("shape", [(150, 100), (64, 32, 3, 3)], ids=str)
def test_xavier_and_kaiming(shape):
    fan_in, fan_out = shape[1] * math.prod(shape[2:]), shape[0] * math.prod(shape[2:])
    w = weight(*shape)
    std = 1.5 * math.sqrt(2 / (fan_in + fan_out))
    assert is_distributed(init.xavier_normal_(w, 1.5).numpy(), normal_cdf(0, std))
    bound = math.sqrt(3) * std
    assert is_distributed(init.xavier_uniform_(w, 1.5).numpy(), uniform_cdf(-bound, bound))
    for mode, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
        std = math.sqrt(2 / fan)
        assert is_distributed(init.kaiming_normal_(w, mode=mode, nonlinearity="relu").numpy(), normal_cdf(0, std))
        std = math.sqrt(2 / (1 + 0.2**2) / fan)
        bound = math.sqrt(3) * std
        assert is_distributed(init.kaiming_uniform_(w, 0.2, mode=mode).numpy(), uniform_cdf(-bound, bound))


@pytest.mark.parametrize("bounds", [(-2, 2), (-0.1, 0.3), (1.5, 4), (-9, 9)], ids=str)
def test_trunc_normal(dtype, bounds):
    a, b = bounds
    w = init.trunc_normal_(weight(100, 200, dtype=dtype), 0.0, 1.0, a, b).numpy()
    assert (w >= np.asarray(a, dtype)).all()
    assert (w <= np.asarray(b, dtype)).all()
    cdf = normal_cdf(0, 1)
    low, high = cdf(np.array([a, b]))
    assert is_distributed(w, lambda v: (cdf(v) - low) / (high - low))


def test_trunc_normal_far_in_the_tail():
    with pytest.warns(UserWarning, match="more than 2 std"):
        w = init.trunc_normal_(weight(50, 100), 0.0, 1.0, 3.0, 8.0).numpy()
    assert (w >= 3).all()
    cdf = normal_cdf(0, 1)
    low, high = cdf(np.array([3.0, 8.0]))
    assert is_distributed(w, lambda v: (cdf(v) - low) / (high - low))


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 3, 2), (1, 1)], ids=str)
def test_orthogonal(dtype, shape):
    w = init.orthogonal_(weight(*shape, dtype=dtype), gain=2).numpy().reshape(shape[0], -1).astype(np.float64)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5 if dtype == np.float32 else 1e-13)


def test_orthogonal_is_uniform():
    # the first column of a uniformly distributed rotation of the plane is a uniform angle
    first = np.stack([init.orthogonal_(np.empty((2, 2)))[:, 0] for _ in range(2000)])
    assert is_distributed(np.arctan2(first[:, 1], first[:, 0]), uniform_cdf(-math.pi, math.pi))


def test_sparse():
    w = init.sparse_(weight(100, 50), 0.305, std=2.0).numpy()
    assert ((w == 0).sum(0) == 31).all()
    assert len({tuple(np.flatnonzero(column == 0)) for column in w.T}) == 50
    assert is_distributed(w[w != 0], normal_cdf(0, 2))


def test_repeatable_and_the_same_for_arrays():
    made = []
    for target in (weight(7, 9), weight(7, 9), np.empty((7, 9), np.float32)):
        hotloop.manual_seed(5)
        made.append(np.asarray(init.orthogonal_(init.trunc_normal_(init.xavier_normal_(target)))).copy())
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])


def test_version_is_counted():
    w = weight(2, 2)
    y = (w * w).sum()
    init.ones_(w)
    with pytest.raises(RuntimeError):
        y.backward()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: init.uniform_(weight(2), 1, 0), "a <= b"),
        (lambda: init.normal_(weight(2), 0, -1), "std"),
        (lambda: init.eye_(weight(2)), r"2 dimensions, got shape \(2,\)"),
        (lambda: init.dirac_(weight(2, 2)), "3, 4 or 5"),
        (lambda: init.dirac_(weight(3, 2, 2), 2), "divisible"),
        (lambda: init.xavier_uniform_(weight(3)), "fewer than 2"),
        (lambda: init.kaiming_normal_(weight(3, 3), mode="fan"), "fan_in"),
        (lambda: init.kaiming_normal_(weight(3, 3), nonlinearity="swish"), "swish"),
        (lambda: init.calculate_gain("leaky_relu", "x"), "valid number"),
        (lambda: init.trunc_normal_(weight(3), a=1, b=1), "a < b"),
        (lambda: init.orthogonal_(weight(3)), "2 or more"),
        (lambda: init.sparse_(weight(3), 0.5), "2 dimensions"),
        (lambda: init.sparse_(weight(3, 3), 1.5), "sparsity"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_empty():
    assert init.uniform_(weight(0, 3)).shape == (0, 3)
    assert init.xavier_normal_(weight(0, 0)).shape == (0, 0)
    assert init.orthogonal_(weight(0, 3)).shape == (0, 3)
    assert init.trunc_normal_(weight(0)).shape == (0,)
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_uniform_(weight(0, 3))
