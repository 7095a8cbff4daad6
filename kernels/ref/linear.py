"""The linear layer: a matrix product with the weight's transpose, a bias and an activation."""

import numpy as np

from .. import scalar
from ..fused import check_activation, check_kept

_activate = np.vectorize(scalar.activate, excluded=(0,))
_activate_grad = np.vectorize(scalar.activate_grad, excluded=(0,))


def linear_forward(y, z, x, w, b, activation):
    """z = x @ w.T + b;  y = activation(z)

    y           (N, H)           [out]  result
    z           (N, H) or (0,)   [out]  what the activation was given; hand unchanged to linear_backward. Size 0: not
                                        kept, right for all activations but those of scalar.NEEDS_INPUT
    x           (N, D)                  input
    w           (H, D)                  weight
    b           (H,) or (0,)            bias; size 0: none
    activation  int                     code of scalar.ACTIVATIONS; 0: none

    Raises ValueError for shapes that do not fit or an unknown activation, TypeError for mixed dtypes.
    Source: as torch.nn.Linear.
    """
    check_activation(activation)
    product = x @ w.T + (b if b.size else 0)
    if z.size:
        z[...] = product
    y[...] = _activate(activation, product) if activation and y.size else product


def linear_backward(dx, dw, db, dy, x, w, y, z, activation, accumulate):
    """dz = dy * activation'(z);  dx = dz @ w;  dw (+)= dz.T @ x;  db (+)= sum of dz over N

    dx          (N, D) or (0,)  [out]    gradient of the input; size 0: not wanted
    dw          (H, D) or (0,)  [inout]  gradient of the weight; read only when accumulate; size 0: not wanted
    db          (H,) or (0,)    [inout]  gradient of the bias; likewise
    dy          (N, H)                   gradient of the result
    x           (N, D)                   input
    w           (H, D)                   weight
    y           (N, H) or (0,)           result; size 0: there is no activation
    z           (N, H) or (0,)           as linear_forward left it; size 0: the activation is none of scalar.NEEDS_INPUT
    activation  int                      as in linear_forward
    accumulate  bool                     add to dw and db instead of overwriting them

    Raises ValueError for shapes that do not fit, an unknown activation, and a y or z that it needs but that is absent;
    TypeError for mixed dtypes.
    Source: the derivative of linear_forward.
    """
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    dz = dy
    if activation and dy.size:
        dz = _activate_grad(activation, dy, y, z if z.size else y)
    if dx.size:
        dx[...] = dz @ w
    if dw.size:
        dw[...] = (dw if accumulate else 0) + dz.T @ x
    if db.size:
        db[...] = (db if accumulate else 0) + dz.sum(0)
