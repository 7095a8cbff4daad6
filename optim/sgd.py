"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Unpack

from .checks import not_negative
from .optimizer import Optimizer
from .shaping import Shaping


class SGD(Optimizer):
    """Stochastic gradient descent with momentum; arguments, defaults and formulas as torch.optim.SGD.

    g[t] = (-grad if maximize else grad) + weight_decay * p[t-1]
    b[t] = g[t] at the first step, else momentum * b[t-1] + (1 - dampening) * g[t]      when momentum != 0
    d[t] = g[t] + momentum * b[t] if nesterov, else b[t], else g[t] when momentum == 0
    p[t] = p[t-1] - lr * d[t]

    State of a parameter, when momentum != 0: momentum_buffer. Tables with SparseGradients are updated row by row, with
    momentum all rows; they cannot have a weight_decay.
    """

    kernel = "sgd.sgd_update"
    shaped = True
    rows_kernel = "sgd.sgd_rows_update"
    hyper = ("lr", "momentum", "dampening", "weight_decay")
    # steps with momentum: tells the kernel whether b has begun; torch keeps no count
    counters: ClassVar[dict[str, float]] = {"_step": 0.0}

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return ("momentum_buffer" if group["momentum"] != 0 else None,)

    @staticmethod
    def flags(group):
        return bool(group["nesterov"]), bool(group["maximize"])

    @staticmethod
    def alike(counts):
        # the kernel asks whether there was a step, not how many
        return counts[0] > 0

    @staticmethod
    def check(group):
        not_negative(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            got = f"momentum {group['momentum']} and dampening {group['dampening']}"
            raise ValueError(f"Nesterov momentum requires a momentum and zero dampening, got {got}")
