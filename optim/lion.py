"""Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from . import checks
from .optimizer import Optimizer
from .shaping import Shaping


class Lion(Optimizer):
    """Steps by the sign of an average; torch.optim has none, arguments are in its manner.

    g[t] = -grad if maximize else grad
    p[t] = p[t-1] - lr * (sign(beta1 * m[t-1] + (1 - beta1) * g[t]) + weight_decay * p[t-1])
    m[t] = beta2 * m[t-1] + (1 - beta2) * g[t]

    There is no eps, and sign(0) = 0. A step moves every parameter by lr: rates that suit are 3 to 10 times smaller
    than Adam's, decays as much larger. State of a parameter: step (t), exp_avg (m).

    Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms".
    """

    kernel = "lion.lion_update"
    shaped = True
    hyper = ("lr", "betas", "weight_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return ("exp_avg",)

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def alike(counts):
        # the kernel counts steps, but does not ask for their number
        return True

    @staticmethod
    def check(group):
        checks.not_negative(group, "lr", "weight_decay")
        checks.betas(group)
