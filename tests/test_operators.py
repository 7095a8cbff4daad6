"""Tensor operators: values and gradients as PyTorch's, dtypes as torch.result_type, views, in-place rules, errors.

A case is written once, in the API that both share, and run by both with the same numbers.
"""

import numpy as np
import pytest
from hotloop import nn
from hotloop.nn import Tensor, ops

F = ops.FUNCTIONS
# float32 results of two libraries that round differently: a few units in the last place of the largest element
RTOL, ATOL = 2e-5, 2e-6


class Peer:
    """The functions that a case may call, by name, in one of the two libraries."""

    def __init__(self, functions):
        self._functions = functions

    def __getattr__(self, name):
        return self._functions[name]


def peers():
    torch = pytest.importorskip("torch")
    names = {name: getattr(torch, name) for name in F if hasattr(torch, name)}
    names["one_hot"] = torch.nn.functional.one_hot
    names["tensor"] = torch.from_numpy
    return Peer({**F, "tensor": Tensor}), Peer(names)


def flat_results(result):
    """All tensors in a result: one, a tuple, a named pair."""
    return [result] if not isinstance(result, (tuple, list)) else [t for part in result for t in flat_results(part)]


def compare(case, shapes, rng, low=-2.0, high=2.0):
    """Run a case on both libraries, backward from random gradients of all its floating results, and compare."""
    arrays = [rng.uniform(low, high, s).astype(np.float32) for s in shapes]
    ours, theirs = peers()
    xs = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    zs = [theirs.tensor(a.copy()).requires_grad_() for a in arrays]
    got, want = flat_results(case(ours, *xs)), flat_results(case(theirs, *zs))
    assert len(got) == len(want)
    total = expected = 0
    for g, w in zip(got, want, strict=True):
        values = w.detach().numpy()
        assert g.shape == tuple(w.shape) and g.dtype == values.dtype, (g.shape, w.shape, g.dtype, values.dtype)
        np.testing.assert_allclose(g.numpy(), values, rtol=RTOL, atol=ATOL)
        assert g.requires_grad == w.requires_grad
        if w.requires_grad:
            weights = rng.standard_normal(g.shape).astype(np.float32)
            total = total + (g * Tensor(weights)).sum()
            expected = expected + (w * theirs.tensor(np.asarray(weights))).sum()
    if isinstance(total, Tensor):
        total.backward()
        expected.backward()
        for x, z in zip(xs, zs, strict=True):
            assert (x.grad is None) == (z.grad is None)
            if x.grad is not None:
                np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=5 * RTOL, atol=5 * ATOL)


S = (3, 4, 5)
PAIRS = {
    "same": (S, S),
    "row": (S, (5,)),
    "column": (S, (4, 1)),
    "outer": ((4, 1), (1, 5)),
    "left": ((5,), S),
    "middle": ((2, 1, 5), (3, 1)),
    "scalar": (S, ()),
    "one": ((1,), (1, 1)),
    "alternating": ((2, 1, 3, 1, 2), (1, 2, 1, 3, 1)),
    "empty": ((0, 3), (3,)),
}
BINARY = {
    "add": lambda F, a, b: a + b,
    "sub": lambda F, a, b: a - b,
    "mul": lambda F, a, b: a * b,
    "div": lambda F, a, b: a / b,
    "pow": lambda F, a, b: a**b,
    "maximum": lambda F, a, b: F.maximum(a, b),
    "minimum": lambda F, a, b: F.minimum(a, b),
    "remainder": lambda F, a, b: a % b,
    "where": lambda F, a, b: F.where(a > b, a, b),
}


@pytest.mark.parametrize("shapes", PAIRS)
@pytest.mark.parametrize("name", BINARY)
def test_arithmetic(rng, name, shapes):
    compare(BINARY[name], PAIRS[shapes], rng, low=0.5)


WITH_NUMBERS = {
    "add": lambda F, x: x + 2,
    "radd": lambda F, x: 2 + x,
    "sub": lambda F, x: x - 0.5,
    "rsub": lambda F, x: 3 - x,
    "mul": lambda F, x: x * 2.5,
    "rmul": lambda F, x: 2.5 * x,
    "div": lambda F, x: x / 3,
    "rdiv": lambda F, x: 2 / x,
    "pow 2": lambda F, x: x**2,
    "pow 3": lambda F, x: x**3,
    "pow 0": lambda F, x: x**0,
    "pow .5": lambda F, x: x**0.5,
    "pow -1": lambda F, x: x**-1,
    "pow 1.7": lambda F, x: x**1.7,
    "rpow": lambda F, x: 2**x,
    "mod": lambda F, x: x % 0.7,
    "floordiv": lambda F, x: x.detach() // 0.7,
    "neg": lambda F, x: -x,
    "abs": lambda F, x: abs(x - 1),
    "alpha": lambda F, x: x.add(x, alpha=2).sub(x, alpha=3),
    "chain": lambda F, x: (x * 2 + 1) / (x.exp() + 1) - x,
    "self": lambda F, x: x * x + x,
}


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_numbers(rng, name):
    compare(WITH_NUMBERS[name], [(3, 4)], rng, low=0.3)


@pytest.mark.parametrize("name", list(ops.unary.UNARY))
def test_unary(rng, name):
    compare(lambda F, x: getattr(x, name)(), [(3, 7)], rng, low=0.2)


REDUCTIONS = {
    "sum": lambda F, x, **k: x.sum(**k),
    "mean": lambda F, x, **k: x.mean(**k),
    "amax": lambda F, x, **k: x.amax(**k),
    "amin": lambda F, x, **k: x.amin(**k),
    "var": lambda F, x, **k: x.var(**k),
    "std": lambda F, x, **k: x.std(**k),
    "norm": lambda F, x, **k: x.norm(p=2, **k),
    "norm1": lambda F, x, **k: x.norm(p=1, **k),
    "norm3": lambda F, x, **k: x.norm(p=3, **k),
    "norminf": lambda F, x, **k: x.norm(p=float("inf"), **k),
    "logsumexp": lambda F, x, **k: x.logsumexp(**k),
}


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1, (0, 1), (0, 2), (0, 1, 2), (-1, -3)], ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(rng, name, dim, keepdim):
    compare(lambda F, x: REDUCTIONS[name](F, x, dim=dim, keepdim=keepdim), [S], rng)


CASES = {
    "sum": lambda F, x: x.sum(),
    "mean": lambda F, x: x.mean(),
    "prod": lambda F, x: x.prod(),
    "prod dim": lambda F, x: x.prod(1, keepdim=True),
    "max": lambda F, x: x.max(),
    "min": lambda F, x: x.min(),
    "max dim": lambda F, x: x.max(1),
    "min dim": lambda F, x: x.min(dim=-1, keepdim=True),
    "max other": lambda F, x: x.max(x * x),
    "argmax": lambda F, x: x.argmax(),
    "argmax dim": lambda F, x: x.argmax(1, keepdim=True),
    "argmin dim": lambda F, x: x.argmin(-1),
    "var 0": lambda F, x: x.var(1, correction=0),
    "var unbiased": lambda F, x: x.var(dim=(0, 1), unbiased=False),
    "std all": lambda F, x: x.std(),
    "norm": lambda F, x: x.norm(),
    "any all": lambda F, x: ((x > 0).any(1), (x > -1).all(), (x > 0).all(dim=0, keepdim=True)),
    "cumsum": lambda F, x: x.cumsum(1),
    "cumsum 0": lambda F, x: x.cumsum(0),
    "sort": lambda F, x: x.sort(),
    "sort dim": lambda F, x: x.sort(1, descending=True),
    "argsort": lambda F, x: x.argsort(0),
    "topk": lambda F, x: x.topk(2),
    "topk dim": lambda F, x: x.topk(3, dim=1, largest=False),
    "permute": lambda F, x: x.permute(2, 0, 1),
    "transpose": lambda F, x: x.transpose(0, -1),
    "transpose twice": lambda F, x: x.transpose(0, 1).transpose(1, 2) * 2,
    "T": lambda F, x: x[0].T,
    "mT": lambda F, x: x.mT,
    "t": lambda F, x: x[1].t(),
    "movedim": lambda F, x: x.movedim(0, 2),
    "view": lambda F, x: x.view(4, -1),
    "reshape": lambda F, x: x.reshape((2, 30)),
    "reshape of view": lambda F, x: x.transpose(0, 1).reshape(-1),
    "flatten": lambda F, x: (x.flatten(), x.flatten(1), x.flatten(0, 1)),
    "unflatten": lambda F, x: x.unflatten(1, (2, 2)),
    "squeeze": lambda F, x: x[:, :1].squeeze(1),
    "squeeze all": lambda F, x: x[:1, :1].squeeze(),
    "unsqueeze": lambda F, x: (x.unsqueeze(0), x.unsqueeze(-1), x.unsqueeze(2)),
    "expand": lambda F, x: x[:, :1].expand(3, 6, 5),
    "expand -1": lambda F, x: x.unsqueeze(0).expand(2, -1, -1, -1) * 2,
    "broadcast_to": lambda F, x: F.broadcast_to(x[:1], (2, 4, 5)),
    "contiguous": lambda F, x: x.transpose(0, 1).contiguous(),
    "narrow": lambda F, x: x.narrow(1, 1, 2),
    "select": lambda F, x: x.select(1, -1),
    "unbind": lambda F, x: x.unbind(1),
    "split": lambda F, x: x.split(2, dim=1),
    "split sizes": lambda F, x: x.split([1, 3, 1], dim=2)[1],
    "chunk": lambda F, x: x.chunk(3, dim=-1),
    "flip": lambda F, x: x.flip(0, 2),
    "roll": lambda F, x: (x.roll(2, 1), x.roll(-3), x.roll((1, 2), (0, 2))),
    "repeat": lambda F, x: x.repeat(2, 1, 3),
    "repeat front": lambda F, x: x.repeat(2, 1, 1, 1),
    "tile": lambda F, x: F.tile(x, (2,)),
    "repeat_interleave": lambda F, x: (x.repeat_interleave(2, dim=1), x.repeat_interleave(3)),
    "diagonal": lambda F, x: (x.diagonal(0, 1, 2), x[0].diagonal(1), x[0].diagonal(-2)),
    "cat": lambda F, x: F.cat([x, x * 2, x[:, :1]], dim=1),
    "cat views": lambda F, x: F.cat([x.transpose(0, 1), x.transpose(0, 1)[:2]], 0),
    "stack": lambda F, x: F.stack([x, x * 2], dim=-1),
    "hstack vstack": lambda F, x: (F.hstack([x, x]), F.vstack([x[0, 0], x[0, 1]])),
    "tril": lambda F, x: (x.tril(), x.triu(1), x.tril(-1)),
    "clamp": lambda F, x: (x.clamp(-0.5, 0.5), x.clamp(min=0.1), x.clamp(max=0.2)),
    "clamp tensor": lambda F, x: x.clamp(x * 0.5, x * 0 + 1),
    "masked_fill": lambda F, x: x.masked_fill(x > 0.5, -1.0),
    "masked_fill broadcast": lambda F, x: x.masked_fill(x[0] > 0.5, float("-inf")).logsumexp(-1),
    "where number": lambda F, x: F.where(x > 0, x, 0.0),
    "lerp": lambda F, x: x.lerp(x * 3, 0.25),
    "comparisons": lambda F, x: (x > 0, x >= 1, x < x * x, x == x, x != 0.5, x <= x),
    "is": lambda F, x: (F.isnan(x), F.isinf(x / 0), F.isfinite(x / 0), F.isclose(x, x + 1e-9)),
    "logic": lambda F, x: ((x > 0) & (x < 1), (x > 0) | (x < -1), (x > 0) ^ (x < 1), ~(x > 0)),
    "detach": lambda F, x: x.detach() * x,
    "one dim": lambda F, x: x[0, 0].sum(0),
    "no dim": lambda F, x: x.sum().sum(0).max(),
}


@pytest.mark.parametrize("name", CASES)
def test_methods(rng, name):
    compare(CASES[name], [S], rng)


PRODUCTS = {
    "mm": (lambda F, a, b: a @ b, (4, 3), (3, 5)),
    "mm T": (lambda F, a, b: a @ b.T, (4, 3), (5, 3)),
    "mm TT": (lambda F, a, b: a.T @ b.T, (3, 4), (5, 3)),
    "vv": (lambda F, a, b: a @ b, (3,), (3,)),
    "mv": (lambda F, a, b: a @ b, (4, 3), (3,)),
    "vm": (lambda F, a, b: a @ b, (3,), (3, 4)),
    "batched by matrix": (lambda F, a, b: a @ b, (2, 4, 3), (3, 5)),
    "bmm": (lambda F, a, b: F.bmm(a, b), (2, 4, 3), (2, 3, 5)),
    "bmm T": (lambda F, a, b: a @ b.transpose(1, 2), (2, 4, 3), (2, 5, 3)),
    "broadcast": (lambda F, a, b: F.matmul(a, b), (2, 1, 4, 3), (6, 3, 5)),
    "batched by vector": (lambda F, a, b: a @ b, (2, 4, 3), (3,)),
    "vector by batched": (lambda F, a, b: a @ b, (3,), (2, 3, 5)),
    "dot": (lambda F, a, b: a.dot(b), (5,), (5,)),
    "outer": (lambda F, a, b: F.outer(a, b), (5,), (3,)),
    "inner": (lambda F, a, b: F.inner(a, b), (2, 3), (4, 3)),
    "addmm": (lambda F, a, b: F.addmm(a[:, :1], a, b, beta=0.5, alpha=2), (4, 3), (3, 5)),
    "empty": (lambda F, a, b: a @ b, (0, 3), (3, 5)),
    "inner 0": (lambda F, a, b: a @ b, (2, 0), (0, 5)),
    "ij,jk->ik": (lambda F, a, b: F.einsum("ij,jk->ik", a, b), (4, 3), (3, 5)),
    "ij,ij->": (lambda F, a, b: F.einsum("ij,ij->", a, b), (4, 3), (4, 3)),
    "i,j->ij": (lambda F, a, b: F.einsum("i,j->ij", a, b), (4,), (3,)),
    "bhqd,bhkd->bhqk": (lambda F, a, b: F.einsum("bhqd,bhkd->bhqk", a, b), (2, 3, 4, 5), (2, 3, 6, 5)),
    "bij,bjk": (lambda F, a, b: F.einsum("bij,bjk", a, b), (2, 3, 4), (2, 4, 5)),
    "...ij,jk->...ik": (lambda F, a, b: F.einsum("...ij,jk->...ik", a, b), (2, 2, 3, 4), (4, 5)),
    "ii,i->i": (lambda F, a, b: F.einsum("ii,i->i", a, b), (4, 4), (4,)),
    "sums": (lambda F, a, b: F.einsum("abc,cd->d", a, b), (2, 3, 4), (4, 5)),
    "three": (lambda F, a, b: F.einsum("ij,jk,ik->i", a, b, a @ b), (2, 3), (3, 4)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(rng, name):
    case, *shapes = PRODUCTS[name]
    compare(case, shapes, rng)


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


KINDS = [np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64]


@pytest.mark.parametrize("right", [np.bool_, np.int64, np.float32, np.float64, "bool", "int", "float", "scalar"], ids=str)
@pytest.mark.parametrize("left", KINDS, ids=lambda t: t.__name__)
@pytest.mark.parametrize("op", ["add", "div", "eq"])
def test_promotion(op, left, right):
    torch = pytest.importorskip("torch")
    a = np.array([0, 1, 1]).astype(left)
    b = {"bool": True, "int": 2, "float": 2.5, "scalar": np.array(2.0, np.float64)}.get(right)
    if b is None:
        b = np.array([1, 1, 1]).astype(right)
    arrays = isinstance(b, np.ndarray)
    got = F[op](Tensor(a), Tensor(b) if arrays else b)
    want = getattr(torch, op)(torch.from_numpy(a), torch.from_numpy(b) if arrays else b).numpy()
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got.numpy(), want)


def test_integers_are_exact():
    x = Tensor(np.array([2**60 + 1, -7, 7]))
    np.testing.assert_array_equal((x + 1).numpy(), [2**60 + 2, -6, 8])
    np.testing.assert_array_equal((x // 2).numpy(), [2**59, -4, 3])
    np.testing.assert_array_equal((x % 4).numpy(), [1, 1, 3])
    np.testing.assert_array_equal((x > 2.5).numpy(), [True, False, True])
    np.testing.assert_array_equal((-x).numpy(), [-(2**60) - 1, 7, -7])
    assert x[1:].prod().item() == -49 and x[1:].sum().dtype == np.int64
    with pytest.raises(ZeroDivisionError):
        x // 0
    with pytest.raises(OverflowError):
        x + 2**60


def test_views_share_memory_and_copies_do_not():
    x = Tensor(np.zeros((4, 6), np.float32))
    for view in (x[1], x[:, 2], x.T, x.reshape(2, 12), x.view(24), x.unsqueeze(0), x.permute(1, 0), x.narrow(1, 0, 3)):
        assert np.shares_memory(view.numpy(), x.numpy())
    for copy in (x[[0, 1]], x[x == 0], x + 0, x.clone(), x.T.contiguous(), x.flip(0), x.repeat(1, 1)):
        assert not np.shares_memory(copy.numpy(), x.numpy())
    x[1].fill_(3)
    x[:, 0] += 1
    x.T[5].mul_(2)
    want = np.zeros((4, 6))
    want[1] = 3
    want[:, 0] += 1
    want[:, 5] *= 2
    np.testing.assert_array_equal(x.numpy(), want)


INPLACE = {
    "add_": lambda x, y: x.add_(y),
    "add_ alpha": lambda x, y: x.add_(y, alpha=-0.5),
    "add_ row": lambda x, y: x.add_(y[0]),
    "sub_": lambda x, y: x.sub_(y),
    "sub_ number": lambda x, y: x.sub_(2),
    "mul_": lambda x, y: x.mul_(y),
    "mul_ number": lambda x, y: x.mul_(0.5),
    "div_": lambda x, y: x.div_(y),
    "pow_": lambda x, y: x.pow_(2),
    "clamp_": lambda x, y: x.clamp_(0.5, 1.5),
    "zero_": lambda x, y: x.zero_(),
    "fill_": lambda x, y: x.fill_(2.5),
    "copy_": lambda x, y: x.copy_(y),
    "copy_ row": lambda x, y: x.copy_(y[0]),
    "exp_": lambda x, y: x.exp_(),
    "neg_": lambda x, y: x.neg_(),
    "masked_fill_": lambda x, y: x.masked_fill_(x > 1, 0.0),
    "addcmul_": lambda x, y: x.addcmul_(y, y, value=0.5),
    "addcdiv_": lambda x, y: x.addcdiv_(y, y + 1, value=-0.5),
    "lerp_": lambda x, y: x.lerp_(y, 0.1),
    "on a view": lambda x, y: x[:, 1:3].mul_(y[:, 1:3]),
    "on a transpose": lambda x, y: x.T.add_(y.T),
}


@pytest.mark.parametrize("name", INPLACE)
def test_in_place(rng, name):
    torch = pytest.importorskip("torch")
    a, b = rng.uniform(0.2, 2, (2, 3, 4)).astype(np.float32)
    x, z = Tensor(a.copy()), torch.from_numpy(a.copy())
    memory = x.numpy()
    result = INPLACE[name](x, Tensor(b))
    INPLACE[name](z, torch.from_numpy(b))
    assert isinstance(result, Tensor) and x.numpy() is memory
    np.testing.assert_allclose(x.numpy(), z.numpy(), rtol=1e-6)


def test_augmented_assignment_trains():
    from hotloop import no_grad

    w = nn.Parameter(np.ones(3, np.float32))
    memory = w.numpy()
    (w * Tensor(np.arange(3, dtype=np.float32))).sum().backward()
    with no_grad():
        w -= 0.5 * w.grad
    assert isinstance(w, nn.Parameter) and w.numpy() is memory
    np.testing.assert_array_equal(w.numpy(), [1, 0.5, 0])


def test_in_place_is_refused_where_a_gradient_flows():
    from hotloop import no_grad

    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    y = x * 2
    for change in (
        lambda t: t.add_(1),
        lambda t: t.mul_(t.detach()),
        lambda t: t.zero_(),
        lambda t: t.__setitem__(0, 1),
    ):
        for t in (x, y):
            with pytest.raises(RuntimeError, match="in-place"):
                change(t)
    with pytest.raises(RuntimeError, match="in-place"):
        Tensor(np.ones(3, np.float32)).add_(x)
    # what backward saved and was changed since is an error there
    z = (y * y).sum()
    with no_grad():
        y += 1
    with pytest.raises(RuntimeError, match="in place"):
        z.backward()


def test_in_place_keeps_its_dtype():
    with pytest.raises(TypeError, match="dtype"):
        Tensor(np.arange(3)).add_(0.5)
    with pytest.raises(ValueError, match="shape"):
        Tensor(np.ones(3, np.float32)).add_(np.ones((2, 3), np.float32))


BAD = {
    "shapes": (ValueError, "broadcast", lambda x: x + Tensor(np.ones(3, np.float32))),
    "matmul": (ValueError, "matmul", lambda x: x @ x),
    "matmul dtype": (TypeError, "float64", lambda x: x @ Tensor(np.ones((5, 2)))),
    "bmm": (ValueError, "bmm", lambda x: x.bmm(x)),
    "dim": (IndexError, "dim", lambda x: x.sum(2)),
    "dims": (ValueError, "once", lambda x: x.sum((0, -2))),
    "index": (IndexError, "4", lambda x: x[4]),
    "index vector": (IndexError, r"-4 \.\. 3, got 4", lambda x: x[Tensor(np.array([0, 4]))]),
    "index pair": (IndexError, "got 9", lambda x: x[[0, 1], [0, 9]]),
    "index float": (IndexError, "integers", lambda x: x[Tensor(np.ones(2, np.float32))]),
    "too many": (IndexError, "at most 2", lambda x: x[[0], [0], [0]]),
    "mask": (IndexError, "mask", lambda x: x[Tensor(np.ones(3, bool))]),
    "gather": (IndexError, "got 7", lambda x: x.gather(0, Tensor(np.array([[7]])))),
    "reshape": (ValueError, "20 elements", lambda x: x.reshape(3, 7)),
    "view": (ValueError, "reshape", lambda x: x.T.view(20)),
    "permute": (ValueError, "permute", lambda x: x.permute(0, 0)),
    "expand": (ValueError, "expand", lambda x: x.expand(3, 5)),
    "cat": (ValueError, "cat", lambda x: F["cat"]([x, x.T])),
    "cat nothing": (ValueError, "at least one", lambda x: F["cat"]([])),
    "split": (ValueError, "split", lambda x: x.split([1, 1])),
    "topk": (ValueError, "topk", lambda x: x.topk(9)),
    "einsum": (ValueError, "einsum", lambda x: F["einsum"]("ij,jk->ik", x, x)),
    "one_hot": (IndexError, "one_hot", lambda x: F["one_hot"](Tensor(np.array([3])), 3)),
    "mean of ints": (TypeError, "mean", lambda x: Tensor(np.arange(3)).mean()),
    "max of nothing": (ValueError, "no elements", lambda x: x[:0].max()),
    "truth": (ValueError, "ambiguous", lambda x: bool(x > 0)),
    "type": (TypeError, "unsupported", lambda x: x + "a"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    error, words, case = BAD[name]
    with pytest.raises(error, match=words):
        case(Tensor(np.ones((4, 5), np.float32)))


def test_other_types_have_their_turn():
    x = Tensor(np.ones(2, np.float32))
    assert (x == None) is False and (x != "a") is True  # noqa: E711
    assert isinstance(np.ones(2, np.float32) * x, Tensor) and isinstance(np.float32(2) * x, Tensor)
    assert isinstance([1.0, 2.0] * x, Tensor)


def test_gradients_reach_leaves_once_each():
    x = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    (x @ x).sum().backward()
    np.testing.assert_array_equal(x.grad, [[4, 4], [4, 4]])
    (x[[0, 0, 1]].sum() + x.gather(1, [[0, 0], [1, 1]]).sum()).backward()
    np.testing.assert_array_equal(x.grad, [[8, 6], [5, 7]])
