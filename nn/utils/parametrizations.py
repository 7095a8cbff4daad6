"""weight_norm and spectral_norm as parametrizations, by the names of torch.nn.utils.parametrizations."""

from __future__ import annotations

from typing import Any

from ..module import Module
from ..tape import no_grad
from ..tensor import Tensor
from .parametrize import register_parametrization
from .spectral_norm import as_matrix, check_iterations, divided, random_unit, rows_dim, unit
from .weight_norm import norm_except_dim, normed

__all__ = ["spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, weight_g, weight_v) -> Tensor:
        return normed(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module, name: str = "weight", dim: int | None = 0):
    """Parametrize `name` by its length, `parametrizations.<name>.original0`, and its direction, `original1`:
    w = v g / norm of v

    Each slice along `dim` has a length of its own; with None all of the weight has one. Returns the module.

    >>> from hotloop import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
    >>> layer.parametrizations.weight.original0.shape, layer.parametrizations.weight.original1.shape
    ((40, 1), (40, 20))
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    _u: Any
    _v: Any

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        dims = weight.dim()
        if not -dims <= dim < dims:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{dims}, {dims - 1}] but got {dim})")
        self.n_power_iterations = check_iterations(n_power_iterations)
        self.dim, self.eps = dim % dims, eps
        if dims > 1:
            matrix = as_matrix(weight.detach(), self.dim)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, random_unit(size, matrix, eps))
            # the first guess is a good one
            self._iterate(matrix, 15)

    def _iterate(self, matrix: Tensor, times: int) -> tuple[Tensor, Tensor]:
        """Bring _u and _v nearer to singular vectors; their new values, which stay as they are."""
        u, v = self._u, self._v
        with no_grad():
            for _ in range(times):
                u = unit(matrix.mv(v), self.eps)
                v = unit(matrix.t().mv(u), self.eps)
            self._u.copy_(u)
            self._v.copy_(v)
        return u, v

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return unit(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            u, v = self._iterate(matrix.detach(), self.n_power_iterations)
        else:
            u, v = self._u.clone(), self._v.clone()
        return divided(weight, matrix, u, v)

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim=None):
    """Parametrize `name` as itself divided by its largest singular value, which power iteration follows in training.

    The weight counts as a matrix with dimension `dim` as rows (None: the outputs). Gradients take the singular vectors
    as constants. Returns the module.

    >>> from hotloop import nn
    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40))
    >>> sorted(layer.state_dict())[:2]
    ['bias', 'parametrizations.weight.0._u']
    """
    weight = getattr(module, name)
    if weight is None:
        raise ValueError(f"expected a parameter or a buffer of the module, got {name!r}; the module is {module}")
    dim = rows_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
