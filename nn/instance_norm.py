"""Instance norm, by torch's names and rules: each channel of each sample by its own statistics; lazy variants."""

from __future__ import annotations

import math
import warnings

from .batch_norm import BatchNormFunction, LazyNormBase, NormBase, averages
from .norm import GroupNormFunction, check_channels
from .tensor import Tensor, as_tensor

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "instance_norm",
]


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
) -> Tensor:
    """Each channel of each sample of (N, C, ...) to mean 0 and variance 1, then weight, bias (C,).

    By its own statistics, whose averages over samples go into running_mean and running_var (C,) where these are given;
    with use_input_stats=False by running_mean and running_var.
    """
    x = as_tensor(input)
    shape = x.shape
    if use_input_stats and math.prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {list(shape)}")
    statistics = dict(running_mean=running_mean, running_var=running_var)
    check_channels("instance_norm", x, shape[1], **statistics, weight=weight, bias=bias)
    if use_input_stats:
        running = averages(running_mean, running_var, None, momentum)
        return GroupNormFunction.apply(x, weight, bias, shape[1], float(eps), running)
    if running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    given = as_tensor(running_mean).data, as_tensor(running_var).data
    return BatchNormFunction.apply(x, weight, bias, given, None, float(eps))


class _InstanceNorm(NormBase):
    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, device=None, dtype=None,
        *, bias=True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input) -> Tensor:
        self._check_dims(input)
        x = as_tensor(input)
        dim = 0 if x.dim() == self.dims[0] else 1
        if x.shape[dim] != self.num_features:
            self._refuse(dim, x.shape[dim])
        y = instance_norm(
            x if dim else x.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y if dim else y.squeeze(0)

    def _refuse(self, dim: int, channels: int) -> None:
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={dim} to match num_features ({self.num_features}), but got: {channels}."
            )
        warnings.warn(
            f"input's size at dim={dim} does not match num_features. You can silence this warning by not passing in "
            "num_features, which is not used because affine=False",
            stacklevel=3,
        )


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and variance of each channel of a sample over positions

    Input (N, C, L) or (C, L), output the same. With affine=True, parameters weight and bias (C,), at first 1 and 0;
    with track_running_stats=True, buffers as of BatchNorm1d, which eval mode uses.

    >>> from hotloop import nn
    >>> nn.InstanceNorm1d(2)
    InstanceNorm1d(2, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)
    """

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm1d for images: input (N, C, H, W) or (C, H, W), output the same."""

    dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """InstanceNorm1d for volumes: input (N, C, D, H, W) or (C, D, H, W), output the same."""

    dims = (4, 5)


class LazyInstanceNorm1d(LazyNormBase, _InstanceNorm):
    """An InstanceNorm1d that takes num_features from its first input, and is an InstanceNorm1d from then on."""

    cls_to_become = InstanceNorm1d
    dims = InstanceNorm1d.dims


class LazyInstanceNorm2d(LazyNormBase, _InstanceNorm):
    """An InstanceNorm2d that takes num_features from its first input, and is an InstanceNorm2d from then on."""

    cls_to_become = InstanceNorm2d
    dims = InstanceNorm2d.dims


class LazyInstanceNorm3d(LazyNormBase, _InstanceNorm):
    """An InstanceNorm3d that takes num_features from its first input, and is an InstanceNorm3d from then on."""

    cls_to_become = InstanceNorm3d
    dims = InstanceNorm3d.dims
