"""A case is written once, in the API that hotloop and PyTorch share, and run by both with the same numbers."""

import numpy as np
import pytest
from hotloop.nn import Tensor, ops

F = ops.FUNCTIONS
# float32 results of two libraries that round differently: a few units in the last place of the largest element
RTOL, ATOL = 2e-5, 2e-6


class Peer:
    """The functions that a case may call, by name, in one of the two libraries."""

    def __init__(self, functions):
        self._functions = functions

    def __getattr__(self, name):
        return self._functions[name]


def peers():
    torch = pytest.importorskip("torch")
    names = {name: getattr(torch, name) for name in F if hasattr(torch, name)}
    names["one_hot"] = torch.nn.functional.one_hot
    names["tensor"] = torch.from_numpy
    return Peer({**F, "tensor": Tensor}), Peer(names)


def flat_results(result):
    """All tensors in a result: one, a tuple, a named pair."""
    return [result] if not isinstance(result, (tuple, list)) else [t for part in result for t in flat_results(part)]


def compare(case, shapes, rng, low=-2.0, high=2.0):
    """Run a case on both libraries, backward from random gradients of all its floating results, and compare."""
    arrays = [rng.uniform(low, high, s).astype(np.float32) for s in shapes]
    ours, theirs = peers()
    xs = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    zs = [theirs.tensor(a.copy()).requires_grad_() for a in arrays]
    got, want = flat_results(case(ours, *xs)), flat_results(case(theirs, *zs))
    assert len(got) == len(want)
    total = expected = 0
    for g, w in zip(got, want, strict=True):
        values = w.detach().numpy()
        assert g.shape == tuple(w.shape) and g.dtype == values.dtype, (g.shape, w.shape, g.dtype, values.dtype)
        np.testing.assert_allclose(g.numpy(), values, rtol=RTOL, atol=ATOL)
        assert g.requires_grad == w.requires_grad
        if w.requires_grad:
            weights = rng.standard_normal(g.shape).astype(np.float32)
            total = total + (g * Tensor(weights)).sum()
            expected = expected + (w * theirs.tensor(np.asarray(weights))).sum()
    if isinstance(total, Tensor):
        total.backward()
        expected.backward()
        for x, z in zip(xs, zs, strict=True):
            assert (x.grad is None) == (z.grad is None)
            if x.grad is not None:
                np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=5 * RTOL, atol=5 * ATOL)
