"""Embedding: against PyTorch, refusals, what its gradient does."""

import numpy as np
import pytest
from helpers import close
from hotloop import nn

F = nn.functional

# of Embedding and the function: a table of 9 rows of 5
OPTIONS = {
    "plain": {},
    "padding": dict(padding_idx=3),
    "padding from the end": dict(padding_idx=-1),
    "frequency": dict(scale_grad_by_freq=True),
    "frequency, padding": dict(scale_grad_by_freq=True, padding_idx=0),
    "renorm": dict(max_norm=1.5),
    "renorm, sums": dict(max_norm=2.0, norm_type=1.0),
    "renorm, largest": dict(max_norm=0.7, norm_type=np.inf, padding_idx=2),
}
SHAPES = [(), (7,), (4, 6), (2, 3, 4), (0,), (3, 0)]


def pair(torch, dtype, **options):
    """Our layer and theirs, with the same weights."""
    ours = nn.Embedding(9, 5, **options, dtype=dtype)
    theirs = torch.nn.Embedding(9, 5, **options, dtype=getattr(torch, str(dtype)))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_close(got, want, dtype):
    # sums of a few numbers, in another order
    tol = 2e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


@pytest.mark.parametrize("kind", [np.int64, np.int32], ids=lambda t: t.__name__)
@pytest.mark.parametrize("name", OPTIONS)
def test_embedding_as_torch(dtype, rng, name, kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs = pair(torch, dtype, **OPTIONS[name])
    for shape in SHAPES:
        ids = rng.integers(0, 9, shape, kind)
        dy = rng.standard_normal((*shape, 5)).astype(dtype)
        y, want = ours(ids), theirs(torch.tensor(ids))
        assert_close(y.detach().numpy(), want.detach().numpy(), dtype)
        y.backward(dy)
        want.backward(torch.tensor(dy))
        # gradients add up over the shapes
        assert_close(ours.weight.grad, theirs.weight.grad.numpy(), dtype)
        assert_close(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), dtype)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})


def test_a_table_that_is_computed_has_a_gradient(rng):
    w, ids = rng.standard_normal((6, 3)), rng.integers(0, 6, (4, 2))
    leaf = nn.Tensor(w, requires_grad=True)
    y = F.embedding(ids, leaf * 2, padding_idx=1)
    y.sum().backward()
    want = 2.0 * np.bincount(ids.ravel(), minlength=6)[:, None] * np.ones(3)
    want[1] = 0
    close(leaf.grad, want)


def test_new_layers():
    layer = nn.Embedding(1000, 20, padding_idx=-3)
    w = layer.weight.numpy()
    assert layer.padding_idx == 997 and (w[997] == 0).all()
    assert abs(w.mean()) < 0.03 and abs(w.std() - 1) < 0.03
    layer.reset_parameters()
    assert (layer.weight.numpy()[997] == 0).all()
    frozen = nn.Embedding(3, 2, _freeze=True)
    assert not frozen.weight.requires_grad
    assert nn.Embedding(0, 2)(np.zeros((3, 0), int)).shape == (3, 0, 2)


def test_from_pretrained():
    table = np.arange(6, dtype=np.float64).reshape(3, 2)
    layer = nn.Embedding.from_pretrained(table, padding_idx=1)
    assert repr(layer) == "Embedding(3, 2, padding_idx=1)"
    assert not layer.weight.requires_grad
    # as in torch: the table is the weight, and its row of padding is left as it is
    assert np.shares_memory(layer.weight.numpy(), table) and layer.weight.numpy()[1].tolist() == [2, 3]
    assert nn.Embedding.from_pretrained(nn.Tensor(table), freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match="num_embeddings, embedding_dim"):
        nn.Embedding.from_pretrained(np.ones(3))
    with pytest.raises(ValueError, match=r"Shape of weight.*expected \(4, 2\), got \(3, 2\)"):
        nn.Embedding(4, 2, _weight=table)


def test_refusals():
    layer = nn.Embedding(9, 5)
    for bad in (9, -1, 2**40):
        with pytest.raises(IndexError, match=rf"^id {bad} is out of range: expected 0 \.\. 8;"):
            layer(np.array([[0, bad]]))
    with pytest.raises(TypeError, match="expected ids as integers, got float32"):
        layer(np.ones(3, np.float32))
    with pytest.raises(TypeError, match="expected ids as integers, got bool"):
        layer(np.ones(3, bool))
    for bad in (9, -10):
        with pytest.raises(ValueError, match="padding_idx must be within num_embeddings"):
            nn.Embedding(9, 5, padding_idx=bad)
    with pytest.raises(TypeError, match=r"expected padding_idx as an integer, got 1\.0"):
        nn.Embedding(9, 5, padding_idx=1.0)
    with pytest.raises(ValueError, match="num_embeddings, embedding_dim"):
        F.embedding([0], np.ones(3))


def test_norms_are_left_alone_when_an_id_is_refused():
    layer = nn.Embedding(4, 3, max_norm=0.1)
    before = layer.weight.numpy().copy()
    with pytest.raises(IndexError, match=r"id 4 is out of range: expected 0 \.\. 3"):
        layer(np.array([0, 4]))
    assert (layer.weight.numpy() == before).all()


def test_renorm_is_a_change_in_place():
    """What saved the table before is told."""
    layer = nn.Embedding(4, 3, max_norm=0.1)
    y = (layer.weight * layer.weight).sum()
    layer(np.array([0, 1]))
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_ids_that_change_before_backward_are_noticed():
    layer, ids = nn.Embedding(4, 3), nn.Tensor(np.array([0, 1]))
    y = layer(ids)
    ids.fill_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(np.ones((2, 3), np.float32))


def test_one_hot_as_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ids = np.array([[0, 2], [1, 0]])
    for classes in (-1, 5):
        got, want = F.one_hot(ids, classes), torch.nn.functional.one_hot(torch.tensor(ids), classes)
        assert got.dtype == np.int64 and (got.numpy() == want.numpy()).all()
