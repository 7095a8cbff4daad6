"""A weight divided by its largest singular value, which power iteration follows: as torch.nn.utils.spectral_norm."""

from __future__ import annotations

import math
from typing import Any

from .. import init
from ..conv_transpose import ConvTransposeLayer
from ..tape import no_grad
from ..tensor import Tensor
from .computed import Computed, attach, detach, parameter_for

__all__ = ["remove_spectral_norm", "spectral_norm"]


def check_iterations(n_power_iterations: int) -> int:
    if n_power_iterations <= 0:
        raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
    return n_power_iterations


def rows_dim(module) -> int:
    """The dimension of a layer's weight that stands for its results."""
    return 1 if isinstance(module, ConvTransposeLayer) else 0


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with dimension `dim` as rows."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.reshape(weight.shape[0], math.prod(weight.shape[1:]))


def unit(x: Tensor, eps: float) -> Tensor:
    """x / max(norm of x, eps)"""
    return x / x.norm().clamp_min(eps)


def random_unit(size: int, like: Tensor, eps: float) -> Tensor:
    with no_grad():
        return unit(init.normal_(like.new_empty(size)), eps)


def divided(weight: Tensor, matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """weight / (u matrix v); u and v count as constants."""
    return weight / (u @ matrix.mv(v))


class SpectralNorm(Computed):
    """The hook."""

    word = "spectral_norm"

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__(name)
        self.n_power_iterations, self.dim, self.eps = check_iterations(n_power_iterations), dim, eps

    def compute(self, module: Any, training: bool) -> Tensor:
        weight, u, v = (getattr(module, self.name + suffix) for suffix in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if not training:
            return divided(weight, matrix, u.clone(), v.clone())
        with no_grad():
            rows = matrix.detach()
            new_u, new_v = u, v
            for _ in range(self.n_power_iterations):
                new_v = unit(rows.t().mv(new_u), self.eps)
                new_u = unit(rows.mv(new_v), self.eps)
            u.copy_(new_u)
            v.copy_(new_v)
        # the new ones, not the buffers: these may change again before backward
        return divided(weight, matrix, new_u, new_v)


def spectral_norm(module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim=None):
    """Divide the parameter `name`, from now on `name`_orig, by its largest singular value before every forward.

    The weight counts as a matrix with dimension `dim` as rows (None: the outputs). The buffers `name`_u and `name`_v
    come nearer to its singular vectors with every forward in training mode; gradients take them as constants. Returns
    the module.

    >>> from hotloop import nn
    >>> layer = nn.utils.spectral_norm(nn.Linear(20, 40))
    >>> layer.weight_u.shape, layer.weight_v.shape
    ((40,), (20,))
    """
    hook = SpectralNorm(name, n_power_iterations, rows_dim(module) if dim is None else dim, eps)
    weight = parameter_for(module, SpectralNorm, name)
    matrix = as_matrix(weight.detach(), hook.dim)
    vectors = {suffix: random_unit(size, matrix, eps) for suffix, size in zip(("_u", "_v"), matrix.shape, strict=True)}
    attach(module, hook, {"_orig": weight}, vectors)
    return module


def remove_spectral_norm(module, name: str = "weight"):
    """The parameter `name` again, of the value that it has now; returns the module."""
    detach(module, SpectralNorm, name, ("_orig", "_u", "_v"))
    return module
