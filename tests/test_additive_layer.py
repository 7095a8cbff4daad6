"""AdditiveAttention and its function against torch's composition of it; a decoder that uses it."""

import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn import Tensor
from hotloop.nn import functional as F
from hotloop.nn.additive_attention import AdditiveScores


def operands(rng, dtype, n=3, steps=4, keys=7, hidden=19, width=5):
    shapes = (n, steps, hidden), (n, keys, hidden), (n, keys, width), (hidden,)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def composed(torch, query, key, value, weight, mask=None):
    scores = torch.tanh(query[:, :, None] + key[:, None]) @ weight
    if mask is not None:
        scores = scores.masked_fill(mask[:, None], -np.inf)
    weights = scores.softmax(-1)
    return weights @ value, weights


def test_scores_as_torch(rng, dtype):
    torch = pytest.importorskip("torch")
    query, key, _, weight = operands(rng, dtype)
    ds = rng.standard_normal((3, 4, 7)).astype(dtype)
    ours = [Tensor(a, requires_grad=True) for a in (query, key, weight)]
    theirs = q, k, v = [torch.tensor(a, requires_grad=True) for a in (query, key, weight)]
    scores, want = AdditiveScores.apply(*ours), torch.tanh(q[:, :, None] + k[:, None]) @ v
    scores.backward(ds)
    want.backward(torch.tensor(ds))
    close(scores.numpy(), want.detach().numpy())
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad.numpy())


# what follows the scores, softmax and products, has its float64 in tests of its own
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_as_torch(rng, masked):
    torch, dtype = pytest.importorskip("torch"), np.float32
    arrays = operands(rng, dtype)
    mask = np.arange(7) >= np.array([[7], [4], [1]]) if masked else None
    ours = [Tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    context, weights = F.additive_attention(*ours, key_padding_mask=mask)
    want, expected = composed(torch, *theirs, None if mask is None else torch.tensor(mask))
    close(context.numpy(), want.detach().numpy(), name="context")
    close(weights.numpy(), expected.detach().numpy(), name="weights")
    d_context, d_weights = rng.standard_normal(want.shape), rng.standard_normal(expected.shape)
    ((context * d_context.astype(dtype)).sum() + (weights * d_weights.astype(dtype)).sum()).backward()
    torch.autograd.backward(
        (want, expected), (torch.tensor(d_context.astype(dtype)), torch.tensor(d_weights.astype(dtype)))
    )
    for name, a, b in zip(("query", "key", "value", "weight"), ours, theirs, strict=True):
        close(a.grad, b.grad.numpy(), name=name)


def test_a_sample_that_sees_no_key(rng):
    arrays = operands(rng, np.float32)
    given = [Tensor(a, requires_grad=True) for a in arrays]
    mask = np.zeros((3, 7), bool)
    mask[1] = True
    context, weights = F.additive_attention(*given, key_padding_mask=mask)
    context.sum().backward()
    assert not context.numpy()[1].any() and not weights.numpy()[1].any()
    alone = F.additive_attention(*(a[::2] for a in arrays[:3]), arrays[3])[0]
    assert np.array_equal(context.numpy()[::2], alone.numpy())
    for x in given:
        assert np.isfinite(x.grad).all()
        assert x is given[3] or not x.grad[1].any()


def test_defaults(rng):
    query, key, _, _ = operands(rng, np.float32)
    context, weights = F.additive_attention(query, key)
    assert context.shape == (3, 4, 19)
    want, expected = F.additive_attention(query, key, key, np.ones(19, np.float32))
    assert np.array_equal(context.numpy(), want.numpy()) and np.array_equal(weights.numpy(), expected.numpy())
    for t in range(4):
        one, part = F.additive_attention(query[:, t], key)
        close(one.numpy(), want.numpy()[:, t])
        close(part.numpy(), expected.numpy()[:, t])


def inputs(rng):
    """A query, a key, and the gradient of the context."""
    return [rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 5), (2, 4, 6), (2, 3, 6))]


def test_layer_projects(rng):
    layer = nn.AdditiveAttention(5, 6, 8, bias=True)
    names = {name: p.shape for name, p in layer.named_parameters()}
    assert names == {"w_query.weight": (8, 5), "w_query.bias": (8,), "w_key.weight": (8, 6), "v": (8,)}
    query, key, _ = inputs(rng)
    context, weights = layer(query, key)
    want = F.additive_attention(layer.w_query(query), layer.w_key(key), key, layer.v)
    assert np.array_equal(context.numpy(), want[0].numpy()) and np.array_equal(weights.numpy(), want[1].numpy())
    context.sum().backward()
    assert all(p.grad.any() for p in layer.parameters())
    before = layer.v.numpy().copy()
    layer.reset_parameters()
    assert not np.array_equal(before, layer.v.numpy())
    assert repr(layer).startswith("AdditiveAttention(\n  5, 6, 8, bias=True\n")


def test_keys_are_projected_once(rng):
    """A decoder that attends in each step gives the gradients of one call for all steps."""
    layer = nn.AdditiveAttention(5, 6, 8)
    query, key, dy = inputs(rng)
    encoded = Tensor(key, requires_grad=True)
    whole, _ = layer(query, encoded)
    whole.backward(dy)
    found = [encoded.grad.copy(), *(p.grad.copy() for p in layer.parameters())]
    layer.zero_grad()
    encoded.grad = None
    keys, total = layer.project_key(encoded), 0
    for t in range(3):
        context, _ = layer(query[:, t], encoded, projected_key=keys)
        close(context.numpy(), whole.numpy()[:, t])
        total = total + (context * dy[:, t]).sum()
    total.backward()
    for want, got in zip(found, [encoded.grad, *(p.grad for p in layer.parameters())], strict=True):
        close(got, want)


def test_dropout_drops_weights_in_training(rng):
    layer = nn.AdditiveAttention(3, 3, 4, dropout=1.0)
    query, key = rng.standard_normal((2, 2, 3)).astype(np.float32), rng.standard_normal((2, 4, 3)).astype(np.float32)
    context, weights = layer(query, key)
    assert not context.numpy().any()
    close(weights.numpy().sum(-1), np.ones((2, 2)))
    assert layer.eval()(query, key)[0].numpy().any()


def test_mistakes(rng):
    query, key, value, weight = operands(rng, np.float32)

    def refused(words, *args, **options):
        with pytest.raises(ValueError, match=words):
            F.additive_attention(*args, **options)

    refused(
        r"query \(N, L, H\) or \(N, H\) and key \(N, S, H\), got \(3, 4, 19\) and \(3, 7, 18\)", query, key[..., 1:]
    )
    refused(r"got \(2, 19\) and \(3, 7, 19\)", query[:2, 0], key)
    refused(r"expected value \(3, 7, E\), got shape \(3, 6, 5\)", query, key, value[:, 1:])
    refused(r"expected weight \(19,\), got shape \(18,\)", query, key, value, weight[1:])
    refused(r"key_padding_mask bool \(3, 7\), got float32 \(3, 7\)", query, key, key_padding_mask=np.ones((3, 7), "f4"))
    layer = nn.AdditiveAttention(19, 19, 4)
    with pytest.raises(ValueError, match="expected a key; with a value and a projected_key there may be none"):
        layer(query, None, projected_key=layer.project_key(key))
    with pytest.raises(ValueError, match="between 0 and 1, but got -1"):
        nn.AdditiveAttention(2, 2, 2, dropout=-1)
