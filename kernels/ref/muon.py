"""Muon on one matrix."""

import numpy as np

from .rule import count


def muon_update(param, momentum_buffer, grad, step, hyper, ratio, ns_steps, nesterov):
    """One step of Muon, in place: the momentum of a matrix, its singular values brought near 1.

    b = momentum * b + (1 - momentum) * grad
    x = momentum * b + (1 - momentum) * grad if nesterov, else b
    x = x / max(norm(x), eps)
    ns_steps times:  s = x @ x.T;  x = a * x + (b * s + c * s @ s) @ x
    param = (1 - lr * weight_decay) * param - lr * ratio * x

    param            (R, C)        [inout]  one parameter
    momentum_buffer  (R, C)        [inout]  b, zero before the first step
    grad             (R, C)                 its gradient
    step             (P,) float64  [inout]  steps made before this one; 1 is added
    hyper            (7,) float64           lr, weight_decay, momentum, the coefficients a, b and c, eps
    ratio            float                  how much longer the step is for a matrix of this shape
    ns_steps         int                    Newton-Schulz iterations
    nesterov         bool                   look ahead along the momentum

    The norm is that of all elements, made in float64; eps is the least it is divided by. The products are made in the
    dtype of param, on the shorter side of the matrix.

    Raises ValueError when step has size 0.
    Source: Jordan et al. 2024; as torch.optim.Muon, which makes the products in bfloat16.
    """
    cast = param.dtype.type
    lr, weight_decay, momentum, a, b, c, eps = hyper
    count(step)
    momentum_buffer += cast(1 - momentum) * (grad - momentum_buffer)
    x = grad + cast(momentum) * (momentum_buffer - grad) if nesterov else momentum_buffer
    x = x / cast(np.maximum(np.linalg.norm(x.astype(np.float64)), eps))
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(ns_steps):
        s = x @ x.T
        x = cast(a) * x + (cast(b) * s + cast(c) * (s @ s)) @ x
    param *= cast(1 - lr * weight_decay)
    param -= cast(lr * ratio) * (x.T if tall else x)
