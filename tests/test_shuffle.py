"""Shuffling of pixels and channels: kernels against ref, layers and functions against PyTorch, what is refused."""

import numpy as np
import pytest
from helpers import agree, poison
from hotloop import nn
from hotloop.nn import functional as F

# P, H, I, W, J
SHAPES = [(0, 2, 2, 3, 2), (1, 1, 1, 1, 1), (3, 5, 2, 37, 2), (2, 4, 3, 19, 3), (90, 7, 2, 31, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [np.float32, np.int64], ids=["float32", "int64"])
def test_kernels(backend, rng, shape, kind):
    p, h, i, w, j = shape
    pixels, channels = (rng.integers(-99, 99, s).astype(kind) for s in (shape, (p, i, j, h, w)))
    agree(backend, "shuffle.pixel_shuffle_forward", poison(pixels.shape, kind), channels)
    agree(backend, "shuffle.pixel_unshuffle_forward", poison(channels.shape, kind), pixels)
    x = pixels.reshape(p, h, i, w * j)
    agree(backend, "shuffle.channel_shuffle_forward", poison((p, i, h, w * j), kind), x)


LAYERS = [
    ("PixelShuffle", 2, (2, 8, 3, 5)),
    ("PixelShuffle", 3, (9, 4, 2)),
    ("PixelShuffle", 2, (2, 3, 4, 5, 6)),
    ("PixelShuffle", 2, (0, 4, 3, 3)),
    ("PixelUnshuffle", 2, (2, 3, 4, 10)),
    ("PixelUnshuffle", 3, (3, 6, 9)),
    ("ChannelShuffle", 3, (2, 12, 4, 5)),
    ("ChannelShuffle", 2, (3, 4, 7)),
    ("ChannelShuffle", 2, (0, 4, 3, 3)),
]


@pytest.mark.parametrize(("name", "number", "shape"), LAYERS, ids=str)
def test_layers_as_torch(rng, name, number, shape):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer, theirs = getattr(nn, name)(number), getattr(torch.nn, name)(number)
    assert repr(layer) == repr(theirs)
    x = rng.standard_normal(shape).astype(np.float32)
    here, there = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, want = layer(here), theirs(there)
    np.testing.assert_array_equal(y.numpy(), want.detach().numpy())
    dy = rng.standard_normal(want.shape).astype(np.float32)
    y.backward(dy)
    assert here.grad.shape == shape
    if x.size:
        # PyTorch has no gradient of nothing here
        want.backward(torch.tensor(dy))
        np.testing.assert_array_equal(here.grad, there.grad.numpy())


def test_functions(rng):
    x = rng.standard_normal((2, 8, 6, 4)).astype(np.float32)
    assert (F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2).numpy() == x).all()
    assert (F.native_channel_shuffle(x, 2).numpy() == F.channel_shuffle(x, 2).numpy()).all()


MISTAKES = {
    "channels": (lambda x: F.pixel_shuffle(x, 2), "channels in multiples of 4, got 6"),
    "sides": (lambda x: F.pixel_unshuffle(x, 2), "multiples of 2, got"),
    "groups": (lambda x: F.channel_shuffle(x, 4), "channels in multiples of 4, got 6"),
    "factor": (lambda x: F.pixel_shuffle(x, 0), "a positive factor, got 0"),
    "dimensions": (lambda x: F.pixel_unshuffle(x[0, 0], 1), "at least 3 dimensions"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    mistake, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        mistake(np.ones((2, 6, 4, 5), np.float32))


def test_factors_are_whole():
    with pytest.raises(TypeError):
        F.pixel_shuffle(np.ones((4, 1, 1), np.float32), 2.5)
