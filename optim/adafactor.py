"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..nn.doors import call
from .checks import not_negative, pair
from .optimizer import Optimizer


class Adafactor(Optimizer):
    """Second moments kept as rows and columns; arguments, defaults and formulas as torch.optim.Adafactor.

    g[t] = -grad if maximize else grad;   beta[t] = 1 - t**beta2_decay
    alpha[t] = max(eps2, rms(p[t-1])) * min(lr, 1 / sqrt(t))
    of a matrix:  r[t] = beta[t] * r[t-1] + (1 - beta[t]) * mean of g[t]**2 over its columns
                  c[t] = beta[t] * c[t-1] + (1 - beta[t]) * mean of g[t]**2 over its rows
                  v[t][i, j] = r[t][i] * c[t][j] / max(mean(r[t]), eps1)
    of a vector:  v[t] = beta[t] * v[t-1] + (1 - beta[t]) * g[t]**2
    u[t] = g[t] / max(sqrt(v[t]), eps1)
    p[t] = (1 - lr * weight_decay) * p[t-1] - alpha[t] / max(1, rms(u[t]) / d) * u[t]

    rms is the root of the mean of squares. eps is (eps1, eps2): eps1, None for the dtype's precision, bounds what is
    divided by, eps2 the scale of a parameter near zero. A parameter of more than two dimensions is as many matrices, of
    its last two. State of a parameter: step (t); row_var (r, the last dimension 1) and col_var (c, the last but one 1),
    or variance (v).

    Source: Shazeer & Stern 2018, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost".
    """

    hyper = ("lr", "beta2_decay", "d", "weight_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @staticmethod
    def states(group):
        return "row_var", "col_var", "variance"

    @staticmethod
    def state_shape(name, shape):
        if len(shape) < 2:
            return shape if name == "variance" else None
        return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}.get(name)

    @staticmethod
    def flags(group):
        return (*group["eps"], bool(group["maximize"]))

    @staticmethod
    def check(group):
        not_negative(group, "lr", "weight_decay")
        pair(group, "eps")
        if any(eps is not None and not eps >= 0 for eps in group["eps"]) or group["eps"][1] is None:
            raise ValueError(f"Invalid epsilon values: {group['eps']}; expected numbers >= 0, the first may be None")
        if not group["beta2_decay"] <= 0:
            raise ValueError(f"Invalid beta2_decay value: {group['beta2_decay']}; expected beta2_decay <= 0")
        if not group["d"] >= 1:
            raise ValueError(f"Invalid d value: {group['d']}; expected a threshold d >= 1")

    def _plan(self, group, block, states, flags):
        eps1, eps2, maximize = flags
        if eps1 is None:
            eps1 = float(np.finfo(block.dtype).eps)
        block.runs = []
        for i in block.look():
            data, grad = block.places[i].data, block.places[i].grad
            shape = data.shape
            if len(shape) < 2:
                kernel, form = "adafactor.vector_update", (-1,)
                kept = [block.state_of(i, "variance").reshape(-1)]
            else:
                batch = math.prod(shape[:-2])
                kernel, form = "adafactor.matrix_update", (batch, *shape[-2:])
                kept = [
                    block.state_of(i, "row_var").reshape(batch, shape[-2]),
                    block.state_of(i, "col_var").reshape(batch, shape[-1]),
                ]
            numbers = (block.counters["step"][i : i + 1], group.hyper_on(block.device), eps1, eps2, maximize)
            block.runs.append((kernel, data.reshape(form), *kept, grad.reshape(form), *numbers))

    def _update(self, group, block):
        for run in block.runs:
            call(*run)
