"""Muon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..nn.lazy import is_lazy
from .checks import not_negative
from .optimizer import Optimizer


class Muon(Optimizer):
    """Momentum whose singular values are brought near 1; arguments, defaults and formulas as torch.optim.Muon.

    b[t] = momentum * b[t-1] + (1 - momentum) * grad
    x[0] = (momentum * b[t] + (1 - momentum) * grad if nesterov, else b[t]);   x[0] = x[0] / max(norm(x[0]), eps)
    s = x[k] @ x[k].T;   x[k+1] = A * x[k] + (B * s + C * s @ s) @ x[k]       for k < ns_steps
    p[t] = (1 - lr * weight_decay) * p[t-1] - lr * ratio * x[ns_steps]

    A, B, C are the ns_coefficients. The ratio for a matrix of R rows and C columns is sqrt(max(1, R / C)) with
    adjust_lr_fn None or "original", 0.2 * sqrt(max(R, C)) with "match_rms_adamw": steps as long as AdamW's, at its
    rates and decays. eps is the least norm that is divided by. Of matrices alone: biases, and the weights of first and
    last layers, belong to another optimizer. State of a parameter: momentum_buffer (b).

    The products are made in the dtype of the parameter; torch makes them in bfloat16, and differs by some percent of a
    step. Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; for the second ratio
    Liu et al. 2025, "Muon is Scalable for LLM Training".
    """

    kernel = "muon.muon_update"
    hyper = ("lr", "weight_decay", "momentum", "ns_coefficients", "eps")
    # torch keeps no count; here it tells a state that has begun
    counters: ClassVar[dict[str, float]] = {"_step": 0.0}

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ):
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    @staticmethod
    def states(group):
        return ("momentum_buffer",)

    @staticmethod
    def flags(group):
        return group["adjust_lr_fn"], group["ns_steps"], bool(group["nesterov"])

    @staticmethod
    def check(group):
        not_negative(group, "lr", "weight_decay", "momentum", "eps")
        coefficients = group["ns_coefficients"]
        if not isinstance(coefficients, tuple) or len(coefficients) != 3:
            raise ValueError(f"ns_coefficients: expected a tuple of 3 numbers, got {coefficients!r}")
        if not isinstance(group["ns_steps"], int) or not 0 <= group["ns_steps"] < 100:
            raise ValueError(f"Invalid ns_steps value: {group['ns_steps']!r}; expected a whole number, 0 to 99")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            got = group["adjust_lr_fn"]
            raise ValueError(f"adjust_lr_fn: expected None, 'original' or 'match_rms_adamw', got {got!r}")
        for p in group["params"]:
            _check_matrix(p)

    def _plan(self, group, block, states, flags):
        adjust, ns_steps, nesterov = flags
        hyper = group.hyper_on(block.device)
        block.runs = []
        for i in block.look():
            _check_matrix(block.parameters[i])
            data, grad = block.places[i].data, block.places[i].grad
            buffer, step = block.state_of(i, "momentum_buffer"), block.counters["_step"][i : i + 1]
            block.runs.append((data, buffer, grad, step, hyper, _ratio(adjust, *data.shape), ns_steps, nesterov))


def _check_matrix(p: Any) -> None:
    if not is_lazy(p) and len(p.shape) != 2:
        raise ValueError(f"Muon only supports 2D parameters; got one of shape {tuple(p.shape)}")


def _ratio(adjust: str | None, rows: int, columns: int) -> float:
    """How much longer the step of a matrix is than lr."""
    if adjust == "match_rms_adamw":
        return 0.2 * max(rows, columns) ** 0.5
    return max(1.0, rows / columns) ** 0.5 if columns else 1.0
