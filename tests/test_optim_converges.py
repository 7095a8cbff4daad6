"""Every rule finds the minimum of a convex problem, and some that of a curved valley."""

import numpy as np
import pytest
from hotloop import nn, optim
from optimizers import RULES

# rates that suit steps of another unit than Adam's
RATES = {"sgd": 0.02, "adadelta": 30.0, "adagrad": 1.0, "adamax": 0.2, "lars": 10.0, "lamb": 0.02, "lion": 0.02}
# without what pulls away from the minimum, or lets the rate fall on its own
PLAIN = {"adamw": {"weight_decay": 0}, "adagrad": {"lr_decay": 0}, "schedule_free": {"r": 10.0}}


def rosenbrock(p):
    x, y = p[0], p[1]
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


@pytest.mark.parametrize("name", RULES)
def test_least_squares(rng, name):
    """Twelve equations for five unknowns, the rate falling to nothing."""
    a, b = rng.standard_normal((12, 5)), rng.standard_normal(12)
    best = np.linalg.lstsq(a, b, rcond=None)[0]
    p = nn.Parameter(rng.standard_normal(5))
    optimizer = RULES[name]([p], lr=RATES.get(name, 0.05), **PLAIN.get(name, {}))
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        p.grad = 2 * a.T @ (a @ p.numpy() - b) / 12
        optimizer.step()
        schedule.step()
    distance = np.linalg.norm(p.numpy() - best) / np.linalg.norm(best)
    print(name, distance)
    assert distance < 1e-3


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "rprop", "rmsprop"])
def test_rosenbrock(name):
    options = {"momentum": 0.0, "centered": False} if name == "rmsprop" else {}
    p = nn.Parameter(np.array([-1.2, 1.0]))
    optimizer = RULES[name]([p], lr=0.03, **options, **PLAIN.get(name, {}))
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, 3000)
    for _ in range(3000):
        x, y = p.numpy()
        p.grad = np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])
        optimizer.step()
        schedule.step()
    print(name, rosenbrock(p.numpy()))
    assert rosenbrock(p.numpy()) < 0.02
