"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from .checks import not_negative
from .optimizer import Optimizer
from .shaping import Shaping


class RMSprop(Optimizer):
    """Rates by a running average of squares; arguments, defaults and formulas as torch.optim.RMSprop.

    g[t] = (-grad if maximize else grad) + weight_decay * p[t-1]
    v[t] = alpha * v[t-1] + (1 - alpha) * g[t]**2
    a[t] = alpha * a[t-1] + (1 - alpha) * g[t];   u[t] = v[t] - a[t]**2    when centered, else u[t] = v[t]
    d[t] = g[t] / (sqrt(u[t]) + eps)
    b[t] = momentum * b[t-1] + d[t] when momentum > 0, else d[t]
    p[t] = p[t-1] - lr * b[t]

    eps is added to the root. State of a parameter: step (t), square_avg (v), momentum_buffer (b, with momentum),
    grad_avg (a, when centered).
    """

    kernel = "rmsprop.rmsprop_update"
    shaped = True
    hyper = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        centered, momentum = group["centered"], group["momentum"] > 0
        return "square_avg", "grad_avg" if centered else None, "momentum_buffer" if momentum else None

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def alike(counts):
        # the kernel counts steps, but does not ask for their number
        return True

    @staticmethod
    def check(group):
        not_negative(group, "lr", "eps", "momentum", "weight_decay", "alpha")
