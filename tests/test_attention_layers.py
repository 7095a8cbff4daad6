"""MultiheadAttention: numbers, gradients, shapes and messages as torch's, in float64."""

import hotloop
import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn import attention_functions, attention_heads, doors
from hotloop.nn import functional as F
from recurrent_pairs import compare

# samples, heads, queries, keys
N, H, L, S = 2, 4, 5, 7
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
