"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from .checks import not_negative
from .optimizer import Optimizer
from .shaping import Shaping


class Adagrad(Optimizer):
    """Rates by accumulated squares; arguments, defaults and formulas as torch.optim.Adagrad.

    g[t] = (-grad if maximize else grad) + weight_decay * p[t-1]
    s[t] = s[t-1] + g[t]**2;   s[0] = initial_accumulator_value
    p[t] = p[t-1] - lr / (1 + (t - 1) * lr_decay) * g[t] / (sqrt(s[t]) + eps)

    eps is added to the root. State of a parameter: step (t), sum (s).
    """

    kernel = "adagrad.adagrad_update"
    shaped = True
    hyper = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return ("sum",)

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def check(group):
        not_negative(group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
