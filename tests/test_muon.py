"""kernels/*/muon and optim.Muon: beside torch, which is kept from rounding to bfloat16."""

import numpy as np
import pytest
from helpers import agree, close
from hotloop import nn, optim
from optimizers import set_gradients

HYPER = np.array([0.1, 0.2, 0.9, 3.4445, -4.7750, 2.0315, 1e-7])
SHAPES = [(0, 3), (3, 0), (1, 1), (5, 1), (1, 7), (17, 40), (70, 33), (150, 301)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("nesterov, steps", [(True, 5), (False, 2), (False, 0)])
def test_update(backend, dtype, rng, shape, nesterov, steps):
    param, buffer, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    # an iteration triples what is small, rounding included
    tol = {4: 3e-5, 8: 3e-13}[dtype.itemsize]
    agree(backend, "muon.muon_update", param, buffer, grad, np.zeros(1), HYPER, 1.5, steps, nesterov, tol=tol)


def test_a_zero_gradient_moves_nothing(backend, dtype):
    param, buffer, grad = np.ones((3, 4), dtype), np.zeros((3, 4), dtype), np.zeros((3, 4), dtype)
    backend("muon.muon_update", param, buffer, grad, np.zeros(1), HYPER, 1.0, 5, True)
    close(param, np.full((3, 4), 1 - 0.1 * 0.2))


def test_refuses_no_step(backend):
    a = [np.ones((3, 4)) for _ in range(3)]
    with pytest.raises(ValueError, match="step"):
        backend("muon.muon_update", *a, np.zeros(0), HYPER, 1.0, 5, True)


def test_singular_values_come_near_one(rng):
    p = nn.Parameter(np.zeros((20, 50)))
    optimizer = optim.Muon([p], lr=1.0, weight_decay=0, momentum=0, nesterov=False)
    p.grad = rng.standard_normal((20, 50))
    optimizer.step()
    values = np.linalg.svd(p.numpy(), compute_uv=False)
    assert 0.6 < values.min() and values.max() < 1.3, values


# ---- beside torch

OPTIONS = [
    {},
    {"lr": 0.02, "momentum": 0.8, "nesterov": False, "weight_decay": 0.0},
    {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    {"lr": 0.1, "adjust_lr_fn": "original", "ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 7},
    {"lr": 0.1, "eps": 100.0},
]


def pair(torch, rng, dtype=np.float64, **options):
    values = [rng.standard_normal(shape).astype(dtype) for shape in [(6, 4), (3, 8), (5, 5), (1, 3)]]
    ours, theirs = [nn.Parameter(v.copy()) for v in values], [torch.nn.Parameter(torch.tensor(v)) for v in values]
    return ours, optim.Muon(ours, **options), theirs, torch.optim.Muon(theirs, **options)


def twenty_steps(torch, rng, ours, optimizer, theirs, reference):
    for step in range(20):
        set_gradients(rng, ours)
        for p, q in zip(ours, theirs, strict=True):
            q.grad = torch.tensor(np.array(p.grad))
        if step == 7:
            ours[1].grad = theirs[1].grad = None
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_twenty_steps_as_torch_without_bfloat16(rng, options, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    ours, optimizer, theirs, reference = pair(torch, rng, **options)
    assert {k: v for k, v in reference.defaults.items() if k in optimizer.defaults} == optimizer.defaults
    twenty_steps(torch, rng, ours, optimizer, theirs, reference)
    for p, q in zip(ours, theirs, strict=True):
        close(np.asarray(p), q.detach().numpy(), 1e-10)
    # and ours goes on from torch's state
    again = [nn.Parameter(q.detach().numpy().copy()) for q in theirs]
    follower = optim.Muon(again, lr=9.0)
    follower.load_state_dict(reference.state_dict())
    twenty_steps(torch, rng, again, follower, theirs, reference)
    for p, q in zip(again, theirs, strict=True):
        close(np.asarray(p), q.detach().numpy(), 1e-10)


def test_near_torch_with_bfloat16(rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ours, optimizer, theirs, reference = pair(torch, rng, np.float32, lr=0.02)
    twenty_steps(torch, rng, ours, optimizer, theirs, reference)
    for p, q in zip(ours, theirs, strict=True):
        close(np.asarray(p), q.detach().numpy(), 0.02)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"lr": -1}, "Invalid learning rate: -1"),
        ({"momentum": -1}, "Invalid momentum value: -1"),
        ({"ns_coefficients": (1.0, 2.0)}, "expected a tuple of 3 numbers"),
        ({"ns_steps": 100}, "Invalid ns_steps value: 100"),
        ({"adjust_lr_fn": "adamw"}, "got 'adamw'"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        optim.Muon([nn.Parameter(np.zeros((2, 2)))], **options)


def test_refuses_vectors():
    with pytest.raises(ValueError, match=r"2D parameters; got one of shape \(3,\)"):
        optim.Muon(nn.Linear(2, 3).parameters())
