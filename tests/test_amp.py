"""Mixed precision: 16-bit products on the device, and loss scaling anywhere."""

import numpy as np
import pytest
from helpers import close, require_cuda
from hotloop import amp, nn, optim
from hotloop.nn import functional as F

# of the 16-bit types: half a unit in their last place, relative
UNIT = {"float16": 2.0**-11, "bfloat16": 2.0**-8}


@pytest.fixture(params=["float16", "bfloat16"])
def half(request):
    require_cuda()
    if request.param == "bfloat16":
        pytest.importorskip("ml_dtypes")
    return request.param


def network():
    rng = np.random.default_rng(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3))
    for p in model.parameters():
        p.data = (rng.standard_normal(p.shape) * 0.5).astype(np.float32)
    return model


def data():
    rng = np.random.default_rng(2)
    return rng.standard_normal((7, 6)).astype(np.float32), np.arange(7) % 3


def test_what_is_cast(half):
    from hotloop.nn.dtypes import as_dtype

    dtype = as_dtype(half)
    x = nn.Tensor(data()[0]).to("cuda")
    layer = nn.Linear(6, 4).to("cuda")
    with amp.autocast("cuda", half):
        assert amp.is_autocast_enabled()
        y = layer(x)
        assert y.dtype == dtype and F.relu(y).dtype == dtype and (y + 1).dtype == dtype
        assert F.layer_norm(y, (4,)).dtype == F.softmax(y, dim=1).dtype == y.sum().dtype == np.float32
        assert (y @ y.t()).dtype == dtype
        with amp.autocast("cuda", enabled=False):
            assert layer(x).dtype == np.float32
    assert not amp.is_autocast_enabled() and layer(x).dtype == np.float32
    y.float().sum().backward()
    assert layer.weight.grad.dtype == np.float32


def test_a_step_is_near_float32(half):
    """Gradients of float32 parameters, to the precision of the products."""
    x, labels = data()
    found = []
    for mixed in (False, True):
        model = network().to("cuda")
        with amp.autocast("cuda", half, enabled=mixed):
            loss = F.cross_entropy(model(nn.Tensor(x).to("cuda")), nn.Tensor(labels).to("cuda"))
        assert loss.dtype == np.float32
        loss.backward()
        found.append([loss.item(), *[nn.Tensor(p.grad).cpu().numpy() for p in model.parameters()]])
    for got, want in zip(found[1], found[0], strict=True):
        # a few roundings on the way
        close(np.asarray(got), np.asarray(want), 8 * UNIT[half])
    assert not np.array_equal(found[0][1], found[1][1]), "the products were not made in 16 bits"


def test_training_in_float16_with_a_scaler():
    require_cuda()
    x, labels = (nn.Tensor(a).to("cuda") for a in data())
    model = network().to("cuda")
    optimizer, scaler = optim.Adam(model.parameters(), lr=0.05), amp.GradScaler(init_scale=2.0**10, growth_interval=2)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        with amp.autocast("cuda", "float16"):
            loss = F.cross_entropy(model(x), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0] and scaler.get_scale() == 2.0**13


def test_models_in_16_bits(half):
    """model.half(): everything in 16 bits, in and out."""
    from hotloop.nn.dtypes import as_dtype

    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)), None
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)
    want = model(nn.Tensor(x)).detach().numpy()
    model.to("cuda").to(as_dtype(half))
    y = model(nn.Tensor(x).to("cuda", as_dtype(half)))
    assert y.dtype == as_dtype(half)
    close(y.float().cpu().detach().numpy(), want, 8 * UNIT[half])


def test_autocast_is_for_cuda():
    with pytest.raises(ValueError, match="expected device_type 'cuda', got 'cpu'"):
        amp.autocast("cpu")
    with pytest.raises(ValueError, match="expected dtype float16 or bfloat16, got float32"):
        amp.autocast("cuda", "float32")
    with amp.autocast("cuda"):
        # what lives on the CPU stays as it is
        assert nn.Linear(2, 2)(np.ones((1, 2), np.float32)).dtype == np.float32

    @amp.autocast("cuda")
    def inside():
        return amp.is_autocast_enabled()

    assert inside() and not amp.is_autocast_enabled()


# ---- the scaler, which knows no device


def scaled(scaler, gradient):
    p = nn.Parameter(np.ones(2, np.float32))
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = np.array(gradient, np.float32) * scaler.get_scale()
    return p, optimizer


def test_steps_are_unscaled():
    scaler = amp.GradScaler(init_scale=4.0, growth_interval=3)
    for i in range(3):
        p, optimizer = scaled(scaler, [0.25, -0.5])
        scaler.step(optimizer)
        assert p.tolist() == [0.75, 1.5] and scaler.get_scale() == 4.0
        scaler.update()
        assert scaler.get_scale() == (4.0 if i < 2 else 8.0)
    assert amp.GradScaler(init_scale=8.0).scale(nn.Tensor(np.float32(2.0).reshape(()))).item() == 16


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_that_overflowed_is_left_out(bad):
    scaler = amp.GradScaler(init_scale=4.0)
    p, optimizer = scaled(scaler, [0.25, bad])
    assert scaler.step(optimizer) is None and p.tolist() == [1, 1]
    scaler.update()
    assert scaler.get_scale() == 2.0


def test_gradients_are_clipped_between():
    scaler = amp.GradScaler(init_scale=4.0)
    p, optimizer = scaled(scaler, [3.0, 4.0])
    scaler.unscale_(optimizer)
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 5.0
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    close(p.detach().numpy(), np.array([0.4, 0.2]), 1e-6)


def test_a_scaler_restarts():
    scaler = amp.GradScaler(init_scale=4.0, growth_interval=2)
    _, optimizer = scaled(scaler, [0.5, 0.5])
    scaler.step(optimizer)
    scaler.update()
    again = amp.GradScaler()
    again.load_state_dict(scaler.state_dict())
    assert (
        again.state_dict()
        == scaler.state_dict()
        == {
            "scale": 4.0,
            "growth_factor": 2.0,
            "backoff_factor": 0.5,
            "growth_interval": 2,
            "_growth_tracker": 1,
        }
    )
    with pytest.raises(RuntimeError, match="lacks"):
        again.load_state_dict({})


def test_a_scaler_that_is_off_passes_on():
    scaler = amp.GradScaler(enabled=False)
    loss = nn.Tensor(np.float32(3.0).reshape(()))
    p, optimizer = scaled(scaler, [0.5, 0.5])
    scaler.step(optimizer)
    scaler.update()
    assert scaler.scale(loss) is loss and p.tolist() == [0.5, 0.5] and scaler.state_dict() == {}
    for wrong in ({"growth_factor": 1.0}, {"backoff_factor": 1.5}, {"init_scale": 0.0}):
        with pytest.raises(ValueError, match="expected"):
            amp.GradScaler(**wrong)


def reference(function, x):
    """What a function gives in float32, and its gradient."""
    x = nn.Tensor(x).to("cuda")
    x.requires_grad = True
    y = function(x)
    # not of squares: after a norm their sum is a constant
    (y * y * y).sum().backward()
    return y.detach().cpu().numpy(), nn.Tensor(x.grad).cpu().numpy()


WIDE = {
    "sums": lambda x: x.sum(1),
    "means": lambda x: x - x.mean(dim=1, keepdim=True),
    "broadcast": lambda x: x * x[0] + x[:, :1],
    "spread": lambda x: x.std(dim=1) + x.norm(dim=1),
    "softmax": lambda x: F.softmax(x, dim=1),
    "layer_norm": lambda x: F.layer_norm(x, (6,)),
    "max": lambda x: x.max(dim=1)[0] + x.amax(dim=1),
    "rows": lambda x: x[[0, 2, 0]],
    "masked": lambda x: x[x > 0],
    "order": lambda x: x.sort(dim=1)[0].cumsum(1),
}


@pytest.mark.parametrize("name", WIDE)
def test_what_is_added_up_is_added_in_float32(half, name):
    """Sums, norms, extremes and picks of 16-bit tensors: the kernels have none, the result and its gradient have."""
    from hotloop.nn.dtypes import as_dtype

    function, rounded = WIDE[name], nn.Tensor(data()[0]).to("cuda", as_dtype(half)).float().cpu().numpy()
    want, slope = reference(function, rounded)
    x = nn.Tensor(rounded).to("cuda", as_dtype(half))
    x.requires_grad = True
    y = function(x)
    assert y.dtype == as_dtype(half)
    (y.float() ** 3).sum().backward()
    assert x.grad.dtype == as_dtype(half) and (x.argmax(1) == x.float().argmax(1)).all()
    close(y.detach().float().cpu().numpy(), want, 8 * UNIT[half])
    close(nn.Tensor(x.grad).float().cpu().numpy(), slope, 32 * UNIT[half])


def test_norms_and_bilinear_after_products(half):
    """In autocast what is not a product takes the 16-bit results of one."""
    x = nn.Tensor(np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)).to("cuda")
    head = nn.Linear(6, 6).to("cuda")
    for layer in (nn.BatchNorm1d(6), nn.BatchNorm1d(6).eval(), nn.GroupNorm(2, 6), nn.RMSNorm(6), nn.LayerNorm(6)):
        layer.to("cuda")
        with amp.autocast("cuda", half):
            y = layer(head(x))
        assert y.dtype == np.float32
        y.square().sum().backward()
        close(y.detach().cpu().numpy(), layer(head(x)).detach().cpu().numpy(), 16 * UNIT[half])
    with amp.autocast("cuda", half):
        y = nn.Bilinear(6, 6, 2).to("cuda")(head(x), x)
    assert y.dtype == np.float32


def test_16_bit_gradients_are_clipped(half):
    from hotloop.nn.dtypes import as_dtype

    p = nn.Parameter(nn.Tensor([3.0, 4.0]).to("cuda", as_dtype(half)).data)
    p.grad = nn.Tensor([3.0, 4.0]).to("cuda", as_dtype(half)).data
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 5.0
    close(nn.Tensor(p.grad).float().cpu().numpy(), np.array([0.6, 0.8]), 2 * UNIT[half])


def test_attention(half):
    """Softmax comes in float32, the values in 16 bits; their product takes both."""
    x = nn.Tensor(np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)).to("cuda")
    project = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)).to("cuda").eval()
    found = []
    for mixed in (False, True):
        with amp.autocast("cuda", half, enabled=mixed):
            q = project(x)
            found.append((F.softmax(q @ q.transpose(1, 2), dim=-1) @ q).detach().float().cpu().numpy())
    close(found[1], found[0], 8 * UNIT[half])


def test_multi_head_attention(half):
    """All of it runs in 16 bits, masks of both kinds too; parameters and inputs get float32 gradients."""
    rng = np.random.default_rng(0)
    x, added = rng.standard_normal((5, 2, 8)).astype(np.float32), rng.standard_normal((5, 5)).astype(np.float32)
    layer, found = nn.MultiheadAttention(8, 2, rotary=nn.RotaryEmbedding(4)).to("cuda"), []
    for mixed in (False, True):
        given, mask = (nn.Tensor(a).to("cuda").requires_grad_() for a in (x, added))
        layer.zero_grad()
        with amp.autocast("cuda", half, enabled=mixed):
            padding = nn.Tensor(np.arange(5) > [[4], [2]]).to("cuda")
            y, weights = layer(given, given, given, key_padding_mask=padding, attn_mask=mask)
        assert y.dtype == (half if mixed else np.float32)
        (y.float().square().sum() + weights.float().square().sum()).backward()
        gradients = [nn.Tensor(t.grad) for t in (given, mask, *layer.parameters())]
        assert all(g.dtype == np.float32 for g in gradients)
        found.append([t.detach().float().cpu().numpy() for t in (y, weights, *gradients)])
    for got, want in zip(found[1], found[0], strict=True):
        close(got, want, 4 * UNIT[half])


def test_positions_and_additive_attention(half):
    """Rotations take 16 bits and tables of 32; scores come in float32 in autocast, in 16 bits where all is."""
    from hotloop.nn.dtypes import as_dtype

    rng, rotary = np.random.default_rng(0), nn.RotaryEmbedding(4)
    x, key = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 2, 5), (2, 4, 3)))
    short = nn.Tensor(x).to("cuda", as_dtype(half)).requires_grad_()
    positions = nn.Tensor(np.array([4, 0, 2])).to("cuda")
    y = rotary(short, positions=positions)
    y.backward(nn.Tensor(x).to("cuda", as_dtype(half)).data)
    assert y.dtype == short.grad.dtype == as_dtype(half)
    want = rotary(short.detach().float(), positions=positions)
    close(y.detach().float().cpu().numpy(), want.cpu().numpy(), 2 * UNIT[half])
    mask = nn.Tensor(np.array([[0, 0, 1, 1], [0, 0, 0, 0]], bool)).to("cuda")
    query, key = nn.Tensor(x[:, :, 0, :3]).to("cuda"), nn.Tensor(key).to("cuda")
    want, _ = F.additive_attention(query, key, key_padding_mask=mask)
    context, weights = F.additive_attention(*(a.to(as_dtype(half)) for a in (query, key)), key_padding_mask=mask)
    assert context.dtype == weights.dtype == as_dtype(half)
    close(context.float().cpu().numpy(), want.cpu().numpy(), 8 * UNIT[half])
    with amp.autocast("cuda", half):
        assert F.additive_attention(query, key.to(as_dtype(half)), key_padding_mask=mask)[1].dtype == np.float32
