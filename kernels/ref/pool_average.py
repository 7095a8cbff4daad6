"""Average pooling over windows of planes of up to three dimensions.

Windows come as in pool_max.py, without steps. The divisor is the product of what the three tables say: sizes of windows
as they were before they were cut at the edge, or after, or any other number.
"""

from .pool_max import check, windows_of


def _divisor(tables, at):
    p, *o = at
    d, h, w = (int(t[p if t.shape[0] > 1 else 0, i, 2]) for t, i in zip(tables, o, strict=True))
    return d * h * w


def average_pool_forward(y, x, windows_d, windows_h, windows_w):
    """y[p, o] = sum of window o / (its divisors' product)

    y          (P, OD, OH, OW) [out]
    x          (P, ID, IH, IW)        P planes: samples times channels
    windows_d  (Q, OD, 3) int64       first position, the one past the last, divisor; Q, R, S: P, or 1 for all planes
    windows_h  (R, OH, 3) int64       likewise
    windows_w  (S, OW, 3) int64       likewise

    Raises ValueError for windows that reach beyond the input.
    Source: as torch.nn.AvgPool3d.
    """
    tables = windows_d, windows_h, windows_w
    check(x, tables)
    for at, box in windows_of(y, tables):
        y[at] = x[at[0]][box].sum() / _divisor(tables, at)


def average_pool_backward(dx, dy, windows_d, windows_h, windows_w):
    """dx = sum of dy[p, o] / divisor over the windows o that an element lies in

    dx         (P, ID, IH, IW) [out]
    dy         (P, OD, OH, OW)        gradient of the result
    windows_d  (Q, OD, 3) int64       as given to the forward
    windows_h  (R, OH, 3) int64       likewise
    windows_w  (S, OW, 3) int64       likewise

    Raises ValueError for windows that reach beyond the input.
    """
    tables = windows_d, windows_h, windows_w
    check(dx, tables)
    dx[...] = 0
    for at, box in windows_of(dy, tables):
        dx[at[0]][box] += dy[at] / _divisor(tables, at)
