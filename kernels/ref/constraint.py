"""What parameters are held to after a step."""

import numpy as np


def norm_update(w, low, high, rate):
    """w[o, :, i] = w[o, :, i] * ((1 - rate) * n + rate * min(max(n, low), high)) / (n + 1e-7), n = norm(w[o, :, i])

    w     (O, R, I) [inout]  parameters; each [o, :, i] is a vector of its own
    low   float              the least norm
    high  float              the largest norm
    rate  float              of the way there, 0 to 1

    Norms are made in float64; 1e-7 keeps the division of a vector of zeros harmless. A norm that is NaN makes NaN.
    Source: as keras.constraints.MinMaxNorm.
    """
    norm = np.sqrt((w.astype(np.float64) ** 2).sum(1, keepdims=True))
    wanted = (1 - rate) * norm + rate * np.clip(norm, low, high)
    w *= (wanted / (norm + 1e-7)).astype(w.dtype)
