"""Local response norm: every number divided by what its neighbours in the channels around it amount to."""

import numpy as np


def _windows(v, size, before):
    """Sums over the channels from c - before on, size of them, those that there are."""
    padded = np.pad(v, ((0, 0), (before, size - 1 - before), (0, 0)))
    return sum(padded[:, i : i + v.shape[1]] for i in range(size))


def local_response_norm_forward(y, scale, x, size, alpha, beta, k):
    """scale = k + alpha / size * sum of x^2 over channels c - size // 2 ... c + (size - 1) // 2;  y = x scale^-beta

    y      (O, C, I) [out]  result
    scale  (O, C, I) [out]  hand unchanged to local_response_norm_backward
    x      (O, C, I)        input: samples, channels, positions
    size   int              channels of a window, 1 or more
    alpha  float            factor of the mean square
    beta   float            exponent
    k      float            added to the mean square

    Raises ValueError for a size less than 1.
    Source: Krizhevsky et al. 2012; as torch.nn.functional.local_response_norm.
    """
    if size < 1:
        raise ValueError("size: expected 1 or more")
    scale[...] = k + alpha / size * _windows(x * x, size, size // 2)
    with np.errstate(all="ignore"):
        y[...] = x * scale**-beta


def local_response_norm_backward(dx, dy, x, scale, size, alpha, beta):
    """dx = dy scale^-beta - 2 alpha beta / size x sum of (dy x scale^(-beta - 1)) over the windows that hold c

    dx     (O, C, I) [out]  gradient of the input
    dy     (O, C, I)        gradient of the result
    x      (O, C, I)        input of the forward
    scale  (O, C, I)        from the forward
    size   int              as in the forward
    alpha  float            likewise
    beta   float            likewise

    Raises ValueError for a size less than 1.
    """
    if size < 1:
        raise ValueError("size: expected 1 or more")
    with np.errstate(all="ignore"):
        power = scale**-beta
        dx[...] = dy * power - 2 * alpha * beta / size * x * _windows(dy * x * power / scale, size, (size - 1) // 2)
