"""Additive attention's scores, without the array of tanh units that the formula speaks of.

Forward runs over the units of one query and one key after the other, vectors along the units; parallel over pieces of
rows of scores. Where units are no whole vectors, the last vector begins so much earlier, and weighs what it has of the
one before by 0.

Backward makes each tanh once more, and owns a block of units of one sample: the sums over keys, over queries and over
both belong to a unit, so no two blocks meet. A piece of the keys and their gradients stays near while all queries pass
by. Sums are added up by pieces, then over these; those of v by samples, too.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .vecmath import tanh

# units that a chunk of work has at least, and keys of a piece
GRAIN, KEYS = 8192, 64
# units of a vector, or of several; so few more are done one by one; units of a block of backward
LANES, FEW, UNITS = 16, 3, 128
# scratch slots: weights of the last vector, then samples' shares of dv; a block of backward
SHARES, BLOCK = 3, 4


@compiled
def _weighted(query, key, v):
    total = v.dtype.type(0)
    for h in range(v.size):
        total += v[h] * tanh(query[h] + key[h])
    return total


@compiled
def _scores(begin, end, s, q, k, v, last):
    _, L, S = s.shape
    H, pieces = v.size, (S + KEYS - 1) // KEYS
    whole = H // LANES * LANES if last.size else H
    for piece in range(begin, end):
        row, first = piece // pieces, piece % pieces * KEYS
        n = row // L
        query, scores, keys = q[n, row % L], s[n, row % L], k[n]
        for j in range(first, min(S, first + KEYS)):
            key = keys[j]
            score = _weighted(query[:whole], key[:whole], v[:whole])
            if last.size:
                score += _weighted(query[H - LANES :], key[H - LANES :], last)
            scores[j] = score


@kernel
def additive_forward(s, q, k, v):
    """Pieces of rows in parallel, one sum over units for each score: see kernels/cpu/additive.py."""
    N, L, S = s.shape
    H = v.size
    pieces, rest = (S + KEYS - 1) // KEYS, H % LANES
    last = scratch(SHARES, LANES if H > LANES and rest > FEW else 0, v)
    for i in range(last.size):
        last[i] = v[H - LANES + i] if i >= LANES - rest else v.dtype.type(0)
    parallel_for(_scores, N * L * pieces, max(1, GRAIN // max(1, min(S, KEYS) * H)), (s, q, k, v, last))


@compiled
def _meet(sums, row, query, key, v, slope, first):
    """One score: what it adds to the gradients of the query and of v, side by side in `sums`, and of the key."""
    one = type(slope)(1)
    if first:
        for i in range(v.size):
            t = tanh(query[i] + key[i])
            change = slope * (one - t * t) * v[i]
            sums[i] += change
            sums[UNITS + i] += slope * t
            row[i] = change
    else:
        for i in range(v.size):
            t = tanh(query[i] + key[i])
            change = slope * (one - t * t) * v[i]
            sums[i] += change
            sums[UNITS + i] += slope * t
            row[i] += change


@compiled
def _add(out, terms, add):
    if add:
        for i in range(out.size):
            out[i] += terms[i]
    else:
        for i in range(out.size):
            out[i] = terms[i]


@compiled
def _blocks(begin, end, dq, dk, shares, ds, q, k, v):
    _, L, S = ds.shape
    blocks = (v.size + UNITS - 1) // UNITS
    space = scratch(BLOCK, 3 * UNITS, v)
    sums, spare = space[: 2 * UNITS], space[2 * UNITS :]
    for block in range(begin, end):
        n, low = block // blocks, block % blocks * UNITS
        high = min(v.size, low + UNITS)
        units, share = v[low:high], shares[n, low:high]
        share[:] = 0
        for start in range(0, S, KEYS):
            for l in range(L):
                sums[:] = 0
                query = q[n, l, low:high]
                for j in range(start, min(S, start + KEYS)):
                    row = dk[n, j, low:high] if dk.size else spare
                    _meet(sums, row, query, k[n, j, low:high], units, ds[n, l, j], l == 0)
                _add(share, sums[UNITS:], True)
                if dq.size:
                    _add(dq[n, l, low:high], sums, start > 0)


@kernel
def additive_backward(dq, dk, dv, ds, q, k, v, accumulate):
    """Blocks of units of samples in parallel, each tanh made once: see kernels/cpu/additive.py."""
    N, L, S = ds.shape
    H = v.size
    # sums of nothing
    if S == 0:
        dq.reshape(-1)[:] = 0
    if L == 0:
        dk.reshape(-1)[:] = 0
    shares = scratch(SHARES, N * H, v).reshape(N, H)
    blocks = (H + UNITS - 1) // UNITS
    parallel_for(_blocks, N * blocks, max(1, GRAIN // max(1, L * S * UNITS)), (dq, dk, shares, ds, q, k, v))
    if dv.size:
        if not accumulate:
            dv[:] = 0
        for n in range(N):
            _add(dv, shares[n], True)
