"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from . import checks
from .optimizer import Optimizer
from .shaping import Shaping


class RAdam(Optimizer):
    """Adam that adapts once it has seen enough; arguments, defaults and formulas as torch.optim.RAdam.

    g[t] = (-grad if maximize else grad), + weight_decay * p[t-1] unless decoupled_weight_decay
    m[t] = beta1 * m[t-1] + (1 - beta1) * g[t];   v[t] = beta2 * v[t-1] + (1 - beta2) * g[t]**2
    R = 2 / (1 - beta2) - 1;   r[t] = R - 2 * t * beta2**t / (1 - beta2**t)
    c[t] = sqrt((r[t] - 4) * (r[t] - 2) * R / ((R - 4) * (R - 2) * r[t]))
    d[t] = c[t] * sqrt(1 - beta2**t) / (sqrt(v[t]) + eps) when r[t] > 5, else 1
    p[t] = p[t-1] - lr / (1 - beta1**t) * m[t] * d[t]
                  - lr * weight_decay * p[t-1] with decoupled_weight_decay

    eps is added to the root, before its bias correction. State of a parameter: step (t), exp_avg (m), exp_avg_sq (v).
    """

    kernel = "radam.radam_update"
    shaped = True
    hyper = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return "exp_avg", "exp_avg_sq"

    @staticmethod
    def flags(group):
        return bool(group["decoupled_weight_decay"]), bool(group["maximize"])

    @staticmethod
    def check(group):
        checks.not_negative(group, "lr", "eps", "weight_decay")
        checks.betas(group)
