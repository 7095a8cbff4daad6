"""Transformer layers: numbers, gradients, states and options as torch's.

In float64, as tests/test_attention_layers.py; the example, which tests/test_examples.py runs, trains in float32.
"""

import copy

import hotloop
import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn import functional as F
from recurrent_pairs import compare

# torch says what its inference does not do
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:The PyTorch API of nested tensors")

# samples, source and target steps, features, heads, hidden units
N, S, T, D, H, W = 2, 6, 5, 8, 2, 20


def pair(kind, *sizes, **options):
    """torch, our module and torch's, without dropout, with the same parameters."""
    torch = pytest.importorskip("torch")
    activation = options.pop("activation", "relu")
    ours_is, theirs_is = activation if isinstance(activation, tuple) else (activation, activation)
    options = dict(dropout=0.0, dim_feedforward=W) | options
    ours = getattr(nn, kind)(D, H, *sizes, activation=ours_is, dtype=np.float64, **options)
    theirs = getattr(torch.nn, kind)(D, H, *sizes, activation=theirs_is, dtype=torch.float64, **options)
    return torch, *alike(torch, ours, theirs)


def alike(torch, ours, theirs):
    """Random parameters, the same in both."""
    with torch.no_grad():
        for p in theirs.parameters():
            p.uniform_(-0.5, 0.5)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def call(torch, arrays=(), **options):
    """What `compare` runs; masks, by name, come as the library's tensors."""

    def run(layer, given):
        mine = isinstance(layer, nn.Module)
        made = {
            name: (nn.Tensor(m) if mine else torch.from_numpy(m)) if isinstance(m, np.ndarray) else m
            for name, m in options.items()
        }
        return layer(*given, **made)

    return run


def draw(rng, steps, batch_first=False, batch=(N,)):
    return rng.standard_normal((*batch, steps, D) if batch_first else (steps, *batch, D))


def causal(size):
    return np.triu(np.ones((size, size), bool), 1)


PADDING = np.arange(S) >= np.array([[4], [6]])


@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
@pytest.mark.parametrize("norm_first", [False, True], ids=["", "norm-first"])
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", ""])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(rng, batch_first, norm_first, bias, activation):
    options = dict(batch_first=batch_first, norm_first=norm_first, bias=bias, activation=activation)
    torch, ours, theirs = pair("TransformerEncoderLayer", layer_norm_eps=1e-3, **options)
    compare(torch, rng, ours, theirs, [draw(rng, S, batch_first)], call(torch))


@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
@pytest.mark.parametrize("norm_first", [False, True], ids=["", "norm-first"])
def test_decoder_layer(rng, batch_first, norm_first):
    torch, ours, theirs = pair(
        "TransformerDecoderLayer", batch_first=batch_first, norm_first=norm_first, bias=norm_first
    )
    run = call(torch, tgt_mask=causal(T), tgt_is_causal=True, memory_key_padding_mask=PADDING)
    compare(torch, rng, ours, theirs, [draw(rng, n, batch_first) for n in (T, S)], run)


@pytest.mark.parametrize("activation", ["module", "function", "parameters"])
def test_activations(rng, activation):
    torch = pytest.importorskip("torch")
    made = {
        "module": (nn.SiLU(), torch.nn.SiLU()),
        "function": (lambda x: F.tanh(x) * 2, lambda x: torch.tanh(x) * 2),
        "parameters": (nn.Linear(W, W, dtype=np.float64), torch.nn.Linear(W, W, dtype=torch.float64)),
    }[activation]
    torch, ours, theirs = pair("TransformerEncoderLayer", activation=made)
    compare(torch, rng, ours, theirs, [draw(rng, S)], call(torch))


MASKS = {
    "none": {},
    "causal": dict(src_mask=causal(S), is_causal=True),
    "bools": dict(src_mask=causal(S), src_key_padding_mask=PADDING),
    "hint-and-padding": dict(src_mask=causal(S), src_key_padding_mask=PADDING, is_causal=True),
    "floats": dict(
        src_mask=np.linspace(-1, 1, N * H * S * S).reshape(N * H, S, S), src_key_padding_mask=PADDING * -2.0
    ),
}


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("training", [False, True], ids=["eval", ""])
def test_masks(rng, masks, training):
    torch, ours, theirs = pair("TransformerEncoderLayer", batch_first=True)
    for layer in ours, theirs:
        layer.train(training)
    compare(torch, rng, ours, theirs, [draw(rng, S, True)], call(torch, **MASKS[masks]))


def test_unbatched(rng):
    torch, ours, theirs = pair("Transformer", 1, 1, batch_first=True)
    run = call(torch, src_key_padding_mask=PADDING[0], tgt_mask=causal(T))
    compare(torch, rng, ours, theirs, [draw(rng, n, batch=()) for n in (S, T)], run)


@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
@pytest.mark.parametrize("norm_first", [False, True], ids=["", "norm-first"])
def test_transformer(rng, batch_first, norm_first):
    torch, ours, theirs = pair("Transformer", 2, 2, batch_first=batch_first, norm_first=norm_first)
    masks = dict(src_key_padding_mask=PADDING, memory_key_padding_mask=PADDING, memory_mask=rng.random((T, S)) < 0.3)
    masks["memory_mask"][:, 0] = False
    run = call(torch, tgt_mask=causal(T), tgt_is_causal=True, **masks)
    compare(torch, rng, ours, theirs, [draw(rng, n, batch_first) for n in (S, T)], run)


@pytest.mark.parametrize("norm", [False, True], ids=["", "norm"])
def test_stacks(rng, norm):
    """Of layers that begin alike and go their own ways."""
    torch = pytest.importorskip("torch")
    for kind, steps in ("Encoder", (S,)), ("Decoder", (T, S)):
        _, ours, theirs = pair(f"Transformer{kind}Layer")
        ours = getattr(nn, f"Transformer{kind}")(ours, 2, nn.LayerNorm(D, dtype=np.float64) if norm else None)
        theirs = getattr(torch.nn, f"Transformer{kind}")(
            theirs, 2, torch.nn.LayerNorm(D, dtype=torch.float64) if norm else None
        )
        first, second = (list(layer.parameters()) for layer in ours.layers)
        assert all(np.array_equal(p.numpy(), q.numpy()) and p is not q for p, q in zip(first, second, strict=True))
        compare(torch, rng, *alike(torch, ours, theirs), [draw(rng, n) for n in steps], call(torch))


def test_an_encoder_for_inference(rng):
    """torch has another way through its layers then."""
    torch, layer, their_layer = pair("TransformerEncoderLayer", activation="gelu", batch_first=True)
    ours, theirs = nn.TransformerEncoder(layer, 2).eval(), torch.nn.TransformerEncoder(their_layer, 2).eval()
    x = draw(rng, S, True)
    with hotloop.no_grad(), torch.no_grad():
        y = ours(x, src_key_padding_mask=PADDING)
        z = theirs(torch.from_numpy(x), src_key_padding_mask=torch.from_numpy(PADDING))
    seen = ~PADDING
    close(y.numpy()[seen], z.numpy()[seen], 1e-12)
    assert not y.requires_grad


# ---- masks


def test_the_square_mask():
    torch = pytest.importorskip("torch")
    for size in 0, 1, 4:
        ours = nn.Transformer.generate_square_subsequent_mask(size)
        assert np.array_equal(ours.numpy(), torch.nn.Transformer.generate_square_subsequent_mask(size).numpy())
        assert ours.dtype == np.float32
    assert nn.Transformer.generate_square_subsequent_mask(3, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize("kind", [bool, np.float64], ids=lambda kind: kind.__name__)
def test_a_causal_mask_is_found_out(rng, kind, monkeypatch):
    mask = causal(S) if kind is bool else np.where(causal(S), -np.inf, 0).astype(kind)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, H, W, dropout=0.0, dtype=np.float64), 2)
    hints = []
    forward = nn.TransformerEncoderLayer.forward

    def watched(self, *args, **kwargs):
        hints.append(kwargs["is_causal"])
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(nn.TransformerEncoderLayer, "forward", watched)
    x = draw(rng, S)
    found, told, plain = encoder(x, mask), encoder(x, is_causal=True), encoder(x, mask, is_causal=False)
    assert hints == [True] * 4 + [False] * 2
    assert np.array_equal(found.numpy(), told.numpy())
    close(found.numpy(), plain.numpy(), 1e-12)
    hints.clear()
    other = mask.copy()
    other[0, 1] = 0
    encoder(x, other)
    encoder(x, np.broadcast_to(mask, (N * H, S, S)).copy())
    encoder(x)
    assert hints == [False] * 6


def test_a_step_that_sees_nothing(rng):
    """Its attention is 0 and the rest goes on: no NaN comes out or back."""
    layer = nn.TransformerEncoderLayer(D, H, W, dropout=0.0, dtype=np.float64)
    x = nn.Tensor(draw(rng, S), requires_grad=True)
    y = layer(x, src_key_padding_mask=np.array([[True] * S, [False] * S]))
    y.square().sum().backward()
    assert np.isfinite(y.numpy()).all() and np.isfinite(x.grad).all()


# ---- modules


def test_initial_values():
    hotloop.manual_seed(0)
    net = nn.Transformer(64, 4, 1, 1, 128, dtype=np.float64)
    for name, p in net.named_parameters():
        if p.ndim > 1:
            bound = (6 / sum(p.shape)) ** 0.5
            assert 0.95 * bound < abs(p.numpy()).max() <= bound, name
        elif "norm" in name:
            assert (p.numpy() == name.endswith("weight")).all(), name
        elif "proj" in name:
            assert not p.numpy().any(), name
    layer = nn.TransformerEncoderLayer(64, 4, 128, dtype=np.float64)
    assert 0.95 < abs(layer.linear1.weight.numpy()).max() * 8 <= 1


def test_dropout_has_its_places(rng):
    """Weights of attention, hidden units, and what is added to the input: all are 0 with a probability of 1."""
    layer = nn.TransformerDecoderLayer(D, H, W, dropout=1.0, norm_first=True, dtype=np.float64)
    x, memory = draw(rng, T), draw(rng, S)
    assert np.array_equal(layer(x, memory).numpy(), x)
    assert not np.allclose(layer.eval()(x, memory).numpy(), x)
    layer.train()
    layer.dropout1.p = layer.dropout2.p = layer.dropout3.p = 0.0
    biases = layer.self_attn.out_proj.bias, layer.multihead_attn.out_proj.bias, layer.linear2.bias
    close(layer(x, memory).numpy(), x + sum(b.numpy() for b in biases))


def test_dropout_is_repeated_from_a_seed(rng):
    layer = nn.TransformerEncoderLayer(D, H, W, dropout=0.3, dtype=np.float64)
    x, found = draw(rng, S), []
    for seed in 1, 1, 2:
        hotloop.manual_seed(seed)
        found.append(layer(x).numpy())
    assert np.array_equal(found[0], found[1]) and not np.allclose(found[0], found[2])


def test_parts_may_be_watched_and_replaced(rng):
    layer = nn.TransformerEncoderLayer(D, H, W, dropout=0.0, dtype=np.float64)
    x, seen = draw(rng, S), []
    want = layer(x)
    for part in (layer.linear1, layer.dropout, layer.linear2, layer.norm2, layer.dropout2, layer.self_attn):
        part.register_forward_hook(lambda module, args, output: seen.append(module))
    close(layer(x).numpy(), want.numpy())
    assert seen == [layer.self_attn, layer.linear1, layer.dropout, layer.linear2, layer.dropout2, layer.norm2]
    layer.linear1, layer.activation = nn.Sequential(layer.linear1, nn.Identity()), nn.ReLU()
    close(layer(x).numpy(), want.numpy())


def test_copies(rng):
    net = nn.Transformer(D, H, 1, 1, W, dropout=0.0, dtype=np.float64)
    other = copy.deepcopy(net)
    source, target = draw(rng, S), draw(rng, T)
    assert np.array_equal(net(source, target).numpy(), other(source, target).numpy())
    with hotloop.no_grad():
        other.encoder.layers[0].linear1.weight.zero_()
    assert not np.array_equal(net(source, target).numpy(), other(source, target).numpy())


def test_parts_of_the_users_own(rng):
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, H, W, dtype=np.float64), 1)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(D, H, W, dtype=np.float64), 1)
    net = nn.Transformer(D, H, custom_encoder=encoder, custom_decoder=decoder)
    assert net.encoder is encoder and net.decoder is decoder
    assert net(draw(rng, S), draw(rng, T)).shape == (T, N, D)


def test_rotary_positions_reach_every_self_attention():
    rotary = nn.RotaryEmbedding(D // H)
    net, plain = (nn.Transformer(D, H, 2, 2, W, dtype=np.float64, rotary=given) for given in (rotary, None))
    assert list(net.state_dict()) == list(plain.state_dict())
    for name, module in net.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            assert (module.rotary is None) == ("multihead_attn" in name), name


def test_messages(rng):
    with pytest.raises(ValueError, match=r"activation one of \['relu', 'gelu'\] or a function, got 'swish'"):
        nn.TransformerEncoderLayer(D, H, activation="swish")
    net = nn.Transformer(D, H, 1, 1, W, dtype=np.float64)
    source = draw(rng, S)
    for target in source[:, :1], source[..., :2], source[:, 0]:
        with pytest.raises(ValueError, match="with 8 features and of as many samples, got shapes"):
            net(source, target)
