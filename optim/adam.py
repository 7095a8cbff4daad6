"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from . import checks
from .optimizer import Optimizer
from .shaping import Shaping


class Adam(Optimizer):
    """Adaptive moments; arguments, defaults and formulas as torch.optim.Adam.

    g[t] = (-grad if maximize else grad), + weight_decay * p[t-1] unless decoupled_weight_decay
    m[t] = beta1 * m[t-1] + (1 - beta1) * g[t];   v[t] = beta2 * v[t-1] + (1 - beta2) * g[t]**2
    u[t] = max(u[t-1], v[t]) with amsgrad, else v[t]
    p[t] = p[t-1] - lr / (1 - beta1**t) * m[t] / (sqrt(u[t]) / sqrt(1 - beta2**t) + eps)
                  - lr * weight_decay * p[t-1] with decoupled_weight_decay

    eps enters after the bias correction of the root. State of a parameter: step (t), exp_avg (m), exp_avg_sq (v),
    max_exp_avg_sq (u, with amsgrad).
    """

    kernel = "adam.adam_update"
    shaped = True
    hyper = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return "exp_avg", "exp_avg_sq", "max_exp_avg_sq" if group["amsgrad"] else None

    @staticmethod
    def flags(group):
        return bool(group["decoupled_weight_decay"]), bool(group["maximize"])

    @staticmethod
    def check(group):
        checks.not_negative(group, "lr", "eps", "weight_decay")
        checks.betas(group)


class AdamW(Adam):
    """Adam with weight decay outside of the moments; arguments, defaults and formulas as torch.optim.AdamW.

    g[t] = -grad if maximize else grad
    m[t] = beta1 * m[t-1] + (1 - beta1) * g[t];   v[t] = beta2 * v[t-1] + (1 - beta2) * g[t]**2
    u[t] = max(u[t-1], v[t]) with amsgrad, else v[t]
    p[t] = (1 - lr * weight_decay) * p[t-1] - lr / (1 - beta1**t) * m[t] / (sqrt(u[t]) / sqrt(1 - beta2**t) + eps)

    eps enters after the bias correction of the root. State of a parameter: as Adam.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        options = {"maximize": maximize, "decoupled_weight_decay": True}
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **options, **more)

    @staticmethod
    def flags(group):
        # whatever a state that Adam saved says
        return True, bool(group["maximize"])
