"""RNN, LSTM, GRU and their cells as layers: numbers, gradients, shapes, states and messages as torch.nn's."""

import copy

import numpy as np
import pytest
from helpers import close
from hotloop import nn
from recurrent import packed_pattern

LAYERS = {"RNN": {}, "RNN-relu": dict(nonlinearity="relu"), "LSTM": {}, "LSTM-projection": dict(proj_size=3), "GRU": {}}
T, N, D, H = 5, 4, 3, 7


def pair(name, dtype=np.float64, **options):
    """Our layer and torch's, with the same parameters."""
    torch = pytest.importorskip("torch")
    kind = name.partition("-")[0]
    ours = getattr(nn, kind)(D, H, dtype=dtype, **options, **LAYERS.get(name, {}))
    theirs = getattr(torch.nn, kind)(
        D, H, dtype=getattr(torch, np.dtype(dtype).name), **options, **LAYERS.get(name, {})
    )
    theirs.load_state_dict({n: torch.from_numpy(t.numpy().copy()) for n, t in ours.state_dict().items()})
    return torch, ours, theirs


def flat(result):
    return [result] if not isinstance(result, tuple) else [t for part in result for t in flat(part)]


def compare(torch, rng, ours, theirs, inputs, run=None):
    """Results, and gradients of inputs and parameters, from random gradients of all results."""
    tol = 1e-5 if inputs[0].dtype == np.float32 else 1e-13
    xs = [nn.Tensor(a.copy(), requires_grad=True) for a in inputs]
    zs = [torch.from_numpy(a.copy()).requires_grad_() for a in inputs]
    got, want = flat((run or _call)(ours, xs)), flat((run or _call)(theirs, zs))
    total = expected = 0
    for g, w in zip(got, want, strict=True):
        close(g.numpy(), w.detach().numpy(), tol)
        weights = rng.standard_normal(g.shape).astype(g.dtype)
        total, expected = total + (g * nn.Tensor(weights)).sum(), expected + (w * torch.from_numpy(weights)).sum()
    total.backward()
    expected.backward()
    for x, z in zip(xs, zs, strict=True):
        close(np.asarray(x.grad), z.grad.numpy(), tol)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(np.asarray(p.grad), q.grad.numpy(), tol, name)


def _call(layer, tensors):
    """x alone, or x and its states."""
    x, *states = tensors
    if not states:
        return layer(x)
    return layer(x, tuple(states) if "LSTM" in type(layer).__name__ else states[0])


def states(rng, name, count, dtype, samples=(N,)):
    widths = {"LSTM-projection": (3, H), "LSTM": (H, H)}.get(name, (H,))
    return [rng.standard_normal((count, *samples, w)).astype(dtype) for w in widths]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("both", [False, True], ids=["", "bidirectional"])
def test_as_torch(rng, dtype, name, layers, both):
    torch, ours, theirs = pair(name, dtype, num_layers=layers, bidirectional=both)
    x = rng.standard_normal((T, N, D)).astype(dtype)
    compare(torch, rng, ours, theirs, [x, *states(rng, name, layers * (1 + both), dtype)])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("options", [dict(bias=False), dict(batch_first=True)], ids=["no-bias", "batch-first"])
def test_options(rng, name, options):
    torch, ours, theirs = pair(name, num_layers=2, **options)
    compare(torch, rng, ours, theirs, [rng.standard_normal((N, T, D))])


@pytest.mark.parametrize("name", LAYERS)
def test_unbatched(rng, name):
    torch, ours, theirs = pair(name, bidirectional=True)
    compare(torch, rng, ours, theirs, [rng.standard_normal((T, D))])
    compare(
        torch, rng, *pair(name, bidirectional=True)[1:], [rng.standard_normal((T, D)), *states(rng, name, 2, float, ())]
    )


@pytest.mark.parametrize("name", LAYERS)
def test_lengths_as_packed_sequences(rng, name):
    torch, ours, theirs = pair(name, num_layers=2, bidirectional=True)
    lengths = [2, 5, 1, 3]

    def run(layer, tensors):
        if layer is ours:
            return layer(tensors[0], lengths=lengths)
        y, states = layer(packed_pattern(torch, tensors[0], lengths))
        return torch.nn.utils.rnn.pad_packed_sequence(y, total_length=T)[0], states

    compare(torch, rng, ours, theirs, [rng.standard_normal((T, N, D))], run)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("samples", [(N,), ()], ids=["batch", "unbatched"])
def test_cells(rng, dtype, name, bias, samples):
    count = 2 if name == "LSTMCell" else 1
    inputs = [rng.standard_normal((*samples, s)).astype(dtype) for s in (D, *[H] * count)]
    torch, ours, theirs = pair(name, dtype, bias=bias)
    compare(torch, rng, ours, theirs, inputs)
    if bias:
        compare(torch, rng, *pair(name, dtype)[1:], inputs[:1], lambda layer, xs: layer(xs[0]))


def test_a_cell_step_by_step(rng):
    """Gradients of a shared weight add up over steps."""
    torch, ours, theirs = pair("LSTMCell")

    def run(layer, tensors):
        state = None
        for t in range(T):
            state = layer(tensors[0][t], state)
        return state

    compare(torch, rng, ours, theirs, [rng.standard_normal((T, N, D))], run)


def test_a_layer_used_twice(rng):
    torch, ours, theirs = pair("GRU")

    def run(layer, tensors):
        return layer(tensors[0] * 2, layer(tensors[0])[1])

    compare(torch, rng, ours, theirs, [rng.standard_normal((T, N, D))], run)


def test_gradients_accumulate(rng):
    layer = nn.LSTM(D, H)
    x = rng.standard_normal((T, N, D)).astype(np.float32)
    layer(x)[0].sum().backward()
    once = {n: np.array(p.grad) for n, p in layer.named_parameters()}
    layer(x)[0].sum().backward()
    for name, p in layer.named_parameters():
        close(np.asarray(p.grad), 2 * once[name], 1e-6, name)


def test_reset_before(rng):
    """The other form of the GRU, against its equations."""
    layer = nn.GRU(D, H, dtype=np.float64, reset_after=False)
    x = rng.standard_normal((1, N, D))
    h0 = rng.standard_normal((N, H))
    w_ih, w_hh, b_ih, b_hh = (p.numpy() for p in layer.parameters())
    given = x[0] @ w_ih.T + b_ih + b_hh
    rz = 1 / (1 + np.exp(-(given[:, : 2 * H] + h0 @ w_hh[: 2 * H].T)))
    r, z = rz[:, :H], rz[:, H:]
    n = np.tanh(given[:, 2 * H :] + (r * h0) @ w_hh[2 * H :].T)
    close(layer(x, h0[None])[1].numpy()[0], (1 - z) * n + z * h0)


def test_dropout_between_layers(rng):
    x = rng.standard_normal((T, N, D)).astype(np.float32)
    layer = nn.LSTM(D, H, num_layers=2, dropout=0.5)
    assert not np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    layer.eval()
    assert np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    with pytest.warns(UserWarning, match="only one"):
        nn.LSTM(D, H, dropout=0.5)


def test_states_carry_on(rng):
    """Truncated back-propagation: two halves with a detached state give the whole's output."""
    layer = nn.LSTM(D, H, dtype=np.float64)
    x = rng.standard_normal((6, N, D))
    whole, _ = layer(x)
    first, state = layer(x[:3])
    second, _ = layer(x[3:], tuple(s.detach() for s in state))
    close(np.concatenate((first.numpy(), second.numpy())), whole.numpy())


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_no_samples(name):
    layer = getattr(nn, name)(D, H)
    y, _ = layer(np.zeros((T, 0, D), np.float32))
    assert y.shape == (T, 0, H)


@pytest.mark.parametrize("name", LAYERS)
def test_repr_as_torch(name):
    for options in ({}, dict(num_layers=2, bidirectional=True, batch_first=True, dropout=0.25), dict(bias=False)):
        _, ours, theirs = pair(name, **options)
        assert ours.extra_repr().partition(", nonlinearity")[0] == theirs.extra_repr()


def test_copies():
    layer = nn.LSTM(D, H, num_layers=2, proj_size=2)
    other = copy.deepcopy(layer)
    x = np.ones((T, N, D), np.float32)
    assert np.array_equal(layer(x)[0].numpy(), other(x)[0].numpy())
    assert [len(w) for w in layer.all_weights] == [5, 5]


def test_messages():
    layer = nn.LSTM(D, H)
    with pytest.raises(ValueError, match=r"LSTM: expected an input with 3 features, got shape \(5, 4, 9\)"):
        layer(np.zeros((5, 4, 9), np.float32))
    with pytest.raises(ValueError, match=r"expected an input \(T, N, 3\)"):
        layer(np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="pair"):
        layer(np.zeros((5, 4, D), np.float32), nn.Tensor(np.zeros((1, 4, H), np.float32)))
    with pytest.raises(ValueError, match=r"state of shape \(1, 4, 7\), got \(1, 3, 7\)"):
        layer(np.zeros((5, 4, D), np.float32), (np.zeros((1, 3, H), np.float32), np.zeros((1, 4, H), np.float32)))
    with pytest.raises(ValueError, match="lengths"):
        layer(np.zeros((5, 4, D), np.float32), lengths=[1, 2])
    with pytest.raises(ValueError, match="lengths"):
        layer(np.zeros((5, 4, D), np.float32), lengths=[1, 2, 6, 1])
    with pytest.raises(ValueError, match="proj_size"):
        nn.LSTM(D, H, proj_size=H)
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.RNN(D, H, nonlinearity="sigmoid")
    with pytest.raises(ValueError, match=r"GRUCell: expected a state of shape \(4, 7\)"):
        nn.GRUCell(D, H)(np.zeros((4, D), np.float32), np.zeros((3, H), np.float32))
