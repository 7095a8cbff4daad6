"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from .checks import not_negative, pair
from .optimizer import Optimizer
from .shaping import Shaping


class Rprop(Optimizer):
    """Steps by the gradient's sign, for full batches; arguments, defaults and formulas as torch.optim.Rprop.

    g[t] = -grad if maximize else grad;   x[t] = g[t] * prev[t-1];   prev[0] = 0, s[0] = lr
    s[t] = s[t-1] * (etas[1] where x[t] > 0, etas[0] where x[t] < 0, else 1), kept within step_sizes
    prev[t] = 0 where x[t] < 0, else g[t]
    p[t] = p[t-1] - sign(prev[t]) * s[t]

    There is no eps. State of a parameter: step (t), prev, step_size (s).
    """

    kernel = "rprop.rprop_update"
    shaped = True
    hyper = ("lr", "etas", "step_sizes")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return "prev", "step_size"

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def alike(counts):
        # the kernel asks whether there was a step, not how many
        return counts[0] > 0

    @staticmethod
    def check(group):
        not_negative(group, "lr")
        pair(group, "etas")
        pair(group, "step_sizes")
        low, high = group["etas"]
        if not 0 < low < 1 < high:
            raise ValueError(f"Invalid eta values: {low}, {high}; expected 0 < etas[0] < 1 < etas[1]")
