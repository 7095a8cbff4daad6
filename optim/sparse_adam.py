"""SparseAdam."""

from __future__ import annotations

from collections.abc import Iterable

from . import checks
from .optimizer import Optimizer


class SparseAdam(Optimizer):
    """Adam for tables of which few rows have gradients; arguments, defaults and formulas as torch.optim.SparseAdam.

    g[t] = -grad if maximize else grad;   for the rows of the gradient alone:
    m[t] = beta1 * m[t-1] + (1 - beta1) * g[t];   v[t] = beta2 * v[t-1] + (1 - beta2) * g[t]**2
    p[t] = p[t-1] - lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m[t] / (sqrt(v[t]) + eps)

    t counts the steps of the table, not those of a row. eps enters before the bias correction of the root. Gradients
    are SparseGradients, as of Embedding(sparse=True). State of a parameter: step (t), exp_avg (m), exp_avg_sq (v).

    >>> import numpy as np
    >>> from hotloop import nn, optim
    >>> layer = nn.Embedding(1000, 4, sparse=True)
    >>> optimizer = optim.SparseAdam(layer.parameters())
    >>> layer(np.array([3, 7])).sum().backward()
    >>> optimizer.step()
    """

    rows_kernel = "sparse_adam.sparse_adam_update"
    hyper = ("lr", "betas", "eps")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    @staticmethod
    def states(group):
        return "exp_avg", "exp_avg_sq"

    @staticmethod
    def flags(group):
        return (bool(group["maximize"]),)

    @staticmethod
    def check(group):
        checks.not_negative(group, "lr", "eps")
        for name in ("lr", "eps"):
            if group[name] == 0:
                raise ValueError(f"Invalid {checks.TEXT[name]}: 0; expected {name} > 0")
        checks.betas(group)

    def _by_rows(self, parameter):
        return True

    def _refuse(self, sparse):
        if not sparse:
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
