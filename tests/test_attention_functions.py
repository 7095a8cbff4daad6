"""scaled_dot_product_attention: numbers, gradients, shapes and messages as torch's.

In float64 and in few layouts of memory: tests/test_attention.py has the kernels' other types, which are compiled one by
one.
"""

import hotloop
import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn import attention_functions
from hotloop.nn import functional as F

# samples, heads, queries, keys, numbers of a key, of a value
N, H, L, S, D, E = 2, 4, 5, 7, 3, 6


def sdpa(rng, shapes, mask=None, **options):
    """Results and gradients of query, key, value, and of a float mask, beside torch's.

    With a mask of up to four dimensions heads lie as in a projection, (N, L, H, D): what MultiheadAttention's tests
    compile serves here as well.
    """
    torch = pytest.importorskip("torch")

    def turned(x):
        return x if mask is None or mask.ndim > 4 else x.swapaxes(-2, -3)

    arrays = [np.ascontiguousarray(turned(rng.standard_normal(shape))) for shape in shapes]
    masks = [] if mask is None else [mask]
    xs, zs = ([make(a) for a in arrays + masks] for make in (nn.Tensor, torch.from_numpy))
    leaves = 3 if mask is None or mask.dtype == bool else 4
    for x in xs[:leaves] + zs[:leaves]:
        x.requires_grad_()

    def run(function, q, k, v, *mask):
        return turned(function(turned(q), turned(k), turned(v), *mask, **options))

    y, z = run(F.scaled_dot_product_attention, *xs), run(torch.nn.functional.scaled_dot_product_attention, *zs)
    close(y.numpy(), z.detach().numpy(), 1e-13)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    z.backward(torch.from_numpy(dy))
    for x, w in zip(xs[:leaves], zs[:leaves], strict=True):
        close(np.asarray(x.grad), w.grad.numpy(), 1e-13)


def heads(*lead):
    return (*lead, L, D), (*lead, S, D), (*lead, S, E)


@pytest.mark.parametrize("lead", [(), (H,), (N, H), (3, N, H)], ids=str)
@pytest.mark.parametrize("options", [{}, dict(is_causal=True), dict(scale=0.7)], ids=str)
def test_as_torch(rng, lead, options):
    sdpa(rng, heads(*lead), **options)


@pytest.mark.parametrize("shape", [(L, S), (1, S), (H, L, S), (N, 1, 1, S), (N, H, 1, S), (N, 1, L, S)], ids=str)
@pytest.mark.parametrize("kind", [bool, float])
def test_masks(rng, shape, kind):
    mask = np.array(rng.standard_normal(shape))
    if kind is bool:
        # every query sees a key: torch's gradient of others is NaN
        mask = np.array(mask > -0.5)
        mask[..., :1] = True
    sdpa(rng, heads(N, H), mask)


def test_a_mask_of_many_dimensions(rng):
    for shape in (3, 1, H, L, S), (1, N, H, L, S):
        sdpa(rng, heads(3, N, H), rng.standard_normal(shape))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_heads_that_share_keys(rng, groups):
    sdpa(rng, ((N, H, L, D), (N, groups, S, D), (N, groups, S, E)), enable_gqa=True)
    sdpa(rng, ((H, L, D), (groups, S, D), (groups, S, E)), enable_gqa=True, is_causal=True)


def test_leading_dimensions_broadcast(rng):
    sdpa(rng, ((N, 1, L, D), (H, S, D), (1, S, E)))


def test_a_mask_and_causal_hold_both(rng):
    q, k, v = (nn.Tensor(rng.standard_normal((N, n, H, D))).transpose(1, 2) for n in (L, S, S))
    mask = rng.random((N, 1, 1, S)) < 0.6
    mask[..., 0] = True
    got = F.scaled_dot_product_attention(q, k, v, mask, is_causal=True)
    want = F.scaled_dot_product_attention(q, k, v, mask & np.tri(L, S, dtype=bool))
    close(got.numpy(), want.numpy())


def test_weights_made_again(rng, monkeypatch):
    """Backward of long sequences keeps no weights."""
    monkeypatch.setattr(attention_functions, "ATTENTION_KEPT", 0)
    sdpa(rng, heads(N, H), rng.standard_normal((L, S)))


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (1, 2, 0, 3)], ids=["NLHD", "LNHD"])
def test_views_are_taken_as_they_lie(rng, order):
    """The result lies in memory as the query does, and the gradients as their tensors: going back is no copy."""
    sizes = {0: N, 1: H, 2: L, 3: D}
    x = nn.Tensor(rng.standard_normal([sizes[axis] for axis in np.argsort(order)]), requires_grad=True)
    q = x.permute(order)
    assert q.shape == (N, H, L, D)
    y = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    assert y.permute(*np.argsort(order)).data.flags.c_contiguous
    y.permute(*np.argsort(order)).square().sum().backward()
    other = nn.Tensor(np.ascontiguousarray(q.numpy()), requires_grad=True)
    want = F.scaled_dot_product_attention(other, other, other, is_causal=True)
    want.square().sum().backward()
    close(y.numpy(), want.numpy())
    close(np.transpose(x.grad, order), other.grad)


def test_rows_that_do_not_lie_side_by_side(rng):
    x = nn.Tensor(rng.standard_normal((N, H, D, L)), requires_grad=True)
    y = F.scaled_dot_product_attention(x.mT, x.mT, x.mT)
    # a gradient of one number, repeated
    y.sum().backward()
    other = nn.Tensor(np.ascontiguousarray(x.mT.numpy()), requires_grad=True)
    want = F.scaled_dot_product_attention(other, other, other)
    want.sum().backward()
    close(y.numpy(), want.numpy())
    close(np.swapaxes(x.grad, -1, -2), other.grad, 1e-11)


def test_a_query_that_sees_nothing_gives_zero(rng):
    xs = [nn.Tensor(rng.standard_normal((N, n, H, D)), requires_grad=True) for n in (L, S, S)]
    q, k, v = (x.transpose(1, 2) for x in xs)
    mask = np.ones((L, S), bool)
    mask[2] = False
    y = F.scaled_dot_product_attention(q, k, v, mask)
    y.transpose(1, 2).square().sum().backward()
    assert not y.numpy()[:, :, 2].any() and not xs[0].grad[:, 2].any()
    assert all(np.isfinite(x.grad).all() and x.grad.any() for x in xs)
    hidden = F.scaled_dot_product_attention(q, k, v, np.where(mask, 0, -np.inf))
    assert np.array_equal(hidden.numpy(), y.numpy())


@pytest.mark.parametrize(
    "shape", [(0, H, L, S, D), (N, H, 0, S, D), (N, H, L, 0, D), (N, H, 1, 1, D), (N, H, L, S, 0)], ids=str
)
def test_sizes_of_zero_and_one(rng, shape):
    n, h, queries, keys, depth = shape
    sizes = (n, h, queries, depth), (n, h, keys, depth), (n, h, keys, E)
    xs = [nn.Tensor(rng.standard_normal(size), requires_grad=True) for size in sizes]
    y = F.scaled_dot_product_attention(*xs)
    y.sum().backward()
    assert y.shape == (n, h, queries, E) and not np.isnan(y.numpy()).any()
    assert [x.grad.shape for x in xs] == list(sizes)
    if keys == 1:
        assert np.array_equal(y.numpy(), xs[2].numpy())
    elif keys == 0:
        assert not y.numpy().any()
    elif depth == 0:
        close(y.numpy(), np.broadcast_to(xs[2].numpy().mean(2, keepdims=True), y.shape))


def test_dropout_is_drawn_and_repeated_in_backward(rng):
    q, k, v = (nn.Tensor(rng.standard_normal(shape)) for shape in heads(N, H))
    v.requires_grad_()
    hotloop.manual_seed(3)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.4)
    hotloop.manual_seed(3)
    other = F.scaled_dot_product_attention(q, k, nn.Tensor(np.ones((N, H, S, 1))), dropout_p=0.4)
    assert not np.allclose(other.numpy(), 1)
    # y is linear in v: its weights are the same in backward
    y.backward(np.ones(y.shape))
    close((v.grad * v.numpy()).sum(), y.numpy().sum(), 1e-12)
    assert not F.scaled_dot_product_attention(q, k, v, dropout_p=1.0).numpy().any()


def test_messages(rng):
    q, k, v = (rng.standard_normal(shape) for shape in heads(N, H))
    cases = [
        (TypeError, "one float dtype, got float32, float64, float64", (q.astype(np.float32), k, v), {}),
        (
            ValueError,
            r"expected query \(..., L, D\), key .* got \(2, 4, 5, 3\), \(2, 4, 7, 2\)",
            (q, k[..., :2], v),
            {},
        ),
        (ValueError, "do not broadcast", (q, k[:, :3], v[:, :3]), {}),
        (ValueError, "dropout_p of 0 .. 1, got 1.5", (q, k, v), dict(dropout_p=1.5)),
        (
            ValueError,
            r"attn_mask to broadcast to the scores \(2, 4, 5, 7\), got shape \(7, 5\)",
            (q, k, v, np.ones((7, 5))),
            {},
        ),
        (TypeError, "attn_mask of bools or floats, got int64", (q, k, v, np.ones((5, 7), np.int64)), {}),
        (
            ValueError,
            "a multiple of them of query; got 4 of query, 3 of key",
            (q, k[:, :3], v[:, :3]),
            dict(enable_gqa=True),
        ),
        (ValueError, "expected heads with enable_gqa", (q[0, 0], k[0, 0], v[0, 0]), dict(enable_gqa=True)),
    ]
    for kind, message, args, options in cases:
        with pytest.raises(kind, match=f"scaled_dot_product_attention: .*{message}|{message}"):
            F.scaled_dot_product_attention(*args, **options)
