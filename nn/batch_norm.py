"""Batch norm and what instance norm shares with it, by torch's names and rules; lazy variants.

In training a layer normalises by the statistics of the batch and averages them into running_mean and running_var; in
eval mode it normalises by those.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from . import init
from .device import as_device
from .doors import absent, call, empty
from .dtypes import int64
from .factory import float_dtype, new_parameter
from .lazy import LazyModule, UninitializedBuffer, UninitializedParameter
from .module import Module
from .norm import check_channels, differentiate, normalise
from .parameter import Parameter
from .tape import Function, no_grad
from .tensor import Tensor, as_tensor

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "batch_norm",
]


class BatchNormFunction(Function):
    """x (N, C, ...) by channel; w and b (C,) or None.

    `given` is None, or (mean, variance) to normalise by; `running` None, or (running_mean, running_var, batches,
    momentum) as of `running_update`, to average the batch's statistics into.
    """

    autocast = "float"

    @staticmethod
    def forward(ctx, x, w, b, given, running, eps):
        split = (*x.shape[:2], math.prod(x.shape[2:]))
        more = given or (absent(x.dtype), absent(x.dtype))
        y, *kept = normalise(ctx, "norm_batch.batch_norm_forward", x, w, b, split, split[1:2], *more, eps)
        if running is not None:
            *averages, momentum = running
            kept = [statistic.reshape(1, split[1]) for statistic in kept]
            call("norm_batch.running_update", *averages, *kept, split[0] * split[2], momentum, eps)
        ctx.given = given is not None
        return y

    @staticmethod
    def backward(ctx, dy):
        return *differentiate(ctx, "norm_batch.batch_norm_backward", dy, ctx.given), None, None, None


def averages(running_mean, running_var, batches, momentum: float | None) -> tuple | None:
    """The `running` of BatchNormFunction, of tensors that are about to be changed; None where nothing is kept."""
    if running_mean is None or running_var is None:
        return None
    with no_grad():
        mean, var = as_tensor(running_mean)._writable(), as_tensor(running_var)._writable()
        seen = absent(int64) if batches is None else batches._writable().reshape(1)
    # negative: the average of all batches
    return mean, var, seen, -1.0 if momentum is None else float(momentum)


def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
) -> Tensor:
    """Each channel of (N, C, ...) to mean 0 and variance 1, then weight, bias (C,).

    In training by the batch's statistics, which are averaged into running_mean and running_var (C,) where these are
    given: running += momentum (new - running). Otherwise by running_mean and running_var.
    """
    return normalised(input, running_mean, running_var, None, weight, bias, training, momentum, eps)


def normalised(input, running_mean, running_var, batches, weight, bias, training, momentum, eps) -> Tensor:
    """batch_norm that counts `batches` up, and averages all of them where momentum is None."""
    x = as_tensor(input)
    shape = x.shape
    if len(shape) < 2:
        raise RuntimeError(f"batch_norm: expected an input (N, C, ...), got shape {shape}")
    if training and shape[0] * math.prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")
    if training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    statistics = dict(running_mean=running_mean, running_var=running_var)
    check_channels("batch_norm", x, shape[1], **statistics, weight=weight, bias=bias)
    given = running = None
    if training:
        running = averages(running_mean, running_var, batches, momentum)
    elif running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
    else:
        given = as_tensor(running_mean).data, as_tensor(running_var).data
    return BatchNormFunction.apply(x, weight, bias, given, running, float(eps))


class NormBase(Module):
    """Parameters and buffers of batch and instance norms."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    # dimensions that an input may have
    dims: ClassVar[tuple[int, ...]]

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *,
        bias=True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, new_parameter((num_features,), device, dtype) if wanted else None)
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, _buffer((num_features,), dtype, device) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", _buffer((), int64, device) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        for name, value in (("running_mean", 0.0), ("running_var", 1.0), ("num_batches_tracked", 0.0)):
            buffer = getattr(self, name)
            if buffer is not None:
                buffer.fill_(value)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and running statistics as of reset_running_stats."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_dims(self, input) -> None:
        if len(input.shape) not in self.dims:
            expected = " or ".join(f"{n}D" for n in self.dims)
            raise ValueError(f"expected {expected} input (got {len(input.shape)}D input)")

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        tracked = f"track_running_stats={self.track_running_stats}"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, {affine}, {tracked}"


class _BatchNorm(NormBase):
    def forward(self, input) -> Tensor:
        self._check_dims(input)
        # without running statistics, those of the batch are used in eval mode too
        training = self.training or (self.running_mean is None and self.running_var is None)
        keep = self.track_running_stats or not self.training
        batches, momentum = self.num_batches_tracked, self.momentum
        if momentum is None and batches is None:
            momentum = 0.0
        mean, var = (self.running_mean, self.running_var) if keep else (None, None)
        return normalised(input, mean, var, batches, self.weight, self.bias, training, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and variance of each channel over samples and positions

    Input (N, C) or (N, C, L), output the same. Parameters: weight and bias (C,), at first 1 and 0. Buffers:
    running_mean and running_var (C,), the statistics for eval mode: running += momentum (new - running), with the
    unbiased variance; momentum None: the average of all batches. num_batches_tracked counts them.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.BatchNorm1d(2)
    >>> layer
    BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    >>> layer(np.array([[1, 5], [3, 9]], np.float32)).numpy().round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> layer.running_mean.numpy()
    array([0.2, 0.7], dtype=float32)
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images: input (N, C, H, W), output the same."""

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """BatchNorm1d for volumes: input (N, C, D, H, W), output the same."""

    dims = (5,)


class LazyNormBase(LazyModule, NormBase):
    """Takes num_features from dimension 1 of its first input."""

    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any

    def __init__(
        self, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True
    ) -> None:
        Module.__init__(self)
        self.num_features, self.eps, self.momentum = 0, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, UninitializedParameter(device=device, dtype=dtype) if wanted else None)
        for name in ("running_mean", "running_var"):
            buffer = UninitializedBuffer(device=device, dtype=dtype) if track_running_stats else None
            self.register_buffer(name, buffer)
        self.register_buffer("num_batches_tracked", _buffer((), int64, device) if track_running_stats else None)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.fill_(0.0)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input) -> None:
        self._check_dims(input)
        waiting = self.has_uninitialized_params()
        known = self.weight if self.weight is not None else self.running_mean
        # a loaded state has given the shapes, unless there are none to give
        self.num_features = input.shape[1] if waiting or known is None else known.shape[0]
        if waiting:
            for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
                if tensor is not None:
                    tensor.materialize((self.num_features,))
            self.reset_parameters()


class LazyBatchNorm1d(LazyNormBase, _BatchNorm):
    """A BatchNorm1d that takes num_features from its first input, and is a BatchNorm1d from then on."""

    cls_to_become = BatchNorm1d
    dims = BatchNorm1d.dims


class LazyBatchNorm2d(LazyNormBase, _BatchNorm):
    """A BatchNorm2d that takes num_features from its first input, and is a BatchNorm2d from then on."""

    cls_to_become = BatchNorm2d
    dims = BatchNorm2d.dims


class LazyBatchNorm3d(LazyNormBase, _BatchNorm):
    """A BatchNorm3d that takes num_features from its first input, and is a BatchNorm3d from then on."""

    cls_to_become = BatchNorm3d
    dims = BatchNorm3d.dims


def _buffer(shape: tuple[int, ...], dtype, device) -> Tensor:
    """A buffer whose values are yet to be set."""
    dtype = dtype if dtype is int64 else float_dtype(dtype)
    return Tensor(empty(shape, dtype, as_device(device) or "cpu"))
