"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Unpack

from . import checks
from .optimizer import Optimizer
from .shaping import Shaping


class NAdam(Optimizer):
    """Adam with Nesterov momentum; arguments, defaults and formulas as torch.optim.NAdam.

    g[t] = (-grad if maximize else grad), + weight_decay * p[t-1] unless decoupled_weight_decay
    mu[t] = beta1 * (1 - 0.96**(t * momentum_decay) / 2);   M[t] = mu[1] * ... * mu[t]
    m[t] = beta1 * m[t-1] + (1 - beta1) * g[t];   v[t] = beta2 * v[t-1] + (1 - beta2) * g[t]**2
    d[t] = (1 - mu[t]) / (1 - M[t]) * g[t] + mu[t+1] / (1 - M[t+1]) * m[t]
    p[t] = p[t-1] - lr * d[t] / (sqrt(v[t] / (1 - beta2**t)) + eps)
                  - lr * weight_decay * p[t-1] with decoupled_weight_decay

    eps enters after the bias correction of the root. State of a parameter: step (t), mu_product (M), exp_avg (m),
    exp_avg_sq (v).
    """

    kernel = "nadam.nadam_update"
    shaped = True
    hyper = ("lr", "betas", "eps", "weight_decay", "momentum_decay")
    counters: ClassVar[dict[str, float]] = {"step": 0.0, "mu_product": 1.0}

    def __init__(
        self,
        params: Iterable,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
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
        checks.not_negative(group, "lr", "eps", "weight_decay", "momentum_decay")
        checks.betas(group)
