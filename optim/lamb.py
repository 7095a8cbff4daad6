"""LAMB."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from . import checks
from .optimizer import Optimizer
from .shaping import Shaping


class LAMB(Optimizer):
    """Adam with steps as long as a share of each parameter, for large batches; torch.optim has none.

    g[t] = -grad if maximize else grad
    m[t] = beta1 * m[t-1] + (1 - beta1) * g[t];   v[t] = beta2 * v[t-1] + (1 - beta2) * g[t]**2
    r[t] = m[t] / (1 - beta1**t) / (sqrt(v[t] / (1 - beta2**t)) + eps) + weight_decay * p[t-1]
    p[t] = p[t-1] - lr * norm(p[t-1]) / norm(r[t]) * r[t];   the ratio is 1 where either norm is 0

    Norms are those of one parameter. eps enters after the bias correction of the root. State of a parameter: step (t),
    exp_avg (m), exp_avg_sq (v).

    Source: You et al. 2020, "Large Batch Optimization for Deep Learning", with phi(x) = x.
    """

    kernel = "lamb.lamb_update"
    shaped = True
    hyper = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return "exp_avg", "exp_avg_sq"

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def alike(counts):
        # every parameter has a norm of its own, and so a kernel call
        return object()

    @staticmethod
    def check(group):
        checks.not_negative(group, "lr", "eps", "weight_decay")
        checks.betas(group)
