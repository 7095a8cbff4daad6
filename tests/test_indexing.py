"""x[index], x[index] = value, gather and scatter of tensors: as PyTorch's."""

import numpy as np
import pytest
from hotloop.nn import Tensor
from parity import compare

S = (3, 4, 5)
MASK = np.random.default_rng(0).random((3, 4)) < 0.5
I0, I1 = np.array([2, 0, -1, 2]), np.array([[1, 3], [0, -2]])
INDICES = {
    "int": lambda T: 1,
    "negative": lambda T: -1,
    "slice": lambda T: slice(1, None),
    "step": lambda T: slice(None, None, 2),
    "ints": lambda T: (0, 1, 2),
    "mixed": lambda T: (slice(None), 1, slice(1, 4)),
    "ellipsis": lambda T: (..., 0),
    "none": lambda T: (None, slice(None), None, 0),
    "list": lambda T: [0, 2],
    "vector": lambda T: T(I0),
    "matrix": lambda T: T(I1 % 3),
    "last": lambda T: (..., T(I0)),
    "middle": lambda T: (slice(None), T(I1)),
    "two": lambda T: (T(I0), T(I0 % 4)),
    "two broadcast": lambda T: (T(I0 % 3), T(I1.reshape(2, 2, 1))),
    "neighbours": lambda T: (slice(None), T(I0), T(I0)),
    "apart": lambda T: (T(I0), slice(None), T(I0)),
    "int and vector": lambda T: (0, T(I0)),
    "int, slice and vector": lambda T: (0, slice(None), T(I0)),
    "slice and vector": lambda T: (slice(1, 3), T(I0)),
    "mask": lambda T: T(MASK[:, 0].copy()),
    "mask of two": lambda T: T(MASK.copy()),
    "mask behind": lambda T: (0, T(np.array([True, False, True, True]))),
    "mask and vector": lambda T: (T(np.array([True, False, True])), T(np.array([1, 2]))),
    "nothing": lambda T: T(np.zeros(0, np.int64)),
    "empty slice": lambda T: slice(2, 2),
    "number tensor": lambda T: T(np.array(1)),
}


@pytest.mark.parametrize("name", INDICES)
def test_indexing(rng, name):
    compare(lambda F, x: x[INDICES[name](F.tensor)], [S], rng)


@pytest.mark.parametrize("value", ["number", "row", "tensor"])
@pytest.mark.parametrize("name", INDICES)
def test_assignment(rng, name, value):
    torch = pytest.importorskip("torch")
    a = rng.standard_normal(S).astype(np.float32)
    x, z = Tensor(a.copy()), torch.from_numpy(a.copy())
    part = z[INDICES[name](torch.from_numpy)]
    new = {
        "number": 7.5,
        "row": rng.standard_normal(part.shape[-1:]).astype(np.float32),
        "tensor": rng.standard_normal(tuple(part.shape)).astype(np.float32),
    }[value]
    x[INDICES[name](Tensor)] = new if value == "number" else Tensor(np.asarray(new))
    z[INDICES[name](torch.from_numpy)] = new if value == "number" else torch.from_numpy(np.asarray(new))
    if (
        name in ("vector", "apart", "neighbours", "two", "slice and vector", "last", "int and vector")
        and value == "tensor"
    ):
        # a position comes twice: PyTorch leaves open which value stays, here it is the last
        z = torch.from_numpy(a.copy())
        np_index = INDICES[name](lambda i: i)
        z.numpy()[np_index] = np.asarray(new)
    np.testing.assert_array_equal(x.numpy(), z.numpy())


GATHERS = {
    "gather": lambda F, x, y: x.gather(1, F.tensor(I1.reshape(1, 2, 2) % 4)),
    "gather last": lambda F, x, y: x.gather(-1, F.tensor(np.arange(12).reshape(3, 4, 1) % 5)),
    "take_along_dim": lambda F, x, y: F.take_along_dim(x, F.tensor(np.array([[[0], [3], [2]]])), 1),
    "index_select": lambda F, x, y: x.index_select(1, F.tensor(I0 % 4)),
    "index_add": lambda F, x, y: x.index_add(1, F.tensor(np.array([1, 1])), y),
    "index_copy": lambda F, x, y: x.index_copy(1, F.tensor(np.array([3, 1])), y),
    "scatter": lambda F, x, y: x.scatter(1, F.tensor(np.array([[[1] * 5, [2] * 5]] * 3)), y),
    "scatter_add": lambda F, x, y: x.scatter_add(1, F.tensor(np.array([[[1] * 5, [1] * 5]] * 3)), y),
    "scatter corner": lambda F, x, y: x.scatter(2, F.tensor(np.array([[[0, 3]]])), y[:1, :1, :2]),
    "masked_select": lambda F, x, y: F.masked_select(x, x > 0),
    "nonzero": lambda F, x, y: (x > 0).nonzero(),
    "where": lambda F, x, y: F.where(x > 0),
    "one_hot": lambda F, x, y: (F.one_hot(F.tensor(I1 % 4)), F.one_hot(F.tensor(I1 % 4), 7)),
}


@pytest.mark.parametrize("name", GATHERS)
def test_gathers(rng, name):
    compare(GATHERS[name], [S, (3, 2, 5)], rng)
