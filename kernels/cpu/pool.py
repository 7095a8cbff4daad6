"""What the pooling kernels share: tables of windows checked, rows of regular windows, which rows belong together."""

from typing import NamedTuple

from ..jit import compiled

# input elements that a chunk looks at, at least
GRAIN = 32768
# windows of a row from which on a vector of them is worth while
FEW = 4


class Row(NamedTuple):
    """Windows along a row: number o has elements begin + o * stride + k * step, k < width, those in 0 .. size - 1.

    width is 0 where windows are of no such kind.
    """

    size: int
    outputs: int
    begin: int
    stride: int
    width: int
    step: int


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
def of_plane(windows, p):
    return windows[p if windows.shape[0] > 1 else 0]


@compiled
def place_of(r, slices, rows):
    """(plane, slice, row) of row r."""
    return r // (slices * rows), r // rows % slices, r % rows


@compiled
def following(p, i, j, slices, rows):
    """The place after that."""
    j += 1
    if j == rows:
        i, j = i + 1, 0
        if i == slices:
            p, i = p + 1, 0
    return p, i, j


@compiled
def elements(window, stepped):
    """Elements of a window of one axis; the third number of an average's windows is a divisor."""
    return (window[1] - window[0] + window[2] - 1) // window[2] if stepped else window[1] - window[0]


@compiled
def row_of(windows, size, stepped):
    count = windows.shape[1]
    nothing = Row(size, count, 0, 1, 0, 1)
    if windows.shape[0] != 1 or count < FEW:
        return nothing
    reach, at = 0, 0
    for o in range(count):
        if windows[0, o, 1] - windows[0, o, 0] > reach:
            reach, at = windows[0, o, 1] - windows[0, o, 0], o
    step = windows[0, at, 2] if stepped else 1
    stride = windows[0, at + 1, 0] - windows[0, at, 0] if at + 1 < count else max(1, reach)
    begin, width = windows[0, at, 0] - at * stride, (reach + step - 1) // step
    if width == 0 or stride < 1 or begin > 0:
        return nothing
    for o in range(count):
        start = begin + o * stride
        skipped = (max(0, -start) + step - 1) // step
        inside = (min(size, start + reach) - start - skipped * step + step - 1) // step
        alike = windows[0, o, 0] == start + skipped * step and elements(windows[0, o], stepped) == inside
        if inside < 1 or not alike or (stepped and windows[0, o, 2] != step):
            return nothing
    return Row(size, count, begin, stride, width, step)


@compiled
def paired(row):
    """Whether gradients go by vectors of columns: with other strides each window goes by itself."""
    return row.width > 0 and (row.stride == 1 or (row.stride == 2 and row.step == 1))


@compiled
def listed(windows_d, windows_h, row):
    """Whether all planes have the same regular windows, whose rows are listed once."""
    return row.width > 0 and windows_d.shape[0] == 1 and windows_h.shape[0] == 1


@compiled
def _all_elements(windows, stepped):
    count = 0
    for o in range(windows.shape[1]):
        count += elements(windows[0, o], stepped)
    return count


@compiled
def list_length(windows_d, windows_h, stepped):
    """Pairs of a row of windows and a row of the input that it has elements in."""
    return _all_elements(windows_d, stepped) * _all_elements(windows_h, stepped)


@compiled
def _row_of_element(d, h, a, b, sides, stepped):
    """Which row of the input element (a, b) of depth and height of a window is in."""
    if stepped:
        a, b = a * d[2], b * h[2]
    return (d[0] + a) * sides[1] + h[0] + b


@compiled
def list_rows(offsets, starts, windows_d, windows_h, sides, stepped):
    """offsets[starts[o] : starts[o + 1]]: where the rows of the input begin that row o of windows has elements in."""
    count = 0
    for o in range(starts.size - 1):
        d, h = windows_d[0, o // windows_h.shape[1]], windows_h[0, o % windows_h.shape[1]]
        starts[o] = count
        for a in range(elements(d, stepped)):
            for b in range(elements(h, stepped)):
                offsets[count] = _row_of_element(d, h, a, b, sides, stepped) * sides[2]
                count += 1
    starts[starts.size - 1] = count


@compiled
def list_windows(rows, starts, windows_d, windows_h, sides, stepped):
    """rows[starts[r] : starts[r + 1]]: the rows of windows that row r of the input has elements of."""
    starts[:] = 0
    for turn in range(2):
        for o in range(windows_d.shape[1] * windows_h.shape[1]):
            d, h = windows_d[0, o // windows_h.shape[1]], windows_h[0, o % windows_h.shape[1]]
            for a in range(elements(d, stepped)):
                for b in range(elements(h, stepped)):
                    r = _row_of_element(d, h, a, b, sides, stepped)
                    if turn:
                        rows[starts[r]] = o
                    starts[r] += 1
        # after the first turn, where a row's windows begin; after the second, where they end
        last = 0
        for r in range(starts.size):
            if turn:
                starts[r], last = last, starts[r]
            else:
                last, starts[r] = last + starts[r], last
