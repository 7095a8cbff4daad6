"""EmbeddingBag: against PyTorch, against Embedding, refusals."""

import numpy as np
import pytest
from helpers import close
from hotloop import nn

F = nn.functional

# of a table of 9 rows of 5
OPTIONS = {
    "mean": {},
    "sum": dict(mode="sum"),
    "max": dict(mode="max"),
    "mean, padding": dict(padding_idx=3),
    "max, padding": dict(mode="max", padding_idx=-1),
    "sum, renorm": dict(mode="sum", max_norm=1.5, padding_idx=2),
    "mean, renorm": dict(max_norm=2.0, norm_type=1.0),
    "end": dict(mode="sum", include_last_offset=True),
    "sparse": dict(mode="sum", sparse=True, padding_idx=1),
    "sparse mean": dict(sparse=True),
}


def pair(torch, dtype, **options):
    """Our layer and theirs, with the same weights."""
    ours = nn.EmbeddingBag(9, 5, **options, dtype=dtype)
    theirs = torch.nn.EmbeddingBag(9, 5, **options, dtype=getattr(torch, str(dtype)))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_close(got, want, dtype):
    # sums of some numbers, in another order
    tol = 4e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


def whole(gradient):
    return gradient.to_dense() if hasattr(gradient, "to_dense") else gradient


@pytest.mark.parametrize("kind", [np.int64, np.int32], ids=lambda t: t.__name__)
@pytest.mark.parametrize("name", OPTIONS)
def test_layers_as_torch(dtype, rng, name, kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs = pair(torch, dtype, **OPTIONS[name])
    end = [20] * OPTIONS[name].get("include_last_offset", False)
    offsets = np.array([0, 0, 4, 11, 11, 20, *end], kind)
    for args in ((rng.integers(0, 9, (4, 6), kind),), (rng.integers(0, 9, 20, kind), offsets)):
        y, want = ours(*args), theirs(*map(torch.tensor, args))
        assert_close(y.detach().numpy(), want.detach().numpy(), dtype)
        dy = rng.standard_normal(y.shape).astype(dtype)
        y.backward(dy)
        want.backward(torch.tensor(dy))
        # gradients add up
        assert isinstance(ours.weight.grad, nn.SparseGradient) == ours.sparse
        assert_close(whole(ours.weight.grad), whole(theirs.weight.grad).numpy(), dtype)
        assert_close(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), dtype)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_weights_of_samples_as_torch(dtype, rng, sparse, frozen):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs = pair(torch, dtype, mode="sum", sparse=sparse, padding_idx=4)
    ours.weight.requires_grad_(not frozen), theirs.weight.requires_grad_(not frozen)
    for shape, offsets in (((4, 6), None), ((20,), np.array([0, 3, 3, 9]))):
        ids, weights = rng.integers(0, 9, shape), rng.standard_normal(shape).astype(dtype)
        here, there = nn.Tensor(weights, requires_grad=True), torch.tensor(weights, requires_grad=True)
        y = ours(ids, offsets, here)
        want = theirs(torch.tensor(ids), None if offsets is None else torch.tensor(offsets), there)
        dy = rng.standard_normal(y.shape).astype(dtype)
        y.backward(dy)
        want.backward(torch.tensor(dy))
        assert_close(y.detach().numpy(), want.detach().numpy(), dtype)
        assert_close(here.grad, there.grad.numpy(), dtype)
        if frozen:
            assert ours.weight.grad is None
        else:
            assert_close(whole(ours.weight.grad), whole(theirs.weight.grad).numpy(), dtype)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_as_an_embedding_and_a_reduction(rng, mode):
    """With scale_grad_by_freq, which PyTorch's bags divide by the counts of other rows."""
    ids, dy = rng.integers(0, 9, (4, 6)), rng.standard_normal((4, 5))
    options = dict(scale_grad_by_freq=mode != "max")
    bag = nn.EmbeddingBag(9, 5, mode=mode, **options, dtype=np.float64)
    rows = nn.Embedding(9, 5, **options, _weight=bag.weight.numpy().copy())
    reduce = {"sum": lambda x: x.sum(1), "mean": lambda x: x.mean(1), "max": lambda x: x.amax(1)}[mode]
    y, want = bag(ids), reduce(rows(ids))
    close(y.detach().numpy(), want.detach().numpy())
    y.backward(dy)
    if mode != "max":
        # amax shares the gradient between equals
        want.backward(dy)
        close(bag.weight.grad, rows.weight.grad)


def test_empty_bags_and_no_bags():
    layer = nn.EmbeddingBag(4, 3)
    for args in (([[]] * 2,), ([], [0, 0])):
        y = layer(*(np.array(a, int).reshape(2, 0) if a and a[0] == [] else np.array(a, int) for a in args))
        assert y.shape == (2, 3) and not y.detach().numpy().any()
        y.sum().backward()
        assert not layer.weight.grad.any()
    assert layer(np.zeros((0, 3), int)).shape == (0, 3)
    assert nn.EmbeddingBag(4, 3, include_last_offset=True)(np.arange(3), np.array([0])).shape == (0, 3)


def test_from_pretrained():
    table = np.arange(6, dtype=np.float64).reshape(3, 2)
    layer = nn.EmbeddingBag.from_pretrained(table, mode="sum", padding_idx=1)
    assert repr(layer) == "EmbeddingBag(3, 2, mode='sum', padding_idx=1)"
    assert not layer.weight.requires_grad and np.shares_memory(layer.weight.numpy(), table)
    assert layer(np.array([[0, 1, 2]])).numpy().tolist() == [[4, 6]]
    assert nn.EmbeddingBag.from_pretrained(table, freeze=False).weight.requires_grad


def test_refusals():
    layer, ids = nn.EmbeddingBag(9, 5), np.arange(3)
    with pytest.raises(IndexError, match=r"id 9 is out of range: expected 0 \.\. 8"):
        layer(np.array([[0, 9]]))
    with pytest.raises(TypeError, match="expected ids as integers"):
        layer(np.ones((2, 2), np.float32))
    for input, offsets, match in (
        (np.ones((2, 2), int), ids, "if input is 2D, then offsets has to be None"),
        (ids, None, "offsets has to be a 1D Tensor but got None"),
        (ids, np.zeros((1, 1), int), "offsets has to be a 1D Tensor"),
        (np.zeros((1, 1, 1), int), None, "1D or 2D Tensor, but got Tensor of dimension 3"),
        (ids, np.array([1]), "first to be 0"),
        (ids, np.array([0, 4]), "no more than there are ids"),
    ):
        with pytest.raises(ValueError, match=match):
            layer(input, offsets)
    with pytest.raises(ValueError, match="at least 1 element"):
        F.embedding_bag(ids, layer.weight, np.zeros(0, int), include_last_offset=True)
    for options, match in (
        (dict(mode="median"), "mode has to be one of sum, mean or max; got 'median'"),
        (dict(mode="max", scale_grad_by_freq=True), "max mode does not support scaling"),
        (dict(mode="max", sparse=True), "max mode does not support sparse weights"),
        (dict(sparse=True, scale_grad_by_freq=True), "not supported with sparse gradients"),
        (dict(mode="sum", per_sample_weights=np.ones(2, np.float32)), "same shape as the input"),
    ):
        with pytest.raises(ValueError, match=match):
            F.embedding_bag(ids, layer.weight, np.array([0]), **options)
    with pytest.raises(NotImplementedError, match="only supported for mode='sum'"):
        layer(ids, np.array([0]), np.ones(3, np.float32))
    with pytest.raises(TypeError, match="float64"):
        F.embedding_bag(ids, layer.weight, np.array([0]), mode="sum", per_sample_weights=np.ones(3))
