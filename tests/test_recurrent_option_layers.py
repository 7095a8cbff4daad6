"""Options of nn.RNN, LSTM and GRU: against their equations step by step, in training and in eval mode, off and on."""

import copy

import hotloop
import numpy as np
import pytest
from helpers import close, finite_difference, same
from hotloop import manual_seed, nn

T, N, D, H = 5, 4, 3, 6
OPTIONS = {
    "RNN": dict(layer_norm=True, recurrent_dropout=0.3, zoneout=0.2),
    "GRU": dict(layer_norm=True, recurrent_dropout=0.3, zoneout=0.2),
    "LSTM": dict(layer_norm=True, peepholes=True, recurrent_dropout=0.3, zoneout=(0.2, 0.1)),
}
kinds = pytest.mark.parametrize("kind", OPTIONS)


def final_states(result):
    states = result[1]
    return states if isinstance(states, tuple) else (states,)


def values(result):
    return [t.numpy() for t in (result[0], *final_states(result))]


def lively(layer, rng):
    """A layer whose gains and shifts are numbers of their own."""
    for parameter in layer.parameters():
        parameter.data[...] = rng.uniform(-0.7, 0.9, parameter.shape)
    return layer


@kinds
def test_off_is_the_plain_layer_bit_for_bit(rng, kind):
    x = rng.standard_normal((T, N, D)).astype(np.float32)
    manual_seed(3)
    plain = getattr(nn, kind)(D, H, num_layers=2)
    manual_seed(3)
    off = getattr(nn, kind)(D, H, num_layers=2, layer_norm=False, recurrent_dropout=0.0, zoneout=0.0)
    assert repr(off) == repr(plain)
    assert list(off.state_dict()) == list(plain.state_dict())
    for got, want in zip(values(off(x)), values(plain(x)), strict=True):
        assert same(got, want)


@kinds
def test_recurrent_dropout_is_off_in_eval_mode(rng, kind):
    x = rng.standard_normal((T, N, D)).astype(np.float32)
    layer = getattr(nn, kind)(D, H, recurrent_dropout=0.5)
    plain = getattr(nn, kind)(D, H)
    plain.load_state_dict(layer.state_dict())
    assert not np.array_equal(layer(x)[0].numpy(), plain(x)[0].numpy())
    # the first step begins with zeros: there is nothing to drop
    close(layer(x)[0].numpy()[0], plain(x)[0].numpy()[0])
    for got, want in zip(values(layer.eval()(x)), values(plain(x)), strict=True):
        assert same(got, want)


@kinds
def test_zones(rng, kind):
    """In training units keep their state or take the new one; in eval mode both are mixed as expected."""
    x = rng.standard_normal((1, 64, D))
    h0 = rng.standard_normal((1, 64, H))
    layer, plain = (getattr(nn, kind)(D, H, dtype=np.float64, **o) for o in (dict(zoneout=0.25), {}))
    plain.load_state_dict(layer.state_dict())
    given = (h0, 2 * h0) if kind == "LSTM" else h0
    olds, news = (h0, 2 * h0), [s.numpy() for s in final_states(plain(x, given))]
    for old, new, got in zip(olds, news, final_states(layer(x, given)), strict=False):
        kept = got.numpy() == old
        close(got.numpy(), np.where(kept, old, new))
        # 384 draws: five standard deviations
        assert abs(kept.mean() - 0.25) < 0.11
    for old, new, got in zip(olds, news, final_states(layer.eval()(x, given)), strict=False):
        close(got.numpy(), 0.25 * old + 0.75 * new)


def test_zoneout_of_either_state(rng):
    x, h0 = rng.standard_normal((1, N, D)).astype(np.float32), rng.standard_normal((1, N, H)).astype(np.float32)
    h, c = nn.LSTM(D, H, zoneout=(1.0, 0.0))(x, (h0, h0))[1]
    assert np.array_equal(h.numpy(), h0)
    assert not np.array_equal(c.numpy(), h0)
    h, c = nn.LSTM(D, H, zoneout=(0.0, 1.0))(x, (h0, h0))[1]
    assert np.array_equal(c.numpy(), h0)
    assert not np.array_equal(h.numpy(), h0)


@kinds
def test_seeds(rng, kind):
    x = rng.standard_normal((T, N, D)).astype(np.float32)
    layer = getattr(nn, kind)(D, H, num_layers=2, bidirectional=True, **OPTIONS[kind])
    results = []
    for seed in (7, 7, 8):
        manual_seed(seed)
        results.append(layer(x)[0].numpy())
    assert same(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def step(kind, x, h, c, w, form):
    """One step of a layer with layer normalisation (and peepholes), in tensor operations."""

    def norm(a, gain, bias=None):
        return nn.functional.layer_norm(a, (a.shape[-1],), gain, bias)

    ih, hh = x @ w["weight_ih"].T, h @ w["weight_hh"].T
    two = 2 * H if kind == "GRU" else len(w["gain_ih"])
    given = norm(ih[:, :two], w["gain_ih"][:two]) + w["bias_ih"][:two]
    gates = given + norm(hh[:, :two], w["gain_hh"][:two]) + w["bias_hh"][:two]
    if kind == "RNN":
        return (gates.relu() if form else gates.tanh()), c
    if kind == "GRU":
        r, z = (gates[:, i * H : (i + 1) * H].sigmoid() for i in range(2))
        product = hh[:, two:] if form else (r * h) @ w["weight_hh"][two:].T
        inner = norm(product, w["gain_hh"][two:]) + w["bias_hh"][two:]
        n = norm(ih[:, two:], w["gain_ih"][two:]) + w["bias_ih"][two:] + (r * inner if form else inner)
        return (1 - z) * n.tanh() + z * h, c
    i, f, g, o = (gates[:, k * H : (k + 1) * H] for k in range(4))
    p_i, p_f, p_o = (w["weight_peephole"][k * H : (k + 1) * H] for k in range(3))
    new = (f + p_f * c).sigmoid() * c + (i + p_i * c).sigmoid() * g.tanh()
    full = (o + p_o * new).sigmoid() * norm(new, w["gain_c"], w["bias_c"]).tanh()
    return (full @ w["weight_hr"].T if "weight_hr" in w else full), new


def run(kind, layer, x, lengths, form):
    """All layers and directions of a layer, sample by sample, step by step."""
    width, ends, x = layer.proj_size or H, [], list(nn.Tensor(x).transpose(0, 1))
    for level in range(layer.num_layers):
        directions = []
        for suffix in ("", "_reverse"):
            end = f"_l{level}{suffix}"
            w = {n.removesuffix(end): p for n, p in layer.named_parameters() if n.endswith(end)}
            rows = []
            for sample, length in zip(x, lengths, strict=True):
                h, c, out = nn.Tensor(np.zeros((1, width))), nn.Tensor(np.zeros((1, H))), {}
                for t in range(length)[:: -1 if suffix else 1]:
                    h, c = step(kind, sample[t : t + 1], h, c, w, form)
                    out[t] = h
                rows.append((hotloop.cat([out.get(t, h * 0) for t in range(T)]), h, c))
            directions.append([r[0] for r in rows])
            ends.append([hotloop.cat(part) for part in list(zip(*rows, strict=True))[1:]])
        x = [hotloop.cat(pair, 1) for pair in zip(*directions, strict=True)]
    return [hotloop.stack(x, 1), *(hotloop.stack(part) for part in zip(*ends, strict=True))]


@pytest.mark.parametrize("kind, options", [
    ("RNN", {}), ("RNN", dict(nonlinearity="relu")), ("GRU", {}), ("GRU", dict(reset_after=False)),
    ("LSTM", dict(peepholes=True)), ("LSTM", dict(peepholes=True, proj_size=4)),
], ids=str)  # fmt: skip
def test_layer_norm_and_peepholes_step_by_step(rng, kind, options):
    """Two layers in both directions with lengths: results, and the gradients of all parameters."""
    layer = getattr(nn, kind)(D, H, num_layers=2, bidirectional=True, dtype=np.float64, layer_norm=True, **options)
    lively(layer, rng)
    x, lengths = rng.standard_normal((T, N, D)), [2, 5, 1, 3]
    form = options.get("reset_after", True) if kind == "GRU" else "nonlinearity" in options
    result, want = layer(x, lengths=lengths), run(kind, layer, x, lengths, form)
    got = [result[0], *final_states(result)]
    gradients = []
    for results in (got, want[: len(got)]):
        total = sum((r * nn.Tensor(np.cos(np.arange(r.numel())).reshape(r.shape))).sum() for r in results)
        layer.zero_grad()
        total.backward()
        gradients.append({n: np.array(p.grad) for n, p in layer.named_parameters()})
    for g, w in zip(got, want, strict=False):
        close(g.numpy(), w.numpy())
    for name, gradient in gradients[0].items():
        close(gradient, gradients[1][name], 1e-11, name)


@kinds
def test_gradients_against_finite_differences(rng, kind):
    """All options at once in training, the same masks each time; the input's gradient and every parameter's."""
    more = dict(proj_size=2) if kind == "LSTM" else {}
    layer = lively(getattr(nn, kind)(2, 4, dtype=np.float64, **OPTIONS[kind], **more), rng)
    x = nn.Tensor(rng.standard_normal((4, 3, 2)), requires_grad=True)
    weights = rng.standard_normal((4, 3, more.get("proj_size", 4)))

    def total():
        manual_seed(5)
        return (layer(x, lengths=[4, 0, 2])[0] * nn.Tensor(weights)).sum()

    total().backward()
    for name, tensor in (("x", x), *layer.named_parameters()):
        # central differences with a step of 1e-5 leave about 1e-10, and a few normalised numbers magnify it
        close(np.asarray(tensor.grad), finite_difference(lambda: float(total().numpy()), tensor.data), 1e-7, name)


@kinds
def test_no_bias_unbatched_and_copies(rng, kind):
    layer = getattr(nn, kind)(D, H, bias=False, layer_norm=True, batch_first=True)
    assert not any("bias" in n for n in layer.state_dict())
    x = rng.standard_normal((N, T, D)).astype(np.float32)
    want = layer(x)[0].numpy()
    close(copy.deepcopy(layer)(x)[0].numpy(), want)
    # a chunk of one sample is multiplied in another order
    close(layer(x[1])[0].numpy(), want[1], 1e-5)


@kinds
def test_frozen_parameters_change_nothing(rng, kind):
    """What needs no gradient gets none, and the others' gradients are the same; states included."""
    x, layer = rng.standard_normal((T, N, D)), getattr(nn, kind)(D, H, dtype=np.float64, **OPTIONS[kind])
    states = [nn.Tensor(rng.standard_normal((1, N, H)), requires_grad=True) for _ in range(1 + (kind == "LSTM"))]
    tensors = dict(layer.named_parameters()) | {f"state {k}": s for k, s in enumerate(states)}

    def gradients(frozen=()):
        for name, tensor in tensors.items():
            tensor.requires_grad_(name not in frozen)
            tensor.grad = None
        manual_seed(4)
        layer(x, tuple(states) if kind == "LSTM" else states[0], lengths=[5, 0, 2, 3])[0].sum().backward()
        return {n: None if t.grad is None else np.array(t.grad) for n, t in tensors.items()}

    want, names = gradients(), list(tensors)
    for frozen in (names[::2], names[1::2]):
        got = gradients(frozen)
        assert {n for n, g in got.items() if g is None} == set(frozen)
        for name in set(names) - set(frozen):
            close(got[name], want[name], name=name)


@kinds
def test_nan_stays_with_its_sample(rng, kind):
    layer, x = getattr(nn, kind)(D, H, **OPTIONS[kind]), rng.standard_normal((T, N, D)).astype(np.float32)
    results = []
    for value in (x[2, 1], np.nan):
        x[2, 1] = value
        manual_seed(6)
        results.append(layer(x)[0].numpy())
    clean, spoilt = results
    assert np.isnan(spoilt[-1, 1]).any()
    spoilt[2:, 1] = clean[2:, 1]
    assert same(spoilt, clean)


@kinds
@pytest.mark.parametrize("options", [True, False])
def test_what_padding_holds_does_not_count(rng, kind, options):
    layer, lengths = getattr(nn, kind)(D, H, **OPTIONS[kind] if options else {}), np.arange(N) % (T + 1)
    x, past = rng.standard_normal((T, N, D)).astype(np.float32), np.arange(T)[:, None] >= lengths
    results = []
    for value in (0, np.nan):
        x[past] = value
        given = nn.Tensor(x, requires_grad=True)
        layer.zero_grad()
        manual_seed(6)
        y = layer(given, lengths=lengths)[0]
        (y * y).sum().backward()
        results.append([y.numpy(), given.grad, *(p.grad.copy() for p in layer.parameters())])
    for clean, spoilt in zip(*results, strict=True):
        assert same(spoilt, clean)
    assert not results[1][1][past].any()


def test_parameters_and_repr():
    layer = nn.LSTM(D, H, layer_norm=True, peepholes=True, recurrent_dropout=0.25, zoneout=(0.1, 0.05))
    shapes = {n: tuple(p.shape) for n, p in layer.named_parameters()}
    assert shapes == {
        "weight_ih_l0": (24, 3),
        "weight_hh_l0": (24, 6),
        "bias_ih_l0": (24,),
        "bias_hh_l0": (24,),
        "gain_ih_l0": (24,),
        "gain_hh_l0": (24,),
        "gain_c_l0": (6,),
        "bias_c_l0": (6,),
        "weight_peephole_l0": (18,),
    }
    assert (layer.gain_hh_l0.numpy() == 1).all()
    assert (layer.bias_c_l0.numpy() == 0).all()
    assert repr(layer) == ("LSTM(3, 6, layer_norm=True, peepholes=True, recurrent_dropout=0.25, zoneout=(0.1, 0.05))")
    assert "recurrent_dropout=0.5, reset_after=False" in repr(nn.GRU(D, H, recurrent_dropout=0.5, reset_after=False))


def test_messages():
    for kind in OPTIONS:
        with pytest.raises(ValueError, match=f"{kind}: expected recurrent_dropout as .* 0 to 1, got 1.5"):
            getattr(nn, kind)(D, H, recurrent_dropout=1.5)
        with pytest.raises(TypeError, match=f"{kind}: expected layer_norm as True or False, got 'yes'"):
            getattr(nn, kind)(D, H, layer_norm="yes")
    with pytest.raises(ValueError, match="zoneout as a probability from 0 to 1, got array"):
        nn.LSTM(D, H, zoneout=np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match=r"GRU: expected zoneout as a probability, got \(0.1, 0.1\)"):
        nn.GRU(D, H, zoneout=(0.1, 0.1))
    with pytest.raises(ValueError, match="LSTM: expected zoneout as a probability or a pair"):
        nn.LSTM(D, H, zoneout=(0.1,))
    with pytest.raises(ValueError, match="zoneout as a probability from 0 to 1, got -1"):
        nn.LSTM(D, H, zoneout=(0.1, -1))
    with pytest.raises(TypeError, match="peepholes"):
        nn.GRU(D, H, peepholes=True)
    with pytest.raises(ValueError, match="peepholes look at the cell of an LSTM; GRU has none"):
        nn.RNNBase("GRU", D, H, peepholes=True)


@kinds
def test_packed_sequences(rng, kind):
    layer = lively(getattr(nn, kind)(D, H, dtype=np.float64, bidirectional=True, layer_norm=True, zoneout=0.2), rng)
    layer.eval()
    x, lengths = rng.standard_normal((T, N, D)), [2, 5, 1, 3]
    packed = nn.utils.rnn.pack_padded_sequence(nn.Tensor(x), lengths, enforce_sorted=False)
    got, want = layer(packed), layer(x, lengths=lengths)
    close(nn.utils.rnn.pad_packed_sequence(got[0])[0].numpy(), want[0].numpy())
    for g, w in zip(final_states(got), final_states(want), strict=True):
        close(g.numpy(), w.numpy())
