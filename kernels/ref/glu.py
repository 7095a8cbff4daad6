"""The gated linear unit: one half of the channels, times the sigmoid of the other."""

import numpy as np

from .activation import sigma


def glu_forward(y, x):
    """y = a sigmoid(b), a, b = the first and the second half of x over its middle dimension

    y  (O, C, I)   [out]  result
    x  (O, 2*C, I)        input

    Source: Dauphin et al. 2017; as torch.nn.functional.glu.
    """
    a, b = np.split(x, 2, axis=1)
    y[...] = a * sigma(b)


def glu_backward(dx, dy, x):
    """da = dy sigmoid(b);  db = dy a sigmoid(b) (1 - sigmoid(b))

    dx  (O, 2*C, I) [out]  gradient of the input
    dy  (O, C, I)          gradient of the result
    x   (O, 2*C, I)        input of the forward
    """
    a, b = np.split(x, 2, axis=1)
    dx[...] = np.concatenate([dy * sigma(b), dy * a * sigma(b) * sigma(-b)], axis=1)
