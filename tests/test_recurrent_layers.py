"""RNN, LSTM, GRU and their cells as layers: numbers, gradients, shapes, states and messages as torch.nn's."""

import copy

import numpy as np
import pytest
from helpers import close
from hotloop import nn
from recurrent import packed_pattern
from recurrent_pairs import LAYERS, D, H, N, T, compare, compare_gradients, draw_states, pair


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("both", [False, True], ids=["", "bidirectional"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", ""])
def test_as_torch(rng, dtype, name, layers, both, batch_first, bias):
    options = dict(num_layers=layers, bidirectional=both, batch_first=batch_first, bias=bias)
    torch, ours, theirs = pair(name, dtype, **options)
    x = rng.standard_normal((N, T, D) if batch_first else (T, N, D)).astype(dtype)
    compare(torch, rng, ours, theirs, [x, *draw_states(rng, name, layers * (1 + both), dtype)])


@pytest.mark.parametrize("name", LAYERS)
def test_states_of_zeros(rng, name):
    torch, ours, theirs = pair(name, num_layers=2)
    compare(torch, rng, ours, theirs, [rng.standard_normal((T, N, D))])


@pytest.mark.parametrize("name, output", [(n, i) for n in LAYERS for i in range(3 if "LSTM" in n else 2)])
def test_the_gradient_of_one_output(rng, name, output):
    torch, ours, theirs = pair(name, num_layers=2, bidirectional=True)
    inputs = [rng.standard_normal((T, N, D)), *draw_states(rng, name, 4, float)]
    compare(torch, rng, ours, theirs, inputs, only=output)


@pytest.mark.parametrize("name", LAYERS)
def test_unbatched(rng, name):
    torch, ours, theirs = pair(name, bidirectional=True, batch_first=True)
    compare(torch, rng, ours, theirs, [rng.standard_normal((T, D))])
    torch, ours, theirs = pair(name, bidirectional=True)
    compare(torch, rng, ours, theirs, [rng.standard_normal((T, D)), *draw_states(rng, name, 2, float, ())])


@pytest.mark.parametrize("name", LAYERS)
def test_lengths_as_packed_sequences(rng, name):
    torch, ours, theirs = pair(name, num_layers=2, bidirectional=True)
    lengths = [2, 5, 1, 3]

    def run(layer, given):
        if layer is ours:
            return layer(given[0], lengths=lengths)
        y, states = layer(packed_pattern(torch, given[0], lengths))
        return torch.nn.utils.rnn.pad_packed_sequence(y, total_length=T)[0], states

    compare(torch, rng, ours, theirs, [rng.standard_normal((T, N, D))], run)


# ---- one step


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("samples", [(N,), ()], ids=["batch", "unbatched"])
def test_cells(rng, dtype, name, bias, samples):
    count = 2 if name == "LSTMCell" else 1
    inputs = [rng.standard_normal((*samples, s)).astype(dtype) for s in (D, *[H] * count)]
    torch, ours, theirs = pair(name, dtype, bias=bias)
    compare(torch, rng, ours, theirs, inputs)
    if bias:
        compare(torch, rng, *pair(name, dtype)[1:], inputs[:1])


def test_a_cell_step_by_step(rng):
    """Gradients of a shared weight add up over steps."""
    torch, ours, theirs = pair("LSTMCell")

    def run(layer, given):
        state = None
        for t in range(T):
            state = layer(given[0][t], state)
        return state

    compare(torch, rng, ours, theirs, [rng.standard_normal((T, N, D))], run)


# ---- parameters


@pytest.mark.parametrize("name", [*LAYERS, "RNNCell", "LSTMCell", "GRUCell"])
def test_states_load_both_ways(name):
    options = {} if "Cell" in name else dict(num_layers=2, bidirectional=True)
    torch, ours, theirs = pair(name, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    with torch.no_grad():
        for p in theirs.parameters():
            p.normal_()
    ours.load_state_dict(theirs.state_dict())
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert np.array_equal(p.numpy(), q.detach().numpy())


def test_a_layer_used_twice(rng):
    torch, ours, theirs = pair("GRU")

    def run(layer, given):
        return layer(given[0] * 2, layer(given[0])[1])

    compare(torch, rng, ours, theirs, [rng.standard_normal((T, N, D))], run)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_shared_by_layers(rng, name):
    """Directions, layers of one stack, and two stacks with the same parameters: gradients add up."""
    torch, ours, theirs = pair(name, num_layers=3, bidirectional=True)
    _, second, their_second = pair(name, num_layers=3, bidirectional=True)
    for first, other in (ours, second), (theirs, their_second):
        first.weight_hh_l0_reverse = first.weight_hh_l0
        first.bias_ih_l2 = first.bias_ih_l0
        first.weight_ih_l2 = first.weight_ih_l1
        for n, p in first.named_parameters(remove_duplicate=False):
            setattr(other, n, p)
    seconds = {id(ours): second, id(theirs): their_second}

    def run(layer, given):
        return layer(given[0]), seconds[id(layer)](given[0] * 2)

    x = rng.standard_normal((T, N, D))
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))
    compare(torch, rng, ours, theirs, [x], run)
    compare(torch, rng, ours, theirs, [x], run)  # into gradients that are there already


def test_gradients_accumulate(rng):
    layer = nn.LSTM(D, H)
    x = rng.standard_normal((T, N, D)).astype(np.float32)
    layer(x)[0].sum().backward()
    once = {n: np.array(p.grad) for n, p in layer.named_parameters()}
    layer(x)[0].sum().backward()
    for name, p in layer.named_parameters():
        close(np.asarray(p.grad), 2 * once[name], 1e-6, name)


def test_copies():
    layer = nn.LSTM(D, H, num_layers=2, proj_size=2)
    other = copy.deepcopy(layer)
    x = np.ones((T, N, D), np.float32)
    assert np.array_equal(layer(x)[0].numpy(), other(x)[0].numpy())
    assert [len(w) for w in layer.all_weights] == [5, 5]


def test_bases():
    layers = {"RNN_TANH": nn.RNN(D, H), "RNN_RELU": nn.RNN(D, H, 1, "relu"), "LSTM": nn.LSTM(D, H), "GRU": nn.GRU(D, H)}
    for mode, layer in layers.items():
        assert isinstance(layer, nn.RNNBase) and layer.mode == mode
        base = nn.RNNBase(mode, D, H)
        assert {n: p.shape for n, p in base.named_parameters()} == {n: p.shape for n, p in layer.named_parameters()}
    assert all(isinstance(c(D, H), nn.RNNCellBase) for c in (nn.RNNCell, nn.LSTMCell, nn.GRUCell))


# ---- what it computes


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


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_between_layers(p):
    """The first layer gives ones, the second adds up nothing but what it gets."""
    steps, samples, units = 50, 40, 60
    layer = nn.RNN(1, units, num_layers=2, nonlinearity="relu", dropout=p)
    with nn.tape.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0.fill_(1)
        layer.weight_ih_l1.copy_(np.eye(units, dtype=np.float32))
    x = np.zeros((steps, samples, 1), np.float32)
    y, h = (t.numpy() for t in layer(x))
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / (1 - p) if p < 1 else 1, rtol=1e-6)
    # five standard deviations of so many draws
    assert abs(kept.mean() - (1 - p)) <= 5 * np.sqrt(p * (1 - p) / y.size)
    if p == 0.3:
        # neither steps, nor samples, nor units share a draw
        assert all(0 < kept.mean(axis).min() and kept.mean(axis).max() < 1 for axis in (0, 1, 2))
        assert not np.array_equal(y, layer(x)[0].numpy())
    assert (h[0] == 1).all() and np.array_equal(h[1], y[-1])
    layer.eval()
    assert (layer(x)[0].numpy() == 1).all()


# ---- from batch to batch


@pytest.mark.parametrize("name", LAYERS)
def test_truncated_backpropagation(rng, name):
    """A sequence in three parts: states are handed on detached, gradients of the parts add up."""
    torch, ours, theirs = pair(name, num_layers=2)
    x = rng.standard_normal((9, N, D))
    for layer, given in (ours, nn.Tensor(x)), (theirs, torch.from_numpy(x)):
        state = None
        for part in given.split(3):
            y, state = layer(part, state)
            (y * y).sum().backward()
            state = tuple(s.detach() for s in state) if "LSTM" in name else state.detach()
    compare_gradients(ours, theirs, 1e-13)
    whole, final = ours(x)
    close(y.detach().numpy(), whole.numpy()[6:])
    for got, want in zip(state if "LSTM" in name else [state], final if "LSTM" in name else [final], strict=True):
        close(got.numpy(), want.numpy())


def test_states_carry_on(rng):
    """Without detaching, gradients flow from part to part, as in torch."""
    torch, ours, theirs = pair("LSTM")

    def run(layer, given):
        y, state = layer(given[0][:2])
        return y, layer(given[0][2:], state)

    compare(torch, rng, ours, theirs, [rng.standard_normal((T, N, D))], run)


def test_a_state_that_was_not_detached():
    layer, x = nn.GRU(D, H), np.zeros((T, N, D), np.float32)
    y, h = layer(x)
    y.sum().backward()
    with pytest.raises(RuntimeError, match=r"GRUFunction a second time.* detach\(\)"):
        layer(x, h)[0].sum().backward()


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_no_samples(name):
    layer = getattr(nn, name)(D, H)
    # an empty list is one of floats to NumPy
    for lengths in (None, [], np.empty(0, np.int64)):
        y, _ = layer(np.zeros((T, 0, D), np.float32), lengths=lengths)
        assert y.shape == (T, 0, H)
