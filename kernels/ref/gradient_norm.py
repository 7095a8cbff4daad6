"""The norm of many gradients seen as one vector, and what it is wanted for."""

import numpy as np


def gradient_norm_forward(total, x, p):
    """total = total + sum(abs(x)**p);  p = inf: max(total, abs(x)), -inf: min(total, abs(x));  p = 0: x != 0 counted

    total  (1,) float64 [inout]  of the pieces so far; inf before the first when p = -inf, else 0
    x      (N,)                  a piece of the vector
    p      float                 order of the norm

    The sum is made in float64. A NaN stays.
    """
    size = np.abs(x.astype(np.float64))
    if p == np.inf:
        total[0] = np.max(size, initial=total[0])
    elif p == -np.inf:
        total[0] = np.min(size, initial=total[0])
    else:
        with np.errstate(divide="ignore", over="ignore"):
            total[0] += np.count_nonzero(x) if p == 0 else (size**p).sum()


def gradient_norm_root_forward(norm, total, p):
    """norm = total**(1 / p);  total for p = inf, -inf and 0

    norm   (1,) float64 [out]  the norm
    total  (1,) float64        of all pieces
    p      float               order of the norm
    """
    with np.errstate(divide="ignore"):
        norm[0] = total[0] if p == 0 or np.isinf(p) else total[0] ** (1 / p)


def gradient_scale_forward(scale, norm, max_norm):
    """scale = min(1, max_norm / (norm + 1e-6))

    scale     (1,) float64 [out]  what gradient_clip_forward multiplies by
    norm      (1,) float64        norm of the whole; NaN gives NaN, inf gives 0
    max_norm  float               what the norm is to be at most

    Source: as torch.nn.utils.clip_grad_norm_.
    """
    scale[0] = np.minimum(max_norm / (norm[0] + 1e-6), 1)


def gradient_clip_forward(x, norm, max_norm):
    """x = x * min(1, max_norm / (norm + 1e-6))

    x         (N,) [inout]   a piece of the vector
    norm      (1,) float64   norm of the whole; NaN makes x NaN, inf makes it 0
    max_norm  float          what the norm is to be at most

    Source: as torch.nn.utils.clip_grad_norm_.
    """
    x *= x.dtype.type(np.minimum(max_norm / (norm[0] + 1e-6), 1))
