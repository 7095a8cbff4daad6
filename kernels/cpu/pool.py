"""What the pooling kernels share: tables of windows checked, the stretch of a row where windows are regular, phases.

The phases of a row for a stride s are s lines: line f holds elements f, f + s, f + 2 s ... Element k of all regular
windows is contiguous there, from `place` on. A phase has room for whole vectors, so that loops leave no remainder: what
stands behind the last window is anything.
"""

from ..jit import compiled

# input elements that a chunk of output rows looks at, at least
GRAIN = 32768
# elements of a vector of float32
WHOLE = 16


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


@compiled
def whole(windows):
    """So many windows, rounded up to vectors."""
    return (windows + WHOLE - 1) // WHOLE * WHOLE


@compiled
def room_for(count, width, stride):
    """Elements of a phase."""
    return count + width // stride + 1


@compiled
def place(k, stride, room):
    """Where element k of the first window is."""
    if stride == 1:
        return k
    if stride == 2:
        return (k & 1) * room + (k >> 1)
    return k % stride * room + k // stride


@compiled
def split(phases, row, stride, room):
    """phases[f * room + i] = row[i * stride + f]"""
    if stride == 1:
        for i in range(row.size):
            phases[i] = row[i]
    elif stride == 2:
        half = row.size >> 1
        even, odd = phases[:half], phases[room : room + half]
        for i in range(half):
            even[i], odd[i] = row[2 * i], row[2 * i + 1]
        if row.size & 1:
            phases[half] = row[row.size - 1]
    else:
        for f in range(min(stride, row.size)):
            column, phase = row[f:], phases[f * room :]
            for i in range((column.size + stride - 1) // stride):
                phase[i] = column[i * stride]


@compiled
def merge(row, phases, stride, room):
    """row[i * stride + f] = phases[f * room + i]"""
    if stride == 1:
        for i in range(row.size):
            row[i] = phases[i]
    elif stride == 2:
        half = row.size >> 1
        even, odd = phases[:half], phases[room : room + half]
        for i in range(half):
            row[2 * i], row[2 * i + 1] = even[i], odd[i]
        if row.size & 1:
            row[row.size - 1] = phases[half]
    else:
        for f in range(min(stride, row.size)):
            column, phase = row[f:], phases[f * room :]
            for i in range((column.size + stride - 1) // stride):
                column[i * stride] = phase[i]
