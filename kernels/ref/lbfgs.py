"""The vector work of L-BFGS: what is remembered of a step, the direction, moves along it."""

import numpy as np


def memory_forward(difference, step, rho, products, grad, previous, d, t):
    """difference = grad - previous;  step = t * d;  products = (difference @ step, difference @ difference);
    rho = 1 / products[0]

    difference  (N,) [out]          y of the pair
    step        (N,) [out]          s of the pair
    rho         (1,) float64 [out]
    products    (2,) float64 [out]  y @ s, y @ y
    grad        (N,)                gradient now
    previous    (N,)                gradient before the move
    d           (N,)                direction of the move
    t           float               its length

    Sums are made in float64.
    """
    difference[...] = grad - previous
    step[...] = d.dtype.type(t) * d
    wide = difference.astype(np.float64)
    products[...] = wide @ step.astype(np.float64), wide @ wide
    with np.errstate(divide="ignore"):
        rho[0] = 1 / products[0]


def direction_forward(d, grad, differences, steps, rho, first, count, scale):
    """Minus the approximate inverse Hessian times the gradient, by the two loops of L-BFGS.

    d = -grad;    for i = count-1 .. 0:  a[i] = rho[i] * (s[i] @ d);  d = d - a[i] * y[i]
    d = scale * d;  for i = 0 .. count-1:  d = d + (a[i] - rho[i] * (y[i] @ d)) * s[i]

    d            (N,)  [out]      direction
    grad         (N,)             gradient
    differences  (M, N)           a ring of y: that of pair i, the oldest being 0, is row (first + i) % M
    steps        (M, N)           a ring of s
    rho          (M,) float64     a ring of 1 / (y @ s)
    first        int              row of the oldest pair
    count        int              pairs
    scale        float            the inverse Hessian before the first pair, times identity

    Sums are made in float64. Raises ValueError for a ring that does not hold so many pairs.
    Source: Nocedal 1980; as torch.optim.LBFGS.
    """
    rows = rho.size
    if not 0 <= count <= rows or not 0 <= first < max(rows, 1):
        raise ValueError("direction_forward: expected 0 <= first < M and 0 <= count <= M")
    wide = -grad.astype(np.float64)
    pairs = [(differences[k], steps[k], rho[k]) for k in ((first + i) % rows for i in range(count))]
    factors = []
    for y, s, r in reversed(pairs):
        factors.append(r * (s @ wide))
        wide -= factors[-1] * y
    wide *= scale
    for y, s, r in pairs:
        wide += (factors.pop() - r * (y @ wide)) * s
    d[...] = wide


def dot_forward(total, a, b):
    """total = a @ b

    total  (1,) float64 [out]
    a      (N,)
    b      (N,)

    The sum is made in float64.
    """
    total[0] = a.astype(np.float64) @ b.astype(np.float64)


def move_forward(y, x, d, t):
    """y = x + t * d

    y  (N,)  [out]  may be x
    x  (N,)         where from
    d  (N,)         direction
    t  float        how far
    """
    y[...] = x + d.dtype.type(t) * d
