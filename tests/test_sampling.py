"""multinomial, bernoulli, gumbel_softmax: as often as the weights say, what they refuse, repeatable."""

import hotloop
import numpy as np
import pytest
from hotloop import tensor
from hotloop.nn import Tensor
from hotloop.nn import functional as F

WEIGHTS = np.array([3.0, 0, 1, 0.5, 0, 5.5])
DRAWS = 20_000
# of chi-square with 3 degrees of freedom, one in a thousand is larger
LARGEST = 16.27


@pytest.fixture(autouse=True)
def seeded():
    hotloop.manual_seed(5)


def chi_square(counts, chances):
    expected = chances * counts.sum()
    return np.sum((counts - expected) ** 2 / expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_as_often_as_the_weights_say(dtype, scale):
    rows = np.stack([WEIGHTS, WEIGHTS[::-1]]).astype(dtype) * dtype(scale)
    drawn = hotloop.multinomial(tensor(rows), DRAWS, replacement=True)
    assert drawn.shape == (2, DRAWS) and drawn.dtype == hotloop.int64
    for row, places in zip(rows.astype(float), drawn.numpy(), strict=True):
        counts = np.bincount(places, minlength=6)
        assert not counts[row == 0].any()
        assert chi_square(counts[row > 0], row[row > 0] / row.sum()) < LARGEST


def test_each_draw_without_replacement_leaves_the_others():
    """First as the weights say, then as the weights of the others say."""
    drawn = hotloop.multinomial(tensor(np.tile(WEIGHTS, (DRAWS, 1))), 4).numpy()
    assert drawn.shape == (DRAWS, 4)
    assert np.array_equal(np.sort(drawn), np.tile(np.flatnonzero(WEIGHTS), (DRAWS, 1)))
    some = np.flatnonzero(WEIGHTS)
    assert chi_square(np.bincount(drawn[:, 0])[some], WEIGHTS[some] / 10) < LARGEST
    second, others = drawn[drawn[:, 0] == 5, 1], some[some != 5]
    assert chi_square(np.bincount(second)[others], WEIGHTS[others] / 4.5) < LARGEST


def test_one_of_a_row():
    drawn = hotloop.multinomial(tensor(np.tile(WEIGHTS, (DRAWS, 1))), 1).numpy()
    some = np.flatnonzero(WEIGHTS)
    assert chi_square(np.bincount(drawn[:, 0])[some], WEIGHTS[some] / 10) < LARGEST


def test_what_is_drawn_is_repeatable():
    weights = tensor(WEIGHTS)
    draws = (
        lambda **options: weights.multinomial(9, replacement=True, **options),
        lambda **options: weights.multinomial(4, **options),
        lambda **options: (weights / 10).bernoulli(**options),
    )
    for draw in draws:
        hotloop.manual_seed(7)
        first, second = draw().numpy(), [draw().numpy() for _ in range(5)]
        hotloop.manual_seed(7)
        mine = hotloop.get_rng_state()
        assert np.array_equal(draw().numpy(), first)
        assert any(not np.array_equal(first, other) for other in second)
        # a state of one's own moves on, and the thread's does not
        ours = hotloop.get_rng_state()
        assert np.array_equal(draw(generator=mine).numpy(), first)
        assert np.array_equal(mine, ours) and np.array_equal(hotloop.get_rng_state(), ours)


def test_shapes_as_torch():
    torch = pytest.importorskip("torch")
    for shape, n, replacement in [((6,), 3, False), ((6,), 9, True), ((2, 6), 1, False), ((0, 6), 2, False)]:
        ours, theirs = hotloop.ones(*shape), torch.ones(*shape)
        got, want = (function.multinomial(x, n, replacement) for function, x in ((hotloop, ours), (torch, theirs)))
        assert got.shape == tuple(want.shape) and not got.requires_grad
    # of a result that requires grad, as from softmax
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    assert not x.softmax(0).multinomial(1).requires_grad


def test_extreme_weights():
    big = np.finfo(np.float64).max
    assert set(hotloop.multinomial(tensor(np.array([big, big, 0])), 50, True).tolist()) == {0, 1}
    tiny = np.finfo(np.float64).smallest_subnormal
    for weights in ([0.0, tiny], [0.0, big]):
        assert hotloop.multinomial(tensor(np.array(weights)), 1).item() == 1
    drawn = hotloop.multinomial(tensor(np.array([0, 1e-300, 1, 0])), 2)
    assert drawn.tolist() == [2, 1]


REFUSED = {
    "integers": (TypeError, "float", np.array([1, 2]), 1, False),
    "dimensions": (ValueError, r"\(rows, places\), got shape \(1, 1, 2\)", np.ones((1, 1, 2)), 1, False),
    "no samples": (ValueError, "num_samples: expected 1 or more, got 0", np.ones(2), 0, True),
    "too many": (ValueError, "at most 2 samples", np.ones(2), 3, False),
    "negative": (ValueError, "weights of 0 or more", np.array([1.0, -1]), 1, True),
    "nan": (ValueError, "not NaN", np.array([1.0, np.nan]), 1, True),
    "infinite": (ValueError, "infinite", np.array([1.0, np.inf]), 1, True),
    "all zero": (ValueError, "1 or more weights above 0", np.array([[1.0, 1], [0, 0]]), 2, True),
    "too few": (ValueError, "2 or more weights above 0", np.array([0.0, 1]), 2, False),
    "nothing": (ValueError, "1 or more weights above 0", np.ones(0), 1, True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    error, words, weights, n, replacement = REFUSED[name]
    before = hotloop.get_rng_state()
    with pytest.raises(error, match=words):
        hotloop.multinomial(tensor(weights), n, replacement)
    assert np.array_equal(hotloop.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bernoulli(dtype):
    p = tensor(np.tile(np.array([0, 0.1, 0.5, 1], dtype), (DRAWS, 1)))
    y = hotloop.bernoulli(p)
    assert y.dtype == dtype and y.shape == p.shape and set(np.unique(y.numpy())) == {0, 1}
    np.testing.assert_allclose(y.numpy().mean(0, dtype=float), [0, 0.1, 0.5, 1], atol=4 * 0.5 / DRAWS**0.5)
    assert np.array_equal(y.numpy()[:, [0, 3]], np.tile([0, 1], (DRAWS, 1)))
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"0 \.\. 1"):
            hotloop.bernoulli(tensor([wrong]))
    with pytest.raises(TypeError, match="float"):
        hotloop.bernoulli(tensor([0, 1]))


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_has_the_gradient_of_a_softmax(hard):
    torch = pytest.importorskip("torch")
    logits, dy = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    hotloop.manual_seed(1)
    noise = -np.log(-np.log(hotloop.rand(3, 4, 5).numpy()))
    hotloop.manual_seed(1)
    x, z = Tensor(logits, requires_grad=True), torch.tensor(logits, requires_grad=True)
    y = F.gumbel_softmax(x, tau=0.7, hard=hard, dim=1)
    soft = torch.softmax((z + torch.tensor(noise)) / 0.7, 1)
    largest = np.eye(4)[soft.detach().numpy().argmax(1)].swapaxes(1, 2)
    np.testing.assert_allclose(y.numpy(), largest if hard else soft.detach().numpy(), atol=1e-6)
    y.backward(dy)
    soft.backward(torch.tensor(dy))
    np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_gumbel_softmax_is_as_often_as_softmax_says():
    chances = WEIGHTS[WEIGHTS > 0] / 10
    drawn = F.gumbel_softmax(tensor(np.tile(np.log(chances), (DRAWS, 1)).astype(np.float32)), hard=True)
    assert drawn.shape == (DRAWS, 4) and drawn.dtype == np.float32
    assert chi_square(drawn.numpy().round().sum(0), chances) < LARGEST
