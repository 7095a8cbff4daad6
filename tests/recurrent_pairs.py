"""A recurrent layer beside torch's with the same parameters: results and all gradients are compared."""

import numpy as np
import pytest
from helpers import close
from hotloop import nn

LAYERS = {"RNN": {}, "RNN-relu": dict(nonlinearity="relu"), "LSTM": {}, "LSTM-projection": dict(proj_size=3), "GRU": {}}
# steps, samples, features, hidden units
T, N, D, H = 5, 4, 3, 7


def torch_dtype(torch, dtype):
    return getattr(torch, np.dtype(dtype).name)


def pair(name, dtype=np.float64, **options):
    """torch, our layer and torch's."""
    torch = pytest.importorskip("torch")
    kind, options = name.partition("-")[0], options | LAYERS.get(name, {})
    ours = getattr(nn, kind)(D, H, dtype=dtype, **options)
    theirs = getattr(torch.nn, kind)(D, H, dtype=torch_dtype(torch, dtype), **options)
    theirs.load_state_dict({n: torch.from_numpy(t.numpy().copy()) for n, t in ours.state_dict().items()})
    return torch, ours, theirs


def draw_states(rng, name, count, dtype, samples=(N,)):
    """Arrays of the states before the first step."""
    widths = {"LSTM-projection": (3, H), "LSTM": (H, H)}.get(name, (H,))
    return [rng.standard_normal((count, *samples, w)).astype(dtype) for w in widths]


def tensors(result):
    """All tensors in a result, of packed sequences their data."""
    if hasattr(result, "batch_sizes"):
        return [result.data]
    return [result] if not isinstance(result, tuple) else [t for part in result for t in tensors(part)]


def call(layer, given):
    """x alone, or x and its states."""
    x, *states = given
    if not states:
        return layer(x)
    return layer(x, tuple(states) if "LSTM" in type(layer).__name__ else states[0])


def compare(torch, rng, ours, theirs, inputs, run=call, only=None):
    """Results, and gradients of inputs and parameters, from random gradients of all results or of one."""
    tol = 1e-5 if inputs[0].dtype == np.float32 else 1e-13
    xs = [nn.Tensor(a.copy(), requires_grad=True) for a in inputs]
    zs = [torch.from_numpy(a.copy()).requires_grad_() for a in inputs]
    got, want = tensors(run(ours, xs)), tensors(run(theirs, zs))
    total = expected = 0
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        close(g.numpy(), w.detach().numpy(), tol)
        if only in (None, i):
            weights = rng.standard_normal(g.shape).astype(g.dtype)
            total, expected = total + (g * nn.Tensor(weights)).sum(), expected + (w * torch.from_numpy(weights)).sum()
    total.backward()
    expected.backward()
    for x, z in zip(xs, zs, strict=True):
        close(np.asarray(x.grad), z.grad.numpy(), tol)
    compare_gradients(ours, theirs, tol)


def compare_gradients(ours, theirs, tol):
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if q.grad is None:
            assert p.grad is None or not np.asarray(p.grad).any(), name
        else:
            close(np.asarray(p.grad), q.grad.numpy(), tol, name)
