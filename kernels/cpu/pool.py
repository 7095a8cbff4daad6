"""What the pooling kernels share: tables of windows checked, and the stretch of a row where windows are regular."""

from ..jit import compiled

# input elements that a chunk of output rows looks at, at least
GRAIN = 32768


@compiled
def check(x, windows, axis):
    """Every window lies in the input."""
    if windows.shape[0] != 1 and windows.shape[0] != x.shape[0]:
        raise ValueError("pool: a window does not lie in the input")
    for q in range(windows.shape[0]):
        for o in range(windows.shape[1]):
            first, end = windows[q, o, 0], windows[q, o, 1]
            if first < 0 or end < first or end > x.shape[axis]:
                raise ValueError("pool: a window does not lie in the input")


@compiled
def middle(windows):
    """Positions of the window in the middle, which is seldom cut: a measure of the work."""
    if windows.shape[0] == 0 or windows.shape[1] == 0:
        return 1
    o = windows.shape[1] // 2
    return max(1, windows[0, o, 1] - windows[0, o, 0])


@compiled
def regular(windows):
    """(lo, hi, width, stride): windows lo .. hi - 1 are alike, each `stride` further than the one before it.

    The longest such stretch around the middle. None where planes have windows of their own.
    """
    Q, O = windows.shape[:2]
    if Q != 1 or O == 0:
        return 0, 0, 0, 1
    at = O // 2
    width, last = windows[0, at, 1] - windows[0, at, 0], windows[0, at, 2]
    stride = windows[0, at, 0] - windows[0, at - 1, 0] if at > 0 else 1
    if stride < 1 or width < 1:
        return 0, 0, 0, 1
    lo, hi = at, at + 1
    while lo > 0 and _follows(windows, lo, width, last, stride):
        lo -= 1
    while hi < O and _follows(windows, hi, width, last, stride) and windows[0, hi, 1] - windows[0, hi, 0] == width:
        hi += 1
    return lo, hi, width, stride


@compiled
def _follows(windows, o, width, last, stride):
    """Window o - 1 is as wide as it should be, and window o lies a stride further."""
    before, this = windows[0, o - 1], windows[0, o]
    alike = before[1] - before[0] == width and before[2] == last and this[2] == last
    return alike and this[0] - before[0] == stride
