"""Every layer and loss gives on the device what it gives on the CPU: `model.to("cuda")` is all it takes.

Runs in the simulator, or on a device where there is one; sizes are the simulator's.
"""

import copy

import numpy as np
import pytest
from devices import host, labels, normal, on_both
from helpers import close, require_cuda
from hotloop import nn
from hotloop.nn import functional as F


@pytest.fixture(autouse=True)
def device():
    require_cuda()


SMALL = (2, 3, 5, 6)
LAYERS = {
    "Linear": (nn.Linear(6, 4), SMALL),
    "Linear activation": (nn.Linear(6, 4, activation="gelu"), (3, 6)),
    "Bilinear": (nn.Bilinear(3, 4, 2), (5, 3), (5, 4)),
    "Conv1d": (nn.Conv1d(3, 4, 3, stride=2, padding=1), (2, 3, 7)),
    "Conv2d": (nn.Conv2d(3, 4, 3, padding=1), SMALL),
    "Conv2d groups": (nn.Conv2d(4, 6, (3, 2), dilation=(1, 2), groups=2, bias=False), (2, 4, 5, 6)),
    "Conv2d depthwise": (nn.Conv2d(3, 3, 3, groups=3, padding="same"), SMALL),
    "Conv2d 1x1": (nn.Conv2d(3, 5, 1), SMALL),
    "Conv2d reflect": (nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"), SMALL),
    "Conv3d": (nn.Conv3d(2, 3, 2), (1, 2, 3, 4, 3)),
    "ConvTranspose2d": (nn.ConvTranspose2d(3, 2, 3, stride=2, output_padding=1), (2, 3, 3, 2)),
    "MaxPool2d": (nn.MaxPool2d(2, return_indices=True), SMALL),
    "AvgPool2d": (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), SMALL),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((2, 3)), SMALL),
    "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(3), (2, 3, 7)),
    "LPPool2d": (nn.LPPool2d(2, 2), SMALL),
    "FractionalMaxPool2d": (nn.FractionalMaxPool2d(2, output_size=(2, 3)), SMALL),
    "BatchNorm1d": (nn.BatchNorm1d(4), (5, 4)),
    "BatchNorm2d": (nn.BatchNorm2d(3), SMALL),
    "BatchNorm2d eval": (nn.BatchNorm2d(3).eval(), SMALL),
    "InstanceNorm2d": (nn.InstanceNorm2d(3, affine=True), SMALL),
    "LayerNorm": (nn.LayerNorm(6), SMALL),
    "GroupNorm": (nn.GroupNorm(2, 4), (2, 4, 5)),
    "RMSNorm": (nn.RMSNorm(6), SMALL),
    "LocalResponseNorm": (nn.LocalResponseNorm(3), SMALL),
    "weight_norm": (nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (2, 4)),
    "spectral_norm": (nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)), (2, 4)),
    "PReLU": (nn.PReLU(3), SMALL),
    "RReLU": (nn.RReLU(), SMALL),
    "GLU": (nn.GLU(), SMALL),
    "Softmax": (nn.Softmax(1), SMALL),
    "LogSoftmax": (nn.LogSoftmax(-1), (3, 7)),
    "Softmin": (nn.Softmin(0), (3, 7)),
    "Dropout": (nn.Dropout(0.4), SMALL),
    "Dropout2d": (nn.Dropout2d(0.4), SMALL),
    "AlphaDropout": (nn.AlphaDropout(0.4), SMALL),
    "Upsample nearest": (nn.Upsample(scale_factor=2), SMALL),
    "Upsample bilinear": (nn.Upsample(size=(4, 9), mode="bilinear"), SMALL),
    "Upsample bicubic": (nn.Upsample(size=(4, 9), mode="bicubic", align_corners=True), SMALL),
    "PixelShuffle": (nn.PixelShuffle(2), (2, 8, 2, 3)),
    "ChannelShuffle": (nn.ChannelShuffle(2), (2, 4, 2, 3)),
    "ReflectionPad2d": (nn.ReflectionPad2d(2), SMALL),
    "ConstantPad1d": (nn.ConstantPad1d((1, 2), 3.0), (2, 3, 4)),
    "Unfold": (nn.Unfold(2), SMALL),
    "Fold": (nn.Fold((4, 5), 2), (2, 12, 12)),
    "RNN": (nn.RNN(3, 5, num_layers=2, bidirectional=True), (4, 2, 3)),
    "GRU": (nn.GRU(3, 5, batch_first=True), (2, 4, 3)),
    "LSTM": (nn.LSTM(3, 5, num_layers=2), (4, 2, 3)),
    "LSTM projection": (nn.LSTM(3, 5, proj_size=2, bias=False), (4, 2, 3)),
    "LSTMCell": (nn.LSTMCell(3, 5), (2, 3)),
    "GRUCell": (nn.GRUCell(3, 5), (2, 3)),
    "RNNCell": (nn.RNNCell(3, 5, nonlinearity="relu"), (2, 3)),
    "SinusoidalPositionalEncoding": (nn.SinusoidalPositionalEncoding(5, 8), (4, 2, 5)),
    "LearnedPositionalEncoding": (nn.LearnedPositionalEncoding(4, 8, batch_first=True), (2, 5, 4)),
    "RotaryEmbedding": (nn.RotaryEmbedding(4), (2, 3, 2, 5)),
    "RotaryEmbedding neighbours": (nn.RotaryEmbedding(8, interleaved=True), (2, 3, 1, 8)),
    "RotaryEmbedding positions": (lambda x: nn.RotaryEmbedding(4)(x, positions=[4, 0, 2]), (2, 3, 2, 5)),
    "additive_attention mask": (
        lambda q, k: F.additive_attention(q, k, key_padding_mask=[[False, True], [False, False]]),
        *((2, 3, 4), (2, 2, 4)),
    ),
    "AdditiveAttention": (nn.AdditiveAttention(3, 4, 5), (2, 3, 3), (2, 4, 4)),
    "AdditiveAttention step": (nn.AdditiveAttention(3, 4, 5, bias=True), (2, 3), (2, 4, 4)),
    "MultiheadAttention": (
        nn.MultiheadAttention(8, 2, dropout=0.3, add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=5),
        *((4, 2, 8), (3, 2, 3), (3, 2, 5)),
    ),
    "TransformerEncoderLayer": (
        nn.TransformerEncoderLayer(8, 2, 6, batch_first=True, rotary=nn.RotaryEmbedding(4)),
        *((2, 4, 8), (4, 4)),
    ),
    "TransformerDecoderLayer": (
        nn.TransformerDecoderLayer(8, 2, 6, 0.0, "gelu", norm_first=True),
        *((4, 2, 8), (3, 2, 8), (4, 4), (4, 4, 3)),
    ),
    "scaled_dot_product_attention": (
        lambda q, k, v, m: F.scaled_dot_product_attention(
            *(q.transpose(1, 2), k, v, m > -0.5), is_causal=True, enable_gqa=True
        ),
        *((2, 3, 4, 3), (2, 2, 5, 3), (2, 2, 5, 4), (4, 3, 5)),
    ),
    "CosineSimilarity": (nn.CosineSimilarity(), (4, 6), (4, 6)),
    "PairwiseDistance": (nn.PairwiseDistance(), (4, 6), (4, 6)),
    "residual": (lambda x: F.relu(x + F.layer_norm(x, (6,))) * 0.5, SMALL),
    "broadcast": (lambda x, y: (x * y - y).sum(dim=1) / (y.mean() + 2), SMALL, (3, 1, 6)),
    "reductions": (lambda x: (x.std(dim=2), x.amax(dim=0), x.prod(dim=-1), x.logsumexp(1), x.cumsum(3)), SMALL),
    "views": (lambda x: x.transpose(1, 3).reshape(2, -1)[:, 1::3].flatten(), SMALL),
    "joins": (lambda x: nn.Tensor.float(F.pad(x, (1, 1)))[..., 1:-1].chunk(3, dim=1), SMALL),
    "gathers": (lambda x: (x[[1, 0, 1]], x.argmax(dim=1), *x.sort(dim=-1), *x.topk(2, dim=2)), SMALL),
    "selects": (lambda x: (x.clamp(-0.5, 0.5), x.masked_fill(x > 0, 2.0), x.tril()), SMALL),
    "functions": (lambda x: (x.exp(), x.abs().sqrt(), x.sin(), x.sigmoid(), x.tanh(), x**2, 1 / (x.abs() + 1)), SMALL),
    "matmul": (lambda x, y: x @ y, (2, 3, 4), (4, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    module, *shapes = LAYERS[name]
    on_both(module, *[normal(*shape, seed=i) for i, shape in enumerate(shapes)])


EMBEDDED = np.array([[1, 4, 4], [0, 2, 1]])


def test_embeddings():
    on_both(nn.Embedding(5, 3, padding_idx=2), EMBEDDED)
    on_both(nn.EmbeddingBag(5, 3, mode="mean"), EMBEDDED)
    on_both(nn.EmbeddingBag(5, 3, mode="max"), EMBEDDED)


def test_lengths():
    class Sequence(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 5, bidirectional=True)

        def forward(self, x):
            return self.lstm(x, lengths=np.array([4, 2, 1]))

    on_both(Sequence(), normal(4, 3, 3))


LOSSES = {
    "MSELoss": (normal(4, 3), normal(4, 3) * 0.5),
    "L1Loss": (normal(4, 3), normal(4, 3) * 0.5),
    "SmoothL1Loss": (normal(4, 3), normal(4, 3) * 0.5),
    "HuberLoss": (normal(4, 3), normal(4, 3) * 0.5),
    "CrossEntropyLoss": (normal(6, 3), labels(3, 6)),
    "NLLLoss": (normal(6, 3), labels(3, 6)),
    "CTCLoss": (normal(5, 3, 4), np.array([[1, 2], [3, 3], [2, 0]]), np.array([5, 4, 3]), np.array([2, 2, 1])),
    "BCELoss": (abs(normal(4, 3)) / 9 + 0.1, (normal(4, 3) > 0).astype(np.float32)),
    "BCEWithLogitsLoss": (normal(4, 3), (normal(4, 3) > 0).astype(np.float32)),
    "KLDivLoss": (normal(4, 3), abs(normal(4, 3))),
    "PoissonNLLLoss": (normal(4, 3), abs(normal(4, 3))),
    "SoftMarginLoss": (normal(4, 3), np.sign(normal(4, 3))),
    "HingeEmbeddingLoss": (normal(4, 3), np.sign(normal(4, 3))),
    "MultiMarginLoss": (normal(6, 3), labels(3, 6)),
    "MultiLabelSoftMarginLoss": (normal(4, 3), (normal(4, 3) > 0).astype(np.float32)),
    "MultiLabelMarginLoss": (normal(2, 3), np.array([[2, 0, -1], [1, -1, 0]])),
    "MarginRankingLoss": (normal(6), normal(6)[::-1].copy(), np.sign(normal(6))),
    "CosineEmbeddingLoss": (normal(4, 3), normal(4, 3)[::-1].copy(), np.sign(normal(4))),
    "TripletMarginLoss": (normal(4, 3), normal(4, 3)[::-1].copy(), normal(4, 3) * 2),
    "GaussianNLLLoss": (normal(4, 3), normal(4, 3) * 0.5, abs(normal(4, 3)) + 0.1),
}


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name, reduction):
    first, *rest = LOSSES[name]
    loss = getattr(nn, name)(reduction=reduction)
    found = []
    for device in ("cpu", "cuda"):
        x = nn.Tensor(first).to(device)
        x.requires_grad = True
        y = loss(x, *[nn.Tensor(r).to(device) for r in rest])
        (y * y).sum().backward()
        found.append((y.detach().cpu().numpy(), host(x.grad)))
    for got, want in zip(found[1], found[0], strict=True):
        close(got, want, 2e-5)


def test_elements_are_assigned():
    """Numbers, lists, arrays and tensors of the host, by slices, positions and masks; a mask is turned round."""

    def run(x):
        at = x.device
        x[0] = 1
        x[:, 1] = 0.5
        x[nn.Tensor([2, 3])] = 7
        x[nn.Tensor([False, True, False, False])] = np.float64(2.5)
        x[1, 2:] = [4.0, 5.0, 6.0]
        x[2, ::2] = nn.Tensor([3.0])
        x[-1] = x[0, 1]
        mask = ~(x > 2)
        mask[0] = False
        mask[:, 1] = True
        mask[mask & (x > 5)] = False
        x[mask] = -1
        assert x.device == at
        return x, mask, mask != 0, x[nn.Tensor([3, 0])], x[:, nn.Tensor([1])]

    here, there = ([y.cpu().numpy() for y in run(nn.Tensor(normal(4, 5)).to(device))] for device in ("cpu", "cuda"))
    for got, want in zip(there, here, strict=True):
        assert got.dtype == want.dtype and np.array_equal(got, want)


@pytest.mark.parametrize("where", ["list", "cpu", "cuda"])
def test_packed_sequences(where):
    """Lengths may lie on either device; they and the sizes of the batches come back on the CPU."""
    from hotloop.nn.utils import rnn

    found = []
    layer = nn.LSTM(3, 4, bidirectional=True)
    for device in ("cpu", "cuda"):
        model = copy.deepcopy(layer).to(device)
        x = nn.Tensor(normal(5, 3, 3)).to(device)
        x.requires_grad = True
        lengths = [2, 5, 3] if where == "list" else nn.Tensor([2, 5, 3]).to(where if device == "cuda" else "cpu")
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        assert packed.sorted_indices.device == packed.data.device == device and packed.batch_sizes.device == "cpu"
        output, finals = model(packed)
        padded, counts = rnn.pad_packed_sequence(output, total_length=6)
        (padded * padded).sum().backward()
        assert counts.tolist() == [2, 5, 3]
        found.append([host(v) for v in (output.data, padded, *finals, x.grad, model.weight_hh_l0.grad)])
    for got, want in zip(*found[::-1], strict=True):
        close(got, want, 2e-5)


def test_arrays_do_not_compute_and_say_what_does():
    import hotloop

    layer = nn.Linear(2, 1).cuda(0)
    layer(hotloop.ones(1, 2, device=0)).sum().backward()
    g = layer.weight.grad
    for wrong in (
        lambda: g * 2,
        lambda: 0.1 * g,
        lambda: g + g,
        lambda: np.ones(2) - g,
        lambda: -g,
        lambda: g.__setitem__(0, 1),
    ):
        with pytest.raises(TypeError, match=r"hotloop.as_tensor\(array\)"):
            wrong()
    hotloop.as_tensor(g).mul_(3)
    assert host(g).tolist() == [[3, 3]] and (g * layer.weight).device == "cuda"
