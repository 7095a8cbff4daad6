"""Padding: kernels against ref, gradients, layers and functions against PyTorch, what is refused."""

import itertools

import hotloop
import numpy as np
import pytest
from helpers import agree, close, poison, same
from hotloop import nn
from hotloop.kernels.pad_modes import CONSTANT, MODES
from hotloop.nn import functional as F

# planes and, for each dimension, (elements, in front, behind)
ONE = (1, 0, 0)
SHAPES = {
    "nothing": (0, ONE, (3, 1, 1), (5, 2, 1)),
    "one": (1, ONE, ONE, ONE),
    "line": (3, ONE, ONE, (130, 17, 5)),
    "plane": (5, ONE, (7, 1, 2), (35, 3, 0)),
    "solid": (2, (4, 3, 1), (5, 0, 2), (6, 2, 4)),
    "cut": (3, (4, -1, 2), (5, 2, -2), (19, -3, -1)),
    "cut and around": (2, ONE, (6, -2, 3), (9, 4, -4)),
    "many rows": (120, ONE, (17, 1, 1), (16, 1, 1)),
}
REFUSED = {
    "reflect": [(4, 4, 0), (4, 0, 5), (0, 1, 0)],
    "replicate": [(0, 1, 1)],
    "circular": [(4, 5, 0), (4, -2, 3), (0, 0, 1)],
}


def case(shape):
    """(shape of x, shape of y, what is in front)"""
    planes, *axes = shape
    return (planes, *(n for n, _, _ in axes)), (planes, *(map(sum, axes))), tuple(front for _, front, _ in axes)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_kernels(backend, dtype, rng, shape, mode):
    x_shape, y_shape, fronts = case(shape)
    x, dy = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
    agree(backend, "pad.pad_forward", poison(y_shape, dtype), x, *fronts, MODES[mode], 2.5)
    agree(backend, "pad.pad_backward", poison(x_shape, dtype), dy, *fronts, MODES[mode])


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
@pytest.mark.parametrize("around", [(-6, 3), (4, -7), (-9, 4)], ids=str)
def test_more_is_cut_than_there_is(backend, rng, around, mode):
    for axis in range(3):
        size = [2, 2, 2]
        size[axis] = 5
        x_shape, y_shape, fronts = case((3, *((n, *around) if n == 5 else (n, 0, 0) for n in size)))
        y_shape = tuple(max(n, 0) for n in y_shape)
        x, dy = rng.standard_normal(x_shape).astype(np.float32), rng.standard_normal(y_shape).astype(np.float32)
        agree(backend, "pad.pad_forward", poison(y_shape, np.float32), x, *fronts, MODES[mode], 2.5)
        agree(backend, "pad.pad_backward", poison(x_shape, np.float32), dy, *fronts, MODES[mode])


@pytest.mark.parametrize("dtype", [np.int64, bool], ids=str)
def test_numbers_of_other_kinds(backend, rng, dtype):
    x = rng.integers(0, 2, (2, 1, 3, 9)).astype(dtype)
    agree(backend, "pad.pad_forward", poison((2, 1, 5, 10), dtype), x, 0, 1, -1, CONSTANT, 1.0)


@pytest.mark.parametrize("mode", REFUSED)
def test_no_numbers_to_read(backend, mode):
    for size, front, behind in REFUSED[mode]:
        x, y = np.ones((2, 1, 1, size), np.float32), np.ones((2, 1, 1, size + front + behind), np.float32)
        with pytest.raises(ValueError, match="pad: expected"):
            backend("pad.pad_forward", y, x, 0, 0, front, MODES[mode], 0.0)
        with pytest.raises(ValueError, match="pad: expected"):
            backend("pad.pad_backward", x, y, 0, 0, front, MODES[mode])
    with pytest.raises(ValueError, match="expected mode"):
        backend("pad.pad_forward", y, x, 0, 0, front, 4, 0.0)


def test_any_number_of_threads_gives_the_same_bits(rng):
    x, dy = (rng.standard_normal(shape).astype(np.float32) for shape in ((64, 3, 33, 47), (64, 5, 36, 53)))
    before, results = hotloop.get_num_threads(), []
    for threads in (1, 2):
        hotloop.set_num_threads(threads)
        y, dx = np.empty_like(dy), np.empty_like(x)
        hotloop.kernels.cpu.pad.pad_forward(y, x, 1, 2, 4, MODES["reflect"], 0.0)
        hotloop.kernels.cpu.pad.pad_backward(dx, dy, 1, 2, 4, MODES["reflect"])
        results.append((y, dx))
    hotloop.set_num_threads(before)
    assert all(same(a, b) for a, b in zip(*results, strict=True))


def both(rng, shape, here, there, dtype=np.float32):
    """Values and gradients of ours and of PyTorch's; the same numbers, in sums of few."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = rng.standard_normal(shape).astype(dtype)
    ours, theirs = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, want = here(ours), there(torch, theirs)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), want.detach().numpy())
    dy = rng.standard_normal(want.shape).astype(dtype)
    y.backward(dy)
    want.backward(torch.tensor(dy))
    close(ours.grad, theirs.grad.numpy())


NAMES = ("ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad")
PADDINGS = {1: [2, (3, 0), (-1, 2)], 2: [1, (1, 2, 0, 3), (2, -1, -2, 1)], 3: [1, (2, 1, 0, 1, -1, 2)]}


@pytest.mark.parametrize("axes", PADDINGS)
@pytest.mark.parametrize("name", NAMES)
def test_layers_as_torch(dtype, rng, name, axes):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for padding, lead in itertools.product(PADDINGS[axes], [(2, 3), (3,), (0, 3)]):
        arguments = (padding, -1.5) if name == "ConstantPad" else (padding,)
        layer = getattr(nn, f"{name}{axes}d")(*arguments)
        theirs = getattr(torch.nn, f"{name}{axes}d")(*arguments)
        assert repr(layer) == repr(theirs)
        both(rng, (*lead, *(4, 5, 6)[-axes:]), layer, lambda _, x, theirs=theirs: theirs(x), dtype)


# of a (2, 3, 4, 5, 6)
CONSTANT_CASES = [
    (),
    (0, 0),
    (1, 2),
    (0, 0, 0, 0, 1, 2),
    (1, 0, 0, 0, 0, 0, 2, 1),
    (1, 2, 3, 4, 5, 6, 1, 0),
    (-1, 2, 0, 0, 1, -1, 0, 0, 2, 2),
    (1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (-2, -1, 0, -5),
]


@pytest.mark.parametrize("padding", CONSTANT_CASES, ids=str)
def test_any_number_of_dimensions(rng, padding):
    def ours(x):
        return F.pad(x, padding, value=7)

    both(rng, (2, 3, 4, 5, 6), ours, lambda torch, x: torch.nn.functional.pad(x, padding, value=7))


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_all_cut_as_torch(rng, mode):
    for padding in ((-6, 3), (4, -7)):
        both(
            rng, (2, 3, 5), lambda x, p=padding: F.pad(x, p, mode),
            lambda torch, x, p=padding: torch.nn.functional.pad(x, p, mode),
        )  # fmt: skip


def test_nothing_is_padded(rng):
    assert (F.pad(np.zeros((2, 0), np.float32), (1, 1), value=3).numpy() == np.full((2, 2), 3)).all()
    assert F.pad(np.zeros((2, 0), np.float32), (0, 0, 1, 1)).shape == (4, 0)
    assert F.pad(np.zeros((2, 3, 0), np.float32), (0, 0, 0, 0, 1, 1)).shape == (4, 3, 0)


def test_integers_and_views(rng):
    labels = np.array([[3, 4], [5, 6]])
    assert (F.pad(labels, (0, 1), value=-100).numpy() == [[3, 4, -100], [5, 6, -100]]).all()
    assert F.pad(labels > 3, (1, 0), value=True).numpy().tolist() == [[True, False, True], [True, True, True]]
    x = rng.standard_normal((4, 3, 2)).astype(np.float32)
    assert (F.pad(nn.Tensor(x).permute(2, 1, 0), (1, 1)).numpy()[..., 1:-1] == x.transpose(2, 1, 0)).all()


MISTAKES = {
    "mode": (lambda x: F.pad(x, (1, 1), "mirror"), NotImplementedError, "'mirror'"),
    "odd": (lambda x: F.pad(x, (1,)), ValueError, "pairs"),
    "many": (lambda x: F.pad(x, (1,) * 8), ValueError, "at most 3 dimensions"),
    "dimensions": (lambda x: F.pad(x, (1,) * 6, "reflect"), NotImplementedError, "4-D or 5-D"),
    "value": (lambda x: F.pad(x, (1, 1), "circular", 3.0), ValueError, "no value"),
    "reflect": (lambda x: F.pad(x, (0, 5), "reflect"), ValueError, "at least 6 for reflect padding, got 5"),
    "circular": (lambda x: F.pad(x, (6, 0), "circular"), ValueError, "at least 6 for circular padding, got 5"),
    "nothing left": (lambda x: F.pad(x, (-3, -2), "replicate"), ValueError, "1 or more elements after"),
    "less than nothing": (lambda x: F.pad(x, (-3, -3)), ValueError, "0 or more elements after"),
    "cut away": (lambda x: F.pad(x, (-6, 3)), ValueError, "0 or more elements after"),
    "sides": (lambda x: nn.ZeroPad2d((1, 2, 3)), ValueError, "integer or 4 of them"),
    "layer": (lambda x: nn.ReflectionPad2d(1)(x[0]), ValueError, "ReflectionPad2d: expected a 3-D or 4-D input"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    mistake, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        mistake(np.ones((2, 3, 5), np.float32))
