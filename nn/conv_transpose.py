"""Transposed convolutions of 1, 2 and 3 dimensions, and their functions."""

from __future__ import annotations

import operator

from .conv import ConvLayer, convolved
from .conv_geometry import places_of

__all__ = [
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]


def conv_transpose1d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    activation: str | None = None,
):  # fmt: skip
    """activation(input convolved the transposed way with weight + bias): as the gradient of conv1d's input, plus bias

    input (N, C, L) or (C, L), weight (C, out / groups, kernel), bias (out,) or None. `activation` as in `linear`.
    """
    return convolved(1, input, weight, bias, stride, padding, dilation, groups, activation, output_padding)


def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    activation: str | None = None,
):  # fmt: skip
    """As `conv_transpose1d`, for input (N, C, H, W) or (C, H, W) and weight (C, out / groups, KH, KW)."""
    return convolved(2, input, weight, bias, stride, padding, dilation, groups, activation, output_padding)


def conv_transpose3d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    activation: str | None = None,
):  # fmt: skip
    """As `conv_transpose1d`, for input (N, C, D, H, W) or (C, D, H, W) and weight (C, out / groups, KD, KH, KW)."""
    return convolved(3, input, weight, bias, stride, padding, dilation, groups, activation, output_padding)


class ConvTransposeLayer(ConvLayer):
    """What the transposed layers share."""

    transposed = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size, stride=1, padding=0, output_padding=0, groups: int = 1,
        bias: bool = True, dilation=1, padding_mode: str = "zeros", device=None, dtype=None, *,
        activation: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        numbers = stride, padding, dilation, groups
        self._configure(in_channels, out_channels, kernel_size, *numbers, padding_mode, activation, output_padding)
        self._make_parameters(bias, device, dtype)

    def forward(self, input, output_size=None):
        """`output_size`: which of the sizes that the stride leaves open, with or without N and C in front."""
        geometry = self._geometry
        if output_size is not None:
            geometry = geometry._replace(beyond=self._beyond(input, output_size))
        return self._convolve(input, geometry)

    def _beyond(self, input, output_size) -> tuple[int, ...]:
        """The output padding that makes the result this large."""
        layer, dims = type(self).__name__, self.dims
        wanted = tuple(operator.index(size) for size in output_size)
        if len(wanted) not in (dims, len(input.shape)) or len(input.shape) < dims:
            raise ValueError(f"{layer}: expected output_size of {dims} or {len(input.shape)} numbers, got {wanted}")
        wanted = wanted[len(wanted) - dims :]
        size, none = input.shape[-dims:], (0,) * dims
        least = places_of(size, self.kernel_size, self._geometry._replace(beyond=none), layer)
        most = tuple(low + s - 1 for low, s in zip(least, self.stride, strict=True))
        if any(not low <= n <= high for low, n, high in zip(least, wanted, most, strict=True)):
            raise ValueError(
                f"{layer}: expected output_size from {least} to {most} for an input of {tuple(size)}, got {wanted}"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


class ConvTranspose1d(ConvTransposeLayer):
    """y[n, k, o] = activation(bias[k] + sum over c, i, r of weight[c, k, r] x[n, c, i]), where
    i * stride + r * dilation - padding = o

    Input (N, in_channels, L) or (in_channels, L), output (N, out_channels, places) or without N; places is
    (L - 1) stride - 2 padding + dilation (kernel_size - 1) + 1 + output_padding, or what `layer(x, output_size=...)`
    asks for. Parameters: weight (in_channels, out_channels / groups, kernel_size) and bias (out_channels,), uniform at
    first as torch.nn.ConvTranspose1d. The keyword `activation` as in `Linear`.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.ConvTranspose1d(4, 8, 3, stride=2)
    >>> layer
    ConvTranspose1d(4, 8, kernel_size=(3,), stride=(2,))
    >>> layer(np.ones((2, 4, 10), np.float32)).shape
    (2, 8, 21)
    >>> layer(np.ones((2, 4, 10), np.float32), output_size=(22,)).shape
    (2, 8, 22)
    """

    dims = 1


class ConvTranspose2d(ConvTransposeLayer):
    """As ConvTranspose1d, over two dimensions: input (N, in_channels, H, W) or (in_channels, H, W).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.ConvTranspose2d(16, 3, 4, stride=2, padding=1, activation="relu")
    >>> layer(np.ones((5, 16, 14, 14), np.float32)).shape
    (5, 3, 28, 28)
    """

    dims = 2


class ConvTranspose3d(ConvTransposeLayer):
    """As ConvTranspose1d, over three dimensions: input (N, in_channels, D, H, W) or (in_channels, D, H, W).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.ConvTranspose3d(2, 1, (1, 2, 2), stride=(1, 2, 2))(np.ones((2, 2, 5, 4, 4), np.float32)).shape
    (2, 1, 5, 8, 8)
    """

    dims = 3
