"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from . import checks
from .optimizer import Optimizer
from .shaping import Shaping


class Adamax(Optimizer):
    """Adam with the infinity norm; arguments, defaults and formulas as torch.optim.Adamax.

    g[t] = (-grad if maximize else grad) + weight_decay * p[t-1]
    m[t] = beta1 * m[t-1] + (1 - beta1) * g[t]
    u[t] = max(beta2 * u[t-1], abs(g[t]) + eps)
    p[t] = p[t-1] - lr / (1 - beta1**t) * m[t] / u[t]

    eps is added to the absolute value, inside the maximum. State of a parameter: step (t), exp_avg (m), exp_inf (u).
    """

    kernel = "adamax.adamax_update"
    shaped = True
    hyper = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return "exp_avg", "exp_inf"

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def check(group):
        checks.not_negative(group, "lr", "eps", "weight_decay")
        checks.betas(group)
