"""Layers that tell where a row stands, against torch's compositions of them."""

import copy
import pickle

import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn import Tensor
from hotloop.nn import functional as F


def normal(rng, *shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def layers(**options):
    yield nn.SinusoidalPositionalEncoding(6, 9, **options)
    yield nn.LearnedPositionalEncoding(6, 9, **options)


# ---- added to the input


@pytest.mark.parametrize("width", [1, 2, 7, 16])
def test_sinusoids(width):
    table = nn.SinusoidalPositionalEncoding(width, 30, dtype=np.float64).table.numpy()
    for p in (0, 1, 29):
        for i in range(width):
            angle = p / 10000 ** (i // 2 * 2 / width)
            assert abs(table[p, i] - (np.cos(angle) if i % 2 else np.sin(angle))) < 1e-14


@pytest.mark.parametrize("offset", [0, 4])
@pytest.mark.parametrize("layer", range(2), ids=["sinusoids", "learned"])
def test_added_in_each_layout(rng, layer, offset):
    x, dy = normal(rng, 3, 5, 6), normal(rng, 3, 5, 6)
    layer = list(layers(batch_first=True))[layer]
    table = layer._table().detach().numpy()
    given = Tensor(x, requires_grad=True)
    y = layer(given, offset)
    y.backward(dy)
    assert np.array_equal(y.numpy(), x + table[offset : offset + 5])
    assert np.array_equal(given.grad, dy)
    for p in layer.parameters():
        want = np.zeros_like(table)
        want[offset : offset + 5] = dy.sum(0)
        close(p.grad, want)
    assert np.array_equal(layer(x[0], offset).numpy(), y.numpy()[0])
    layer.batch_first = False
    assert np.array_equal(layer(x.swapaxes(0, 1), offset).numpy(), y.numpy().swapaxes(0, 1))
    assert layer(np.zeros((0, 2, 6), np.float32), offset).shape == (0, 2, 6)


def test_state_and_dropout(rng):
    sinusoids, learned = layers(dropout=0.5)
    assert list(sinusoids.state_dict()) == [] and list(learned.state_dict()) == ["weight"]
    x = np.zeros((5, 2, 6), np.float32)
    assert (sinusoids(x).numpy() == 0).sum() > 6
    assert np.array_equal(sinusoids.eval()(x).numpy()[:, 0], sinusoids.table.numpy()[:5])
    assert sinusoids.double().table.dtype == np.float64
    deviation = nn.LearnedPositionalEncoding(64, 200).weight.detach().numpy().std()
    assert 0.018 < deviation < 0.022
    assert repr(nn.SinusoidalPositionalEncoding(6, batch_first=True)).startswith(
        "SinusoidalPositionalEncoding(\n  6, max_length=5000, batch_first=True\n  (dropout): Dropout(p=0.0"
    )


def test_mistakes_of_layers_that_add():
    for layer in layers():
        for shape, words in (
            ((10, 2, 6), r"at most max_length = 9 positions, got 10 steps"),
            ((3, 2, 5), r"expected an input \(L, N, 6\) or \(L, 6\), got shape \(3, 2, 5\)"),
            ((6,), r"got shape \(6,\)"),
        ):
            with pytest.raises(ValueError, match=words):
                layer(np.zeros(shape, np.float32))
        with pytest.raises(ValueError, match="got 3 steps behind 7"):
            layer(np.zeros((3, 6), np.float32), 7)
        with pytest.raises(ValueError, match="expected offset of 0 or more, got -1"):
            layer(np.zeros((3, 6), np.float32), -1)
    with pytest.raises(TypeError, match=r"expected d_model as an integer, got 2\.5"):
        nn.SinusoidalPositionalEncoding(2.5)
    with pytest.raises(ValueError, match="dropout probability"):
        nn.LearnedPositionalEncoding(4, 4, dropout=2)


# ---- rotations


def torch_rotary(torch, x, interleaved, dim, positions):
    """As torchtune's layer, or as Hugging Face's rotate_half; positions (N, L) or (L,)."""
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = positions.double()[..., None] * frequencies
    cos, sin = (f(angles).to(x.dtype).reshape(*angles.shape[:-1], 1, dim // 2) for f in (torch.cos, torch.sin))
    turned, rest = x[..., :dim], x[..., dim:]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(3)
    else:
        a, b = turned.chunk(2, -1)
        turned = turned * torch.cat([cos, cos], -1) + torch.cat([-b, a], -1) * torch.cat([sin, sin], -1)
    return torch.cat([turned, rest], -1)


@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "neighbours"])
@pytest.mark.parametrize("dim", [64, 22, 0], ids=lambda dim: f"dim {dim}")
def test_rotary_as_torch(rng, dtype, interleaved, dim):
    torch = pytest.importorskip("torch")
    x, dy = normal(rng, 3, 7, 2, 64, dtype=dtype), normal(rng, 3, 7, 2, 64, dtype=dtype)
    layer = nn.RotaryEmbedding(dim, 20, interleaved=interleaved)
    for options, positions in (
        ({}, torch.arange(7)),
        ({"offset": 11}, torch.arange(11, 18)),
        ({"positions": np.array([3, 1, 4, 1, 5, 9, 2])}, torch.tensor([3, 1, 4, 1, 5, 9, 2])),
        ({"positions": np.arange(21).reshape(3, 7) % 20}, torch.arange(21).reshape(3, 7) % 20),
    ):
        theirs = torch.tensor(x, requires_grad=True)
        want = torch_rotary(torch, theirs, interleaved, dim, positions)
        want.backward(torch.tensor(dy))
        ours = Tensor(x, requires_grad=True)
        y = layer(ours, **options)
        y.backward(dy)
        close(y.numpy(), want.detach().numpy())
        close(ours.grad, theirs.grad.numpy())


def test_heads_of_a_projection(rng):
    """Views are turned where they lie, and so are their gradients."""
    packed, dy = normal(rng, 2, 5, 3 * 24), normal(rng, 2, 4, 5, 6)
    layer, found = nn.RotaryEmbedding(6), []
    for copied in (False, True):
        x = Tensor(packed, requires_grad=True)
        q = x.reshape(2, 5, 3, 4, 6)[:, :, 1]
        y = layer(q.contiguous() if copied else q).transpose(1, 2)
        y.backward(dy)
        found.append((y.numpy(), x.grad))
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b)
    turned = layer(Tensor(packed.reshape(2, 5, 18, 4).swapaxes(2, 3)[..., :6]))
    assert np.array_equal(turned.numpy(), layer(packed.reshape(2, 5, 18, 4).swapaxes(2, 3)[..., :6].copy()).numpy())


def test_tables_grow_and_stay_out_of_the_state(rng):
    layer = nn.RotaryEmbedding(4, max_length=3)
    x = normal(rng, 1, 8, 1, 4)
    short, whole = layer(x[:, :2]).numpy(), layer(x).numpy()
    assert np.array_equal(short, whole[:, :2])
    for t in range(8, 20):
        layer(x[:, :1], offset=t)
    assert layer.table(1, 19)[0].shape == (1, 1, 2)
    assert list(layer.state_dict()) == [] and list(layer.buffers()) == []
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer.double()):
        assert np.array_equal(other(x).numpy(), whole)
    assert repr(layer) == "RotaryEmbedding(4, max_length=3, base=10000.0, interleaved=False)"


def test_function_with_tables_of_ones_own(rng):
    x, angles = normal(rng, 2, 3, 2, 5, dtype=np.float64), normal(rng, 2, 3, 2, dtype=np.float64)
    y = F.rotary_embedding(x, np.cos(angles), np.sin(angles)).numpy()
    z = (x[..., :2] + 1j * x[..., 2:4]) * np.exp(1j * angles)[:, :, None]
    close(y, np.concatenate([z.real, z.imag, x[..., 4:]], -1))


def test_mistakes_of_rotations(rng):
    x = np.zeros((2, 3, 2, 4), np.float32)
    cos = np.zeros((3, 2), np.float32)

    def refused(words, function, *args, error=ValueError, **options):
        with pytest.raises(error, match=words):
            function(*args, **options)

    layer = nn.RotaryEmbedding(4, 5)
    refused("expected an even dim, for pairs, got 3", nn.RotaryEmbedding, 3)
    refused("expected base > 0, got 0", nn.RotaryEmbedding, 4, base=0)
    refused(r"D of 4 or more, got shape \(2, 3, 2, 3\)", layer, x[..., :3])
    refused(r"\(N, L, H, D\) with .* got shape \(3, 2, 4\)", layer, x[0])
    refused("expected an offset or positions, got both", layer, x, 1, np.arange(3))
    refused(r"expected positions \(3,\) or \(2, 3\), got shape \(2,\)", layer, x, positions=np.arange(2))
    refused("5", layer, x, positions=np.array([0, 5, 1]), error=IndexError)
    refused("expected ids as integers, got float64", layer, x, positions=np.ones(3), error=TypeError)
    refused(r"expected cos float32 \(3, P\) or \(2, 3, P\), 2 P at most 4", F.rotary_embedding, x, cos[:2], cos)
    refused(r"expected sin float32 .* got float64 \(3, 2\)", F.rotary_embedding, x, cos, cos.astype(np.float64))
    refused(r"expected an input \(N, L, H, D\), got shape \(3, 2, 4\)", F.rotary_embedding, x[0], cos, cos)
