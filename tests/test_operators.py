"""Tensor operators: values, gradients and dtypes as PyTorch's."""

import numpy as np
import pytest
from hotloop.nn import Tensor, ops
from parity import F, compare

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


KINDS = [np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64]


@pytest.mark.parametrize("right", [*KINDS[::2], np.int64, "bool", "int", "float", "scalar"], ids=str)
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
