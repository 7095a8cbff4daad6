"""Gradients of few rows: what makes them, how they add up, and everything that meets one."""

import copy
import pickle

import numpy as np
import pytest
from helpers import close
from hotloop import nn

F = nn.functional


def used(ids, dy=None, sparse=True, **options):
    """A table of 6 rows of 3 that was looked up once or, by ids of several rows, several times."""
    layer = nn.Embedding(6, 3, sparse=sparse, dtype=np.float64, **options)
    for row in np.atleast_2d(ids):
        layer(row).backward(np.ones((row.size, 3)) if dy is None else dy)
    return layer.weight


def test_as_torch(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ids, dy = rng.integers(0, 6, 9), rng.standard_normal((9, 3))
    theirs = torch.nn.Embedding(6, 3, padding_idx=2, sparse=True, dtype=torch.float64)
    theirs(torch.tensor(ids)).backward(torch.tensor(dy))
    got, want = used(ids, dy, padding_idx=2).grad, theirs.weight.grad.coalesce()
    assert isinstance(got, nn.SparseGradient) and got.shape == (6, 3) and got.dtype == np.float64
    assert got.is_coalesced() and got.coalesce() is got
    assert (got.rows == want.indices().numpy()[0]).all()
    close(got.values, want.values().numpy())
    close(np.asarray(got), want.to_dense().numpy())


def test_gradients_add_up():
    weight = used([[1, 2, 2], [5, 2, 0]])
    grad = weight.grad
    assert not grad.is_coalesced() and sorted(grad.rows) == [0, 1, 2, 2, 5]
    assert grad.coalesce().rows.tolist() == [0, 1, 2, 5]
    close(grad.to_dense(), used([[1, 2, 2], [5, 2, 0]], sparse=False).grad)
    # an earlier gradient stays with whoever holds it
    weight.grad = None
    assert weight.grad is None and grad.rows.size == 5


@pytest.mark.parametrize("dense_first", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_beside_gradients_of_all_rows(dense_first, at_once):
    """A table that is a matrix, too: the gradient is an array then."""
    weight = nn.Embedding(6, 3, sparse=True, dtype=np.float64).weight
    parts = [F.embedding([1, 4, 4], weight, sparse=True).sum(), F.linear(np.ones((1, 3)), weight).sum()]
    parts = parts[::-1] if dense_first else parts
    if at_once:
        (parts[0] + parts[1]).backward()
    else:
        for part in parts:
            part.backward()
    want = np.ones((6, 3))
    want[1], want[4] = 2, 3
    close(weight.grad, want)


def test_twice_in_one_graph_and_with_hooks():
    weight, seen = nn.Embedding(6, 3, sparse=True, dtype=np.float64).weight, []
    weight.register_hook(lambda grad: seen.append(grad.to_dense()))
    (F.embedding([1], weight, sparse=True).sum() + F.embedding([1, 2], weight, sparse=True).sum()).backward()
    close(weight.grad.to_dense()[1:3], [[2.0] * 3, [1.0] * 3])
    close(seen[0], weight.grad.to_dense())


def test_nn_grad_gives_rows():
    weight = nn.Embedding(6, 3, sparse=True).weight
    (got,) = nn.grad(F.embedding([3, 3], weight, sparse=True).sum(), weight)
    assert weight.grad is None and got.rows.tolist() == [3]
    close(got.values, np.full((1, 3), 2, np.float32))


def test_a_table_that_is_computed_gets_a_whole_gradient():
    leaf = nn.Tensor(np.ones((4, 2)), requires_grad=True)
    F.embedding([1, 1], leaf * 3, sparse=True).sum().backward()
    close(leaf.grad, np.array([[0.0, 0], [6, 6], [0, 0], [0, 0]]))


def test_no_ids():
    grad = used(np.zeros((1, 0), int)).grad
    assert grad.rows.size == 0 and not grad.to_dense().any()


def test_zero_grad_copies_and_casts():
    weight = used([1, 3])
    module = nn.Module()
    module.weight = weight
    twin, unpickled = copy.deepcopy(module), pickle.loads(pickle.dumps(weight.grad))
    assert twin.weight.grad is not weight.grad and twin.weight._by_rows
    for grad in (twin.weight.grad, unpickled):
        close(grad.to_dense(), weight.grad.to_dense())
    assert module.float().weight.grad.dtype == np.float32
    module.zero_grad(set_to_none=False)
    assert weight.grad.rows.size == 0
    module.zero_grad()
    assert weight.grad is None
    assert twin.weight.grad.rows.size == 2


def test_assigning():
    weight = nn.Embedding(6, 3).weight
    rows, values = np.array([1, 1]), np.ones((2, 3), np.float32)
    weight.grad = nn.SparseGradient(rows, values, (6, 3))
    assert weight.grad.coalesce().values.tolist() == [[2, 2, 2]]
    weight.grad = np.zeros((6, 3), np.float32)
    assert isinstance(weight.grad, np.ndarray)
    with pytest.raises(ValueError, match=r"expected the tensor's shape \(6, 3\), got \(5, 3\)"):
        weight.grad = nn.SparseGradient(rows, values, (5, 3))
    with pytest.raises(TypeError, match="float64"):
        weight.grad = nn.SparseGradient(rows, values.astype(np.float64), (6, 3))
    with pytest.raises(ValueError, match=r"values \(K, D\)"):
        nn.SparseGradient(rows, values[:, :2], (6, 3))
    with pytest.raises(TypeError, match="int64"):
        nn.SparseGradient(rows.astype(np.int32), values, (6, 3))


def test_clip_grad(rng):
    """As if the gradient were whole."""
    ids = np.array([[1, 2, 2], [5, 2, 0]])
    for clip in (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_):
        weights = [used(ids), used(ids, sparse=False)]
        others = [nn.Parameter(np.ones(3)) for _ in weights]
        for other in others:
            other.grad = np.full(3, 2.0)
        norms = [clip([weight, other], 1.5) for weight, other in zip(weights, others, strict=True)]
        close(weights[0].grad.to_dense(), weights[1].grad)
        close(others[0].grad, others[1].grad)
        if norms[0] is not None:
            assert norms[0].item() == pytest.approx(norms[1].item(), rel=1e-14)


@pytest.mark.parametrize("order", [1.0, 2.0, np.inf])
def test_total_norm(order):
    """That of the whole gradient: rows that are named twice count as their sum."""
    rows, whole = (used([[1, 2, 2], [5, 2, 0]], sparse=sparse).grad for sparse in (True, False))
    assert not rows.is_coalesced()
    norms = [nn.utils.get_total_norm(grads, order).item() for grads in ([rows, whole], [whole, whole], rows, whole)]
    assert norms[0] == norms[1] and norms[2] == norms[3] == pytest.approx(np.linalg.norm(np.ravel(whole), order))


def test_scaled(rng):
    """As hooks do that take arrays."""
    dy = rng.standard_normal((3, 3))
    whole = used([1, 2, 1], dy, sparse=False).grad
    weight = nn.Embedding(6, 3, sparse=True, dtype=np.float64).weight
    weight.register_hook(lambda grad: 0.5 * grad / 4)
    F.embedding([1, 2, 1], weight, sparse=True).backward(dy)
    assert weight.grad.rows.tolist() == [1, 2] and weight.grad.is_coalesced()
    close((weight.grad * np.float64(8)).to_dense(), whole)
    # what was scaled has values of its own
    assert not np.shares_memory((weight.grad * 1).values, weight.grad.values)
    with pytest.raises(TypeError, match="expected a number to scale a SparseGradient by, got a ndarray"):
        weight.grad * np.ones(3)


def test_scaling_by_frequency_is_refused():
    with pytest.raises(ValueError, match="scale_grad_by_freq is not supported with sparse gradients"):
        F.embedding([1], np.ones((3, 2)), scale_grad_by_freq=True, sparse=True)
