"""Dropout together with what stands beside it in networks: a ReLU before it, a sum after it.

What is dropped is what dropout_forward (kernels/ref/dropout.py) drops for the same state.
"""

import numpy as np

from .. import scalar
from .dropout import dropout_forward

_relu, _relu_grad = np.vectorize(scalar.relu), np.vectorize(scalar.relu_grad)


def dropout_add_forward(y, r, x, state, p):
    """y = r + dropout(x)

    y      (...)       [out]  result
    r      (...)              what is added: a residual connection
    x      (...)              what is dropped with probability p, or divided by 1 - p
    state  (2,) uint64        seed and first counter
    p      float              0 .. 1

    The gradient of r is that of y, and that of x is dropout_backward's. Where x is dropped y is r, whatever x held.
    Raises ValueError for p outside of 0 .. 1.
    """
    dropped = np.empty_like(x)
    dropout_forward(dropped, x, state, p)
    y[...] = r + dropped


def relu_dropout_forward(y, x, state, p):
    """y = dropout(max(x, 0))

    y      (...)       [out]  result; may be x; hand unchanged to relu_dropout_backward
    x      (...)              input
    state  (2,) uint64        seed and first counter
    p      float              0 .. 1

    A dropped element is 0 even where x is infinite or NaN, a kept NaN stays. Raises ValueError for p outside of 0 .. 1.
    """
    dropout_forward(y, _relu(x).astype(x.dtype) if x.size else x, state, p)


def relu_dropout_backward(dx, dy, y, p):
    """dx = dy / (1 - p) where y > 0, else 0: what was dropped or clipped is 0 in y, and nothing else is.

    dx     (...)       [out]  gradient of x; may be dy
    dy     (...)              gradient of y
    y      (...)              result of relu_dropout_forward
    p      float              0 .. 1, as it was there

    A NaN in y passes dy on, as ReLU's own gradient does. Raises ValueError for p outside of 0 .. 1.
    """
    if not 0 <= p <= 1:
        raise ValueError("the probability p must be between 0 and 1")
    scale = dy.dtype.type(1 / (1 - p) if p < 1 else 0)
    dx[...] = _relu_grad(dy * scale, y) if y.size else dy
