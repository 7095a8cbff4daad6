"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Unpack

from .checks import not_negative
from .optimizer import Optimizer
from .shaping import Shaping


class ASGD(Optimizer):
    """Averaged stochastic gradient descent; arguments, defaults and formulas as torch.optim.ASGD.

    g[t] = (-grad if maximize else grad) + weight_decay * p[t-1]
    p[t] = (1 - lambd * eta[t]) * p[t-1] - eta[t] * g[t]
    ax[t] = ax[t-1] + mu[t] * (p[t] - ax[t-1])
    eta[t+1] = lr / (1 + lambd * lr * t)**alpha;   eta[1] = lr
    mu[t+1] = 1 / max(1, t - t0);                  mu[1] = 1

    The average ax is for the user to take: it is in the state. There is no eps. State of a parameter: step (t), eta
    and mu of the next step, ax.
    """

    kernel = "asgd.asgd_update"
    shaped = True
    hyper = ("lr", "lambd", "alpha", "t0", "weight_decay")
    # eta begins at the lr of the first step
    counters: ClassVar[dict[str, float]] = {"step": 0.0, "eta": 0.0, "mu": 1.0}

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return ("ax",)

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def check(group):
        not_negative(group, "lr", "weight_decay")
