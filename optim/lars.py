"""LARS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from .checks import not_negative
from .optimizer import Optimizer
from .shaping import Shaping


class LARS(Optimizer):
    """SGD with steps as long as a share of each parameter, for large batches; torch.optim has none.

    g[t] = -grad if maximize else grad
    trust[t] = trust_coefficient * norm(p[t-1]) / (norm(g[t]) + weight_decay * norm(p[t-1]) + eps)
    d[t] = trust[t] * (g[t] + weight_decay * p[t-1])
    b[t] = momentum * b[t-1] + d[t]
    p[t] = p[t-1] - lr * (d[t] + momentum * b[t] if nesterov else b[t])

    Norms are those of one parameter; trust is 1 where either is 0. A group with trust_coefficient=0 takes the steps of
    SGD: biases and the weights of norms do well in such a one. eps is added to the denominator of trust. State of a
    parameter: step (t), momentum_buffer (b, with momentum).

    Source: You, Gitman & Ginsburg 2017, "Large Batch Training of Convolutional Networks"; lr stands outside of the
    momentum, as in torch.optim.SGD.
    """

    kernel = "lars.lars_update"
    shaped = True
    hyper = ("lr", "momentum", "weight_decay", "trust_coefficient", "eps")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0,
        weight_decay: float = 0,
        trust_coefficient: float = 1e-3,
        eps: float = 1e-8,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "eps": eps,
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
        # every parameter has a norm of its own, and so a kernel call
        return object()

    @staticmethod
    def check(group):
        not_negative(group, "lr", "momentum", "weight_decay", "trust_coefficient", "eps")
        if group["nesterov"] and group["momentum"] <= 0:
            raise ValueError(f"Nesterov momentum requires a momentum, got momentum {group['momentum']}")
