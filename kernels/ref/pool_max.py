"""Max pooling over windows of planes of up to three dimensions; NaN beats everything.

A window is a box: one entry of a table for each axis says from where to where it reaches and in which steps. So the
same kernels serve strides, padding, dilation, adaptive and fractional pooling, in one, two and three dimensions (axes
of size 1). Of equal elements the first wins, of NaNs the last, as in torch.
"""

import numpy as np


def windows_of(y, tables, stepped=False):
    """(where in y, slices of a plane) of every window."""
    for p, *o in np.ndindex(y.shape):
        rows = (t[p if t.shape[0] > 1 else 0, i] for t, i in zip(tables, o, strict=True))
        yield (p, *o), tuple(slice(first, end, third if stepped else 1) for first, end, third in rows)


def check(x, tables):
    """Windows lie in the plane; tables are for each plane or for all."""
    for size, t in zip(x.shape[1:], tables, strict=True):
        first, end = t[..., 0], t[..., 1]
        if t.shape[0] not in (1, x.shape[0]) or (first < 0).any() or (end < first).any() or (end > size).any():
            raise ValueError("pool: a window does not lie in the input")


def check_steps(x, tables):
    check(x, tables)
    if any((t[..., 2] < 1).any() for t in tables):
        raise ValueError("pool: expected steps of at least 1")


def max_pool_forward(y, indices, x, windows_d, windows_h, windows_w, rectified):
    """y[p, o] = x[p, indices[p, o]], the largest of window o; -inf and -1 where the window is empty

    y          (P, OD, OH, OW) [out]
    indices    (P, OD, OH, OW) or (0,) int32 [out]  flat position in the plane; size 0: not wanted
    x          (P, ID, IH, IW)                      P planes: samples times channels
    windows_d  (Q, OD, 3) int64   first position, the one past the last, step (>= 1); Q, R, S: P, or 1 for all planes
    windows_h  (R, OH, 3) int64   likewise
    windows_w  (S, OW, 3) int64   likewise
    rectified  bool               as if every window held a 0, too: relu(y), and -1 where nothing is above 0

    Raises ValueError for windows that reach beyond the input, and for steps below 1.
    Source: as torch.nn.MaxPool3d.
    """
    tables = windows_d, windows_h, windows_w
    check_steps(x, tables)
    positions = np.arange(np.prod(x.shape[1:])).reshape(x.shape[1:])
    for at, box in windows_of(y, tables, stepped=True):
        values, where = x[at[0]][box].ravel(), positions[box].ravel()
        nans = np.flatnonzero(np.isnan(values))
        k = -1 if not values.size else nans[-1] if nans.size else values.argmax()
        best, found = (values[k], where[k]) if values.size else (-np.inf, -1)
        if rectified and best <= 0:
            best, found = 0, -1
        y[at] = best
        if indices.size:
            indices[at] = found


def max_pool_backward(dx, dy, indices, windows_d, windows_h, windows_w):
    """dx[p, i] = sum of dy[p, o] over the o with indices[p, o] = i

    dx         (P, ID, IH, IW) [out]
    dy         (P, OD, OH, OW)        gradient of the result
    indices    (P, OD, OH, OW) int32  from the forward
    windows_d  (Q, OD, 3) int64       as given to the forward
    windows_h  (R, OH, 3) int64       likewise
    windows_w  (S, OW, 3) int64       likewise

    Raises as the forward.
    """
    check_steps(dx, (windows_d, windows_h, windows_w))
    planes = dx.shape[0]
    flat, slopes, where = (v.reshape(planes, v.size // max(planes, 1)) for v in (dx, dy, indices))
    dx[...] = 0
    p, o = np.nonzero((where >= 0) & (where < flat.shape[1]))
    np.add.at(flat, (p, where[p, o]), slopes[p, o])
