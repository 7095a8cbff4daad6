"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from .checks import not_negative
from .optimizer import Optimizer
from .shaping import Shaping


class Adadelta(Optimizer):
    """Steps in the parameters' own unit; arguments, defaults and formulas as torch.optim.Adadelta.

    g[t] = (-grad if maximize else grad) + weight_decay * p[t-1]
    v[t] = rho * v[t-1] + (1 - rho) * g[t]**2
    d[t] = sqrt(a[t-1] + eps) / sqrt(v[t] + eps) * g[t]
    a[t] = rho * a[t-1] + (1 - rho) * d[t]**2
    p[t] = p[t-1] - lr * d[t]

    eps is added under both roots. State of a parameter: step (t), square_avg (v), acc_delta (a).
    """

    kernel = "adadelta.adadelta_update"
    shaped = True
    hyper = ("lr", "rho", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return "square_avg", "acc_delta"

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def alike(counts):
        # the kernel counts steps, but does not ask for their number
        return True

    @staticmethod
    def check(group):
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"Invalid rho value: {group['rho']}; expected 0 <= rho <= 1")
        not_negative(group, "lr", "eps", "weight_decay")
