"""scaled_dot_product_attention and MultiheadAttention: numbers, gradients, shapes and messages as torch's.

In float64 and in few layouts of memory: tests/test_attention.py has the kernels' other types, which are compiled one by
one.
"""

import hotloop
import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn import attention_functions, attention_heads, doors
from hotloop.nn import functional as F
from recurrent_pairs import compare

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


def test_long_sequences_need_no_memory_for_their_scores(rng, monkeypatch):
    """Nor for a mask of every head: padding and a mask for all samples are spread by strides."""
    monkeypatch.setattr(attention_functions, "KEPT_KEYS", 39)
    sizes, steps = [], 40

    def watched(shape, dtype, device="cpu"):
        sizes.append(int(np.prod(shape)))
        return doors.empty(shape, dtype, device)

    monkeypatch.setattr(attention_functions, "empty", watched)
    monkeypatch.setattr(attention_heads, "empty", watched)
    layer = nn.MultiheadAttention(WIDTH, H, dtype=np.float64)
    x = nn.Tensor(rng.standard_normal((steps, N, WIDTH)), requires_grad=True)
    padding, mask = np.arange(steps) > np.array([[30], [20]]), rng.standard_normal((steps, steps))
    for given in (padding, False, None), (None, False, mask):
        y, _ = layer(x, x, x, *given)
        y.square().sum().backward()
    assert max(sizes) == steps * N * 3 * WIDTH < steps * steps * N


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


# ---- MultiheadAttention

WIDTH = 12


def pair(**options):
    torch = pytest.importorskip("torch")
    ours = nn.MultiheadAttention(WIDTH, H, dtype=np.float64, **options)
    theirs = torch.nn.MultiheadAttention(WIDTH, H, dtype=torch.float64, **options)
    with torch.no_grad():
        for p in theirs.parameters():
            p.uniform_(-0.5, 0.5)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return torch, ours, theirs


def attended(torch, inputs, masks, **options):
    """What `compare` runs: inputs from one, two or three tensors, masks as the library's tensors."""

    def run(layer, given):
        mine = isinstance(layer, nn.Module)
        made = {name: nn.Tensor(m) if mine else torch.from_numpy(m) for name, m in masks.items()}
        q, k, v = (given[i] for i in inputs)
        return tuple(part for part in layer(q, k, v, **made, **options) if part is not None)

    return run


SELF, CROSS, APART = (0, 0, 0), (0, 1, 1), (0, 1, 2)


def draw(rng, inputs, batch_first, widths=(WIDTH, WIDTH, WIDTH), batch=(N,)):
    shapes = [((*batch, n) if batch_first else (n, *batch)) + (w,) for n, w in zip((L, S, S), widths, strict=True)]
    return [rng.standard_normal(shape) for shape in shapes[: max(inputs) + 1]]


@pytest.mark.parametrize("inputs", [SELF, CROSS, APART], ids=["self", "cross", "apart"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
@pytest.mark.parametrize("need", [dict(need_weights=False), {}, dict(average_attn_weights=False)], ids=str)
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", ""])
def test_layer_as_torch(rng, inputs, batch_first, need, bias):
    torch, ours, theirs = pair(batch_first=batch_first, bias=bias)
    compare(torch, rng, ours, theirs, draw(rng, inputs, batch_first), attended(torch, inputs, {}, **need))


OPTIONS = [
    dict(kdim=5, vdim=9),
    dict(add_bias_kv=True),
    dict(add_zero_attn=True),
    dict(add_bias_kv=True, add_zero_attn=True, kdim=5, vdim=9, bias=False),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
@pytest.mark.parametrize("need", [False, True], ids=["", "weights"])
def test_options(rng, options, batch_first, need):
    torch, ours, theirs = pair(batch_first=batch_first, **options)
    arrays = draw(rng, APART, batch_first, widths=(WIDTH, ours.kdim, ours.vdim))
    masks = dict(attn_mask=rng.random((L, S)) < 0.3, key_padding_mask=rng.random((N, S)) < 0.3)
    masks["attn_mask"][:, 0] = masks["key_padding_mask"][:, 0] = False
    compare(torch, rng, ours, theirs, arrays, attended(torch, APART, masks, need_weights=need))


@pytest.mark.parametrize("inputs", [SELF, CROSS], ids=["self", "cross"])
@pytest.mark.parametrize("kind", [bool, float])
@pytest.mark.parametrize("shape", [None, (L, S), (N * H, L, S)], ids=str)
@pytest.mark.parametrize("padding", [False, True], ids=["", "padding"])
def test_layer_masks(rng, inputs, kind, shape, padding):
    torch, ours, theirs = pair()
    keys = L if inputs == SELF else S
    masks = {} if shape is None else dict(attn_mask=rng.standard_normal((*shape[:-1], keys)))
    if padding:
        masks["key_padding_mask"] = rng.standard_normal((N, keys))
    if kind is bool:
        masks = {name: m > 0.5 for name, m in masks.items()}
        for m in masks.values():
            m[..., 0] = False
    compare(torch, rng, ours, theirs, draw(rng, inputs, False), attended(torch, inputs, masks, need_weights=padding))


def test_masks_of_both_kinds(rng):
    _, ours, _ = pair()
    x = rng.standard_normal((L, N, WIDTH))
    hidden, added = rng.random((L, L)) < 0.3, rng.standard_normal((N, L))
    hidden[:, 0] = False
    got = ours(x, x, x, attn_mask=hidden, key_padding_mask=added)[0]
    want = ours(x, x, x, attn_mask=np.where(hidden, -np.inf, 0), key_padding_mask=added)[0]
    close(got.numpy(), want.numpy())


def test_gradients_of_masks(rng):
    torch, ours, theirs = pair()
    x = rng.standard_normal((L, N, WIDTH))
    arrays = x, rng.standard_normal((N * H, L, L)), rng.standard_normal((N, L))

    def run(layer, given):
        x, attn_mask, padding = given
        return layer(x, x, x, attn_mask=attn_mask, key_padding_mask=padding)

    compare(torch, rng, ours, theirs, arrays, run)


@pytest.mark.parametrize("need", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("padding", [False, True], ids=["", "padding"])
def test_causal(rng, need, padding):
    torch, ours, theirs = pair(batch_first=True)
    masks = dict(attn_mask=np.triu(np.ones((L, L), bool), 1))
    if padding:
        masks["key_padding_mask"] = np.arange(L) >= np.array([[3], [5]])
    arrays = draw(rng, SELF, True)
    compare(torch, rng, ours, theirs, arrays, attended(torch, SELF, masks, need_weights=need, is_causal=True))
    # the hint alone is enough
    x = arrays[0]
    padding = masks.get("key_padding_mask")
    got, want = (
        ours(x, x, x, padding, need, attn_mask=m, is_causal=c)[0]
        for m, c in ((None, True), (masks["attn_mask"], False))
    )
    close(got.numpy(), want.numpy())


@pytest.mark.parametrize("options", [dict(add_bias_kv=True), dict(add_zero_attn=True)], ids=str)
def test_causal_beside_keys_that_everyone_sees(rng, options):
    _, ours, _ = pair(**options)
    x = rng.standard_normal((L, N, WIDTH))
    got = ours(x, x, x, is_causal=True)
    for g, w in zip(got, ours(x, x, x, attn_mask=np.triu(np.ones((L, L), bool), 1)), strict=True):
        close(g.numpy(), w.numpy())


@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
@pytest.mark.parametrize("inputs", [SELF, CROSS, APART], ids=["self", "cross", "apart"])
def test_unbatched(rng, batch_first, inputs):
    torch, ours, theirs = pair(batch_first=batch_first)
    keys = L if inputs == SELF else S
    masks = dict(attn_mask=rng.standard_normal((H, L, keys)), key_padding_mask=rng.standard_normal(keys))
    arrays = draw(rng, inputs, False, batch=())
    compare(torch, rng, ours, theirs, arrays, attended(torch, inputs, masks))
    compare(torch, rng, ours, theirs, arrays, attended(torch, inputs, {}, average_attn_weights=False))


@pytest.mark.parametrize("only", [0, 1], ids=["result", "weights"])
def test_the_gradient_of_one_output(rng, only):
    torch, ours, theirs = pair()
    ours.requires_grad_(False)
    theirs.requires_grad_(False)
    run = attended(torch, SELF, {}, average_attn_weights=False)
    compare(torch, rng, ours, theirs, draw(rng, SELF, False), run, only)


def test_evaluation_without_a_tape(rng):
    torch, ours, theirs = pair(batch_first=True)
    x = rng.standard_normal((N, L, WIDTH))
    ours.eval()
    theirs.eval()
    z = torch.from_numpy(x)
    with hotloop.no_grad(), torch.no_grad():
        for got, want in zip(ours(x, x, x), theirs(z, z, z), strict=True):
            close(got.numpy(), want.numpy(), 1e-13)
            assert not got.requires_grad


def test_a_query_that_sees_no_key_gives_the_bias_of_the_output(rng):
    _, ours, _ = pair()
    x = nn.Tensor(rng.standard_normal((L, N, WIDTH)), requires_grad=True)
    for need in False, True:
        y, weights = ours(x, x, x, np.array([[True] * L, [False] * L]), need)
        assert np.array_equal(y.numpy()[:, 0], np.broadcast_to(ours.out_proj.bias.numpy(), (L, WIDTH)))
        assert weights is None or not weights.numpy()[0].any()
        y.sum().backward()
        assert np.isfinite(x.grad).all()


def test_dropout_in_training(rng):
    """The weights that come with the result are those that made it, and gradients go through both."""
    torch = pytest.importorskip("torch")
    layer = nn.MultiheadAttention(WIDTH, H, dropout=0.5, dtype=np.float64)
    x, dy, dw = (rng.standard_normal(shape) for shape in ((L, N, WIDTH), (L, N, WIDTH), (N, H, L, L)))
    given = nn.Tensor(x, requires_grad=True)
    hotloop.manual_seed(1)
    y, weights = layer(given, given, given, average_attn_weights=False)
    assert 0.3 < np.mean(weights.numpy() == 0) < 0.7
    kept = torch.from_numpy((weights.numpy() != 0) / 0.5)
    ((y * nn.Tensor(dy)).sum() + (weights * nn.Tensor(dw)).sum()).backward()

    other = torch.from_numpy(x).requires_grad_()
    w_in, w_out = (torch.from_numpy(w.numpy()) for w in (layer.in_proj_weight, layer.out_proj.weight))
    q, k, v = (t.reshape(L, N, H, WIDTH // H).permute(1, 2, 0, 3) for t in (other @ w_in.T).chunk(3, -1))
    composed = torch.softmax(q @ k.mT / (WIDTH // H) ** 0.5, -1) * kept
    out = (composed @ v).permute(2, 0, 1, 3).reshape(L, N, WIDTH) @ w_out.T
    torch.autograd.backward([out, composed], [torch.from_numpy(dy), torch.from_numpy(dw)])
    close(y.numpy(), out.detach().numpy(), 1e-13)
    close(weights.numpy(), composed.detach().numpy(), 1e-13)
    close(given.grad, other.grad.numpy(), 1e-12)
    hotloop.manual_seed(1)
    close(layer(x, x, x, need_weights=False)[0].numpy(), y.numpy())
    layer.eval()
    assert (layer(x, x, x)[1].numpy() > 0).all()


@pytest.mark.parametrize(
    ("batch_first", "inputs"), [(False, SELF), (False, CROSS), (True, SELF)], ids=["self", "cross", "batch-first"]
)
def test_rotary_positions(rng, batch_first, inputs):
    """Queries and keys of every head are turned before they meet."""
    rotary = nn.RotaryEmbedding(WIDTH // H - 1)
    layer = nn.MultiheadAttention(WIDTH, H, batch_first=batch_first, dtype=np.float64, rotary=rotary)
    assert set(layer.state_dict()) == set(pair()[1].state_dict())
    arrays = draw(rng, inputs, batch_first)
    found = []
    for run in _rotated, lambda layer, q, k: layer(q, k, k, need_weights=False, is_causal=True)[0]:
        xs = [nn.Tensor(a, requires_grad=True) for a in arrays]
        layer.zero_grad()
        y = run(layer, xs[inputs[0]], xs[inputs[1]])
        y.square().sum().backward()
        found.append([y.numpy(), *[t.grad.copy() for t in (*xs, *layer.parameters())]])
    for want, got in zip(*found, strict=True):
        close(got, want, 1e-12)


def test_rotary_positions_have_no_keys_beside_them():
    with pytest.raises(ValueError, match="no add_bias_kv or add_zero_attn beside rotary"):
        nn.MultiheadAttention(WIDTH, H, add_zero_attn=True, rotary=nn.RotaryEmbedding(2))


def _rotated(layer, query, key):
    """The same, composed of operations."""
    order = (0, 2, 1, 3) if layer.batch_first else (1, 2, 0, 3)
    parts = [
        F.linear(x, layer.in_proj_weight, layer.in_proj_bias).chunk(3, -1)[i].unflatten(-1, (H, -1))
        for i, x in enumerate((query, key, key))
    ]
    q, k, v = (x if layer.batch_first else x.transpose(0, 1) for x in parts)
    q, k = layer.rotary(q), layer.rotary(k)
    y = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), is_causal=True)
    return layer.out_proj(y.permute(*np.argsort(order)).flatten(2))


def test_static_keys_and_values(rng):
    torch, ours, theirs = pair()
    x, static = rng.standard_normal((L, N, WIDTH)), rng.standard_normal((N * H, S, WIDTH // H))

    def run(layer, given):
        function = F if isinstance(layer, nn.Module) else torch.nn.functional
        x, k, v = given
        weights = layer.in_proj_weight, layer.in_proj_bias, None, None
        last = layer.out_proj.weight, layer.out_proj.bias
        return function.multi_head_attention_forward(
            x, x, x, WIDTH, H, *weights, True, 0.0, *last, static_k=k, static_v=v
        )

    compare(torch, rng, ours, theirs, [x, static, static[::-1].copy()], run)


def test_initial_values():
    torch = pytest.importorskip("torch")
    hotloop.manual_seed(0)
    torch.manual_seed(0)
    for options in {}, dict(kdim=50, vdim=150), dict(add_bias_kv=True):
        ours = nn.MultiheadAttention(100, 4, dtype=np.float64, **options)
        theirs = torch.nn.MultiheadAttention(100, 4, **options)
        for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            p, q = p.numpy(), q.detach().numpy()
            assert p.shape == q.shape and p.std() == pytest.approx(q.std(), rel=0.3), name
            if "weight" in name:
                assert abs(p).max() == pytest.approx(abs(q).max(), rel=0.01), name


def test_layer_messages(rng):
    layer = nn.MultiheadAttention(8, 2, dtype=np.float64)
    x = rng.standard_normal((5, 3, 8))
    cases = [
        (ValueError, r"with 3 dimensions, or 2 without a batch, got \(5, 3, 8\), \(5, 8\)", (x, x[:, 0], x), {}),
        (ValueError, r"query \(..., 8\), got shape \(5, 3, 4\)", (x[..., :4], x, x), {}),
        (ValueError, r"as many samples of query as of key, got \(5, 2, 8\) and \(5, 3, 8\)", (x[:, :2], x, x), {}),
        (ValueError, r"same steps and samples, got \(5, 3, 8\), \(4, 3, 8\)", (x, x, x[:4]), {}),
        (TypeError, r"float64 \(..., 8\), got float32", (x, x, x.astype(np.float32)), {}),
        (
            ValueError,
            r"attn_mask \(L, S\) = \(5, 5\) or .* = \(6, 5, 5\), got shape \(5, 4\)",
            (x, x, x),
            dict(attn_mask=x[:, 0, :4]),
        ),
        (
            ValueError,
            r"key_padding_mask \(N, S\) = \(3, 5\), got shape \(5, 3\)",
            (x, x, x),
            dict(key_padding_mask=x[..., 0]),
        ),
        (
            TypeError,
            "key_padding_mask of bools or floats, got int64",
            (x, x, x),
            dict(key_padding_mask=np.ones((3, 5), np.int64)),
        ),
    ]
    for kind, message, args, options in cases:
        with pytest.raises(kind, match=message):
            layer(*args, **options)
    with pytest.raises(ValueError, match="embed_dim as a multiple of num_heads, got 8 and 3"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ValueError, match=r"dropout of 0 \.\. 1, got -1"):
        nn.MultiheadAttention(8, 2, dropout=-1)
