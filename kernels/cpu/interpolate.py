"""Resampling by tables: rows of the result in parallel.

The rows of the input that a row of the result is made of are added up as they lie, all columns at once, into the
thread's scratch; then its columns are gathered from that line, two taps at a time. Where a row is one row of the input
(nearest), it is gathered from the input itself, or copied when the row before it was the same.

Backward is the same with the tables turned round: for each element the results that look at it, in order. So nothing is
scattered, and no two rows meet.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .copy_row import copy_row
from .window import numbers

GRAIN = 32768
# scratch slots: a line of columns; positions and weights of tables that are turned round, how many there are
LINE, WEIGHTS, TAPS, COUNTS = 3, 4, 5, 6


@compiled
def _check(taps, size):
    if taps.shape[0] < 1:
        raise ValueError("interpolate: expected a tap or more for each result")
    for k in range(taps.shape[0]):
        for o in range(taps.shape[1]):
            if taps[k, o] < 0 or taps[k, o] > size:
                raise ValueError("interpolate: a tap does not lie in the input")


@compiled
def _full(taps, size):
    """No tap is missing."""
    for k in range(taps.shape[0]):
        for o in range(taps.shape[1]):
            if taps[k, o] == size:
                return False
    return True


@compiled
def _chooses(taps, weights, size):
    """Every result is one element."""
    for o in range(taps.shape[1]):
        if weights[0, o] != 1:
            return False
    return taps.shape[0] == 1 and _full(taps, size)


@compiled
def _add_up(line, x, first, i, j, sides, taps_d, weights_d, taps_h, weights_h):
    """line = the sum of the rows of plane `first` that row (i, j) of the result is made of; False: there are none."""
    B, some = taps_h.shape[0], False
    line[:] = 0
    for a in range(taps_d.shape[0]):
        if taps_d[a, i] < sides[0]:
            begin, share = (first + taps_d[a, i]) * sides[1], weights_d[a, i]
            b = 0
            while b < B:
                r = taps_h[b, j]
                if r < sides[1]:
                    some = True
                    s = taps_h[b + 1, j] if b + 1 < B else sides[1]
                    one, v = x[begin + r], share * weights_h[b, j]
                    if s < sides[1]:
                        two, w = x[begin + s], share * weights_h[b + 1, j]
                        for k in range(line.size):
                            line[k] += v * one[k] + w * two[k]
                        b += 1
                    else:
                        for k in range(line.size):
                            line[k] += v * one[k]
                b += 1
    return some


@compiled
def _gather(out, line, taps, weights):
    """out = the sum over k of weights[k] line[taps[k]], two at a time."""
    K = taps.shape[0]
    for k in range(0, K, 2):
        t, v = taps[k], weights[k]
        if k + 1 == K:
            if k == 0:
                for i in range(out.size):
                    out[i] = v[i] * line[t[i]]
            else:
                for i in range(out.size):
                    out[i] += v[i] * line[t[i]]
        else:
            s, w = taps[k + 1], weights[k + 1]
            if k == 0:
                for i in range(out.size):
                    out[i] = v[i] * line[t[i]] + w[i] * line[s[i]]
            else:
                for i in range(out.size):
                    out[i] += v[i] * line[t[i]] + w[i] * line[s[i]]


@compiled
def _rows(begin, end, y, x, sides, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, chooses):
    OD, OH, IW = taps_d.shape[1], taps_h.shape[1], x.shape[1]
    line = scratch(LINE, IW + 1, x)
    # what is none is this
    line[IW] = 0
    p, i, j = begin // (OH * OD), begin // OH % OD, begin % OH
    before = -1
    for row in range(begin, end):
        out = y[row]
        if chooses:
            place = (p * sides[0] + taps_d[0, i]) * sides[1] + taps_h[0, j]
            if place == before:
                copy_row(out, 0, y[row - 1], 0, out.size)
            else:
                _gather(out, x[place], taps_w, weights_w)
            before = place
        elif _add_up(line[:IW], x, p * sides[0], i, j, sides, taps_d, weights_d, taps_h, weights_h):
            _gather(out, line, taps_w, weights_w)
        else:
            out[:] = 0
        j += 1
        if j == OH:
            i, j = i + 1, 0
            if i == OD:
                p, i = p + 1, 0


@compiled
def _resample(y, x, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w):
    ID, IH, IW = x.shape[1:]
    rows = y.shape[0] * y.shape[1] * y.shape[2]
    if y.size:
        chooses = _chooses(taps_d, weights_d, ID) and _chooses(taps_h, weights_h, IH) and _full(taps_w, IW)
        tables = taps_d, weights_d, taps_h, weights_h, taps_w, weights_w
        work = taps_d.shape[0] * taps_h.shape[0] * IW + taps_w.shape[0] * y.shape[3]
        lines = y.reshape(rows, y.shape[3]), x.reshape(x.shape[0] * ID * IH, IW)
        parallel_for(_rows, rows, max(1, GRAIN // work), (*lines, (ID, IH), *tables, chooses))


@compiled
def _count(counts, taps, weights):
    """How many results look at each element; gives the most, at least 1."""
    counts[:] = 0
    most = 1
    for k in range(taps.shape[0]):
        for o in range(taps.shape[1]):
            t = taps[k, o]
            if t < counts.size and weights[k, o] != 0:
                counts[t] += 1
                most = max(most, counts[t])
    return most


@compiled
def _turn(turned, shares, counts, taps, weights):
    """For each element the results that look at it: (most, elements) tables."""
    turned[:], shares[:], counts[:] = taps.shape[1], 0, 0
    for o in range(taps.shape[1]):
        for k in range(taps.shape[0]):
            t = taps[k, o]
            if t < counts.size and weights[k, o] != 0:
                turned[counts[t], t], shares[counts[t], t] = o, weights[k, o]
                counts[t] += 1


@kernel
def interpolate_forward(y, x, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w):
    """Rows of the result in parallel: see kernels/cpu/interpolate.py."""
    _check(taps_d, x.shape[1])
    _check(taps_h, x.shape[2])
    _check(taps_w, x.shape[3])
    _resample(y, x, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w)


@kernel
def interpolate_backward(dx, dy, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w):
    """The tables turned round, then as forward."""
    D, H, W = dx.shape[1:]
    _check(taps_d, D)
    _check(taps_h, H)
    _check(taps_w, W)
    counts = numbers(COUNTS, D + H + W)
    d = D * _count(counts[:D], taps_d, weights_d)
    h = H * _count(counts[D : D + H], taps_h, weights_h)
    w = W * _count(counts[D + H :], taps_w, weights_w)
    taps, weights = numbers(TAPS, d + h + w), scratch(WEIGHTS, d + h + w, dx)
    if dx.size:
        # of each axis
        td, wd = taps[:d].reshape(d // D, D), weights[:d].reshape(d // D, D)
        th, wh = taps[d : d + h].reshape(h // H, H), weights[d : d + h].reshape(h // H, H)
        tw, ww = taps[d + h :].reshape(w // W, W), weights[d + h :].reshape(w // W, W)
        _turn(td, wd, counts[:D], taps_d, weights_d)
        _turn(th, wh, counts[D : D + H], taps_h, weights_h)
        _turn(tw, ww, counts[D + H :], taps_w, weights_w)
        _resample(dx, dy, td, wd, th, wh, tw, ww)
