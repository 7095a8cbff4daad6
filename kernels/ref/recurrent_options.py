"""What the options of recurrent layers do at a step, and the gradients of that. An option whose array is absent is off.

layer normalisation   the state's product and, in an LSTM, the cell before its tanh: rows to mean 0 and variance 1,
                      times a gain (Ba, Kiros & Hinton 2016, supplement)
recurrent dropout     one mask for all steps on the state that the product sees (Gal & Ghahramani 2016)
zoneout               units that keep their old state for a step (Krueger et al. 2017)
peepholes             gates of an LSTM that see the cell (Gers & Schmidhuber 2000; Gers, Schraudolph & Schmidhuber
                      2002)
"""

import numpy as np


def normalised(x, gain, eps):
    """Rows to mean 0 and variance 1, times gain."""
    if not gain.size:
        return x
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps) * gain


def normalised_grad(dy, x, gain, eps):
    """Gradients of x and gain."""
    if not gain.size:
        return dy, gain
    rstd = 1 / np.sqrt(x.var(1, keepdims=True) + eps)
    n, g = (x - x.mean(1, keepdims=True)) * rstd, dy * gain
    return rstd * (g - g.mean(1, keepdims=True) - n * (g * n).mean(1, keepdims=True)), (dy * n).sum(0)


def seen(h, mask):
    """The state that the product sees; and, linear as this is, the gradient of the state."""
    return h * mask if mask.size else h


def mixed(old, new, zone):
    """zone of the old state, the rest of the new one."""
    return zone * old + (1 - zone) * new if zone.size else new


def mixed_grad(d, zone):
    """Gradients of the old state and of the new one."""
    return (zone * d, (1 - zone) * d) if zone.size else (np.zeros_like(d), d)


def step_of(array, t):
    """A step's part of an array by time, which may be absent."""
    return array[t] if array.size else array
