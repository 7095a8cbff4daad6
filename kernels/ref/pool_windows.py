"""Windows that are drawn: fractional max pooling."""

import numpy as np


def fractional_windows_forward(windows, samples, axis, size, kernel):
    """windows[p, o] begins at floor((o + u) a) - floor(u a), the last at size - kernel

    Here u is the plane's sample and a = (size - kernel) / (O - 1): beginnings are an integer next to a apart.

    windows  (P, O, 3) int64 [out]  first position, the one past the last, step 1: for pool_max
    samples  (P, A)                 u of each plane and axis, in [0, 1)
    axis     int                    0 .. A-1
    size     int                    of the input along the axis
    kernel   int                    1 .. size; O + kernel - 1 <= size

    Raises ValueError for sizes that do not fit. Source: Graham 2014, as torch.nn.FractionalMaxPool2d.
    """
    O, F = windows.shape[1], samples.dtype.type
    if not (0 <= axis < samples.shape[1] and kernel >= 1 and O + kernel - 1 <= size):
        raise ValueError("fractional_max_pool: the windows do not fit the input")
    u = samples[:, axis, None]
    if O > 1:
        alpha = F(size - kernel) / F(O - 1)
        first = ((np.arange(O, dtype=F) + u) * alpha).astype(np.int64) - (u * alpha).astype(np.int64)
        windows[..., 0] = first
    windows[:, -1:, 0] = size - kernel
    windows[..., 1] = windows[..., 0] + kernel
    windows[..., 2] = 1
