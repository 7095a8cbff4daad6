"""Schedule-free AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Unpack

from ..nn.doors import call
from . import checks
from .optimizer import Optimizer
from .shaping import Shaping


class AdamWScheduleFree(Optimizer):
    """AdamW that averages instead of letting its rate fall; the names of the authors' package, torch.optim has none.

    g[t] = (-grad if maximize else grad) at y[t-1]
    rate[t] = lr * min(1, t / warmup_steps) * sqrt(1 - beta2**t)
    v[t] = beta2 * v[t-1] + (1 - beta2) * g[t]**2
    d[t] = g[t] / (sqrt(v[t]) + eps) + weight_decay * y[t-1]
    z[t] = z[t-1] - rate[t] * d[t]
    c[t] = w[t] / (w[1] + .. + w[t]),   w[t] = t**r * max(rate[1], .., rate[t])**weight_lr_power
    x[t] = (1 - c[t]) * x[t-1] + c[t] * z[t];   y[t] = (1 - beta1) * z[t] + beta1 * x[t];   x = y = z at first

    The parameters hold y while training, where gradients are taken, and x, the average, which is the result, after
    `eval()`. A model is evaluated and saved in eval mode; `train()` goes back, and steps are made there alone. It
    begins in train mode, as modules do. Running statistics of batch norms are those of y: refresh them at x, as
    `swa_utils.update_bn` does. eps is added to the root, whose correction is in the rate. State of a parameter: step
    (t), weight_sum, lr_max, z, exp_avg_sq (v).

    Source: Defazio et al. 2024, "The Road Less Scheduled", algorithm 1.
    """

    kernel = "schedule_free_adamw.schedule_free_adamw_update"
    shaped = True
    hyper = ("lr", "betas", "eps", "weight_decay", "warmup_steps", "r", "weight_lr_power")
    counters: ClassVar[dict[str, float]] = {"step": 0.0, "weight_sum": 0.0, "lr_max": 0.0}

    def __init__(
        self,
        params: Iterable,
        lr: float = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        *,
        maximize: bool = False,
        **more: Unpack[Shaping],
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
            "maximize": maximize,
            "train_mode": True,
        }
        super().__init__(params, defaults, **more)

    @staticmethod
    def states(group):
        return "z", "exp_avg_sq"

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def check(group):
        checks.not_negative(group, "lr", "eps", "weight_decay", "warmup_steps", "r", "weight_lr_power")
        checks.betas(group)
        if group["betas"][0] == 0:
            raise ValueError("Invalid beta parameter at index 0: 0; expected 0 < beta1 < 1: without it x is lost")

    def step(self, closure=None, *, zero_grad=False):
        """Update every parameter that has a gradient; in train mode alone."""
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError("expected train mode, got a step in eval mode: call the optimizer's train() before it")
        return super().step(closure, zero_grad=zero_grad)

    def train(self) -> None:
        """Let the parameters hold y, where gradients are taken."""
        for group in self.param_groups:
            if not group["train_mode"]:
                self._towards_z(group, 1 - group["betas"][0])
                group["train_mode"] = True

    def eval(self) -> None:
        """Let the parameters hold x, the average: the result so far."""
        for group in self.param_groups:
            if group["train_mode"]:
                self._towards_z(group, 1 - 1 / group["betas"][0])
                group["train_mode"] = False

    def _towards_z(self, group: Any, weight: float) -> None:
        """p = p + weight * (z - p), where there was a step."""
        self._refresh(group)
        for block in group.blocks:
            for i, (p, counts) in enumerate(zip(block.parameters, block.counts(), strict=True)):
                if counts[0] > 0:
                    call("select.lerp_forward", p._data, p._data, block.state_of(i, "z"), weight)
                    p._version[0] += 1
