"""kernels/*/adafactor and optim.Adafactor."""

import itertools

import numpy as np
import pytest
from helpers import agree, close
from hotloop import nn, optim

HYPER = [(0.1, -0.8, 1.0, 0.0), (2.0, -0.5, 1.3, 0.05)]
MATRICES = [(1, 1, 1), (1, 5, 3), (3, 2, 4), (0, 2, 3), (2, 0, 3), (2, 3, 0), (1, 700, 130), (40, 3, 3), (2, 1, 40_001)]


@pytest.mark.parametrize("before", [0, 7])
@pytest.mark.parametrize("hyper", HYPER)
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("n", [0, 1, 17, 40_001])
def test_vector(backend, dtype, rng, n, maximize, hyper, before):
    param, grad, variance = (rng.standard_normal(n).astype(dtype) for _ in range(3))
    args = (param, variance**2 * bool(before), grad, np.full(1, float(before)), np.array(hyper))
    agree(backend, "adafactor.vector_update", *args, 1e-3, 1e-3, maximize)


@pytest.mark.parametrize("before", [0, 7])
@pytest.mark.parametrize("hyper", HYPER)
@pytest.mark.parametrize("shape", MATRICES, ids=str)
def test_matrix(backend, dtype, rng, shape, hyper, before):
    b, r, c = shape
    param, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    rows, columns = (rng.standard_normal((b, n)).astype(dtype) ** 2 * bool(before) for n in (r, c))
    args = (param, rows, columns, grad, np.full(1, float(before)), np.array(hyper))
    agree(backend, "adafactor.matrix_update", *args, 1e-3, 1e-3, before == 7)


def test_refuses_no_step(backend):
    a, h = np.ones(3), np.array(HYPER[0])
    with pytest.raises(ValueError, match="step"):
        backend("adafactor.vector_update", a.copy(), a.copy(), a, np.zeros(0), h, 0.0, 0.0, False)
    a = np.ones((1, 3, 3))
    with pytest.raises(ValueError, match="step"):
        backend(
            "adafactor.matrix_update", a.copy(), a[0].copy()[:1], a[0].copy()[:1], a, np.zeros(0), h, 0.0, 0.0, False
        )


def test_a_zero_gradient_moves_nothing(backend, dtype):
    param, zero = np.ones((1, 2, 3), dtype), np.zeros((1, 3), dtype)
    args = (param, zero[:, :2].copy(), zero.copy(), np.zeros((1, 2, 3), dtype), np.zeros(1), np.array(HYPER[0]))
    backend("adafactor.matrix_update", *args, 1e-7, 1e-3, False)
    assert (param == 1).all()


# ---- beside torch

SHAPES = [(3, 5), (5,), (1,), (17, 2), (), (4, 3, 3, 2), (1, 6)]
GRID = [
    dict(zip(("lr", "beta2_decay", "eps", "d", "weight_decay", "maximize"), values, strict=True))
    for values in itertools.product(
        [0.02, 0.5], [-0.8, -0.3], [(None, 1e-3), (0.1, 0.3)], [1.0, 1.5], [0.0, 0.05], [False, True]
    )
]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


def pair(torch, rng, **options):
    values = [rng.standard_normal(shape) for shape in SHAPES]
    ours, theirs = [nn.Parameter(v.copy()) for v in values], [torch.nn.Parameter(torch.tensor(v)) for v in values]
    return ours, optim.Adafactor(ours, **options), theirs, torch.optim.Adafactor(theirs, **options)


def steps(torch, rng, ours, optimizer, theirs, reference, count=20):
    for step in range(count):
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            gradient = rng.standard_normal(p.shape)
            absent = i == step % 9
            p.grad, q.grad = (None, None) if absent else (np.asarray(gradient), torch.tensor(gradient))
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("options", GRID, ids=str)
def test_twenty_steps_as_torch(torch, rng, options):
    ours, optimizer, theirs, reference = pair(torch, rng, **options)
    steps(torch, rng, ours, optimizer, theirs, reference)
    for p, q in zip(ours, theirs, strict=True):
        close(np.asarray(p), q.detach().numpy(), 1e-10)
    mine, other = optimizer.state_dict()["state"], reference.state_dict()["state"]
    for number, kept in other.items():
        assert set(mine[number]) == set(kept)
        for name, value in kept.items():
            close(np.asarray(mine[number][name]), value.numpy(), 1e-6 if name == "step" else 1e-10, name)


def test_states_go_both_ways(torch, rng):
    ours, optimizer, theirs, reference = pair(torch, rng, lr=0.3)
    steps(torch, rng, ours, optimizer, theirs, reference, 3)
    again = [nn.Parameter(q.detach().numpy().copy()) for q in theirs]
    follower = optim.Adafactor(again, lr=9.0)
    follower.load_state_dict(reference.state_dict())
    steps(torch, rng, again, follower, theirs, reference, 3)
    for p, q in zip(again, theirs, strict=True):
        close(np.asarray(p), q.detach().numpy(), 1e-10)
    defaults = torch.optim.Adafactor(theirs).defaults
    assert {**optim.Adafactor(again).defaults, "foreach": None} == defaults
    state = follower.state_dict()
    state["state"][0]["row_var"] = np.zeros((3, 5))
    with pytest.raises(ValueError, match=r"row_var: expected shape \(3, 1\), got \(3, 5\)"):
        follower.load_state_dict(state)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"lr": -1}, "Invalid learning rate: -1"),
        ({"beta2_decay": 0.5}, "expected beta2_decay <= 0"),
        ({"eps": (None, None)}, "Invalid epsilon values"),
        ({"eps": 1e-3}, "eps: expected two numbers"),
        ({"d": 0.5}, "expected a threshold d >= 1"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        optim.Adafactor([nn.Parameter(np.zeros(2))], **options)
