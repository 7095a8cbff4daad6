"""optim.AdamWScheduleFree beside the paper's algorithm, and its two modes."""

import copy

import numpy as np
import pytest
from helpers import close, same
from hotloop import nn, optim
from optimizers import parameters, steps, values


class Paper:
    """Algorithm 1 of Defazio et al. 2024, with x, y and z apart, of one array."""

    def __init__(self, start, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, warmup_steps=0, r=0.0, power=2.0):
        self.x, self.y, self.z, self.v = start.copy(), start.copy(), start.copy(), np.zeros_like(start)
        self.lr, self.betas, self.eps, self.decay = lr, betas, eps, weight_decay
        self.warmup, self.r, self.power = warmup_steps, r, power
        self.t, self.weights, self.largest = 0, 0.0, 0.0

    def step(self, grad):
        self.t += 1
        beta1, beta2 = self.betas
        rate = self.lr * np.sqrt(1 - beta2**self.t) * (min(1, self.t / self.warmup) if self.warmup else 1)
        self.largest = max(self.largest, rate)
        weight = self.t**self.r * self.largest**self.power
        self.weights += weight
        self.v = beta2 * self.v + (1 - beta2) * grad**2
        self.z = self.z - rate * (grad / (np.sqrt(self.v) + self.eps) + self.decay * self.y)
        c = weight / self.weights if self.weights else 0.0
        self.x = (1 - c) * self.x + c * self.z
        self.y = (1 - beta1) * self.z + beta1 * self.x


OPTIONS = [
    {"lr": 0.02},
    {"lr": 0.0},
    {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.3, "warmup_steps": 7},
    {"lr": 0.1, "warmup_steps": 30, "r": 1.5, "weight_lr_power": 1.0},
]


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_twenty_steps_of_the_paper_s_algorithm(rng, options, maximize):
    p = nn.Parameter(rng.standard_normal((17, 3)))
    power = {"power": options["weight_lr_power"]} if "weight_lr_power" in options else {}
    paper = Paper(p.numpy(), **{k: v for k, v in options.items() if k != "weight_lr_power"}, **power)
    optimizer = optim.AdamWScheduleFree([p], maximize=maximize, **options)
    for _ in range(20):
        gradient = rng.standard_normal(p.shape)
        p.grad = -gradient if maximize else gradient
        optimizer.step()
        paper.step(gradient)
        close(p.numpy(), paper.y, 1e-10)
    optimizer.eval()
    close(p.numpy(), paper.x, 1e-10)
    optimizer.eval()
    close(p.numpy(), paper.x, 1e-10)
    optimizer.train()
    close(p.numpy(), paper.y, 1e-10)


def test_modes(rng):
    params = parameters(rng)
    optimizer = optim.AdamWScheduleFree(params, lr=0.1)
    before = values(params)
    optimizer.eval()
    # without a step x is y
    assert all(same(a, b) for a, b in zip(before, values(params), strict=True))
    with pytest.raises(RuntimeError, match="expected train mode"):
        optimizer.step()
    optimizer.train()
    params[1].grad = np.ones(5, np.float32)
    optimizer.step()
    # the average of one is itself
    before = values(params)
    optimizer.eval()
    assert all(same(a, b) for a, b in zip(before, values(params), strict=True))
    assert optimizer.state_dict()["param_groups"][0]["train_mode"] is False


def test_a_state_keeps_its_mode(rng):
    params = parameters(rng)
    optimizer = optim.AdamWScheduleFree(params, lr=0.1)
    steps(rng, optimizer, params, 3)
    optimizer.eval()
    again = [nn.Parameter(v.copy()) for v in values(params)]
    follower = optim.AdamWScheduleFree(again)
    follower.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for o in (optimizer, follower):
        o.train()
    gradients = [rng.standard_normal(p.shape).astype(np.float32) for p in params]
    for p, q, g in zip(params, again, gradients, strict=True):
        p.grad, q.grad = g, g
    for o in (optimizer, follower):
        o.step()
        o.eval()
    assert all(same(a, b) for a, b in zip(values(params), values(again), strict=True))


def test_refuses(rng):
    with pytest.raises(ValueError, match="0 < beta1 < 1"):
        optim.AdamWScheduleFree(parameters(rng), betas=(0.0, 0.9))
    with pytest.raises(ValueError, match="Invalid warmup_steps value: -1"):
        optim.AdamWScheduleFree(parameters(rng), warmup_steps=-1)
