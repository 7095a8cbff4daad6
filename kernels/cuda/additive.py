"""Additive attention's scores: a tanh is made where it is used, and used in registers.

    forward    a warp for a few scores of one query: lanes along the units, the query's and v's read once for all
    dq, dv     a thread for each unit of a query, which goes along the keys; v's share of each query, then their columns
    dk         a thread for each unit of a key, which goes along the queries

So tanh is made twice in backward, and sums stay in registers, in an order of their own: no two threads meet.
"""

import numpy as np

from .functions import tanh
from .lanes import warp_sum
from .layout import over_rows
from .linear import add_columns
from .ptx import quotient
from .target import THREADS, WARP, cuda, device, empty, jit, kernel, launch

# scores of a warp; the largest second axis of a grid
EACH, SECOND = 4, 65535


@device
def unit(v, query, key):
    return v * tanh(query + key)


@jit
def _scores(s, q, k, v, L, S, H):
    """The grid is (rows of scores, blocks of keys). Lanes beyond the last unit add nothing; keys beyond the last are it
    again."""
    row = cuda.blockIdx.x
    lane, warp = cuda.threadIdx.x % WARP, cuda.threadIdx.x // WARP
    query, first_key = row * H, np.int64(quotient(row, L)) * S
    j = (cuda.blockIdx.y * (THREADS // WARP) + warp) * EACH
    step = cuda.gridDim.y * (THREADS // WARP) * EACH
    # all warps go as often, for warp_sum
    for _ in range((S + step - 1) // step):
        last = first_key + S - 1
        k0, k1 = min(first_key + j, last) * H, min(first_key + j + 1, last) * H
        k2, k3 = min(first_key + j + 2, last) * H, min(first_key + j + 3, last) * H
        zero = s.dtype.type(0)
        s0, s1, s2, s3 = zero, zero, zero, zero
        for h in range(lane, H, WARP):
            weight, this = v[h], q[query + h]
            s0 += unit(weight, this, k[k0 + h])
            s1 += unit(weight, this, k[k1 + h])
            s2 += unit(weight, this, k[k2 + h])
            s3 += unit(weight, this, k[k3 + h])
        s0, s1, s2, s3 = warp_sum(s0), warp_sum(s1), warp_sum(s2), warp_sum(s3)
        mine = s0 if lane == 0 else s1 if lane == 1 else s2 if lane == 2 else s3
        if lane < EACH and j + lane < S:
            s[row * S + j + lane] = mine
        j += step


@jit
def _of_queries(dq, shares, ds, q, k, v, rows, L, S, H, wanted, shared):
    """Rows are queries, columns units. wanted, shared: whether there is dq, and shares of dv."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    h = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if row < rows:
        key = np.int64(quotient(row, L)) * S * H
        while h < H:
            this, zero, one = q[row * H + h], v.dtype.type(0), v.dtype.type(1)
            slope, share = zero, zero
            for j in range(S):
                t, d = tanh(this + k[key + j * H + h]), ds[row * S + j]
                slope += d * (one - t * t)
                share += d * t
            if wanted:
                dq[row * H + h] = slope * v[h]
            if shared:
                shares[row * H + h] = share
            h += cuda.gridDim.y * cuda.blockDim.x


@jit
def _of_keys(dk, ds, q, k, v, rows, L, S, H):
    """Rows are keys, columns units."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    h = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if row < rows:
        n = np.int64(quotient(row, S))
        j, query = row - n * S, n * L
        while h < H:
            this, slope, one = k[row * H + h], v.dtype.type(0), v.dtype.type(1)
            for l in range(query, query + L):
                t = tanh(this + q[l * H + h])
                slope += ds[l * S + j] * (one - t * t)
            dk[row * H + h] = slope * v[h]
            h += cuda.gridDim.y * cuda.blockDim.x


@kernel
def additive_forward(s, q, k, v, stream=0):
    """One launch."""
    N, L, S = s.shape
    keys = THREADS // WARP * EACH
    grid = N * L, min(-(-S // keys), SECOND)
    flat = (a.reshape(-1) for a in (s, q, k, v))
    launch(_scores, grid, THREADS, stream, *flat, *map(np.int32, (L, S, v.size)))


@kernel
def additive_backward(dq, dk, dv, ds, q, k, v, accumulate, stream=0):
    """A launch for queries, one for keys, and the sums of v's shares."""
    N, L, S = ds.shape
    H = v.size
    sizes = tuple(map(np.int32, (L, S, H)))
    flat = tuple(a.reshape(-1) for a in (ds, q, k, v))
    shares = empty((N * L if dv.size else 0, H), v.dtype)
    if dq.size or dv.size:
        args = (dq.reshape(-1), shares.reshape(-1), *flat, np.int32(N * L), *sizes, dq.size > 0, dv.size > 0)
        over_rows(_of_queries, N * L, H, stream, *args)
    if dk.size:
        over_rows(_of_keys, N * S, H, stream, dk.reshape(-1), *flat, np.int32(N * S), *sizes)
    if dv.size:
        add_columns(dv, shares, accumulate, stream)
