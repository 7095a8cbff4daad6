"""Scores of additive attention: how well a key fits a query, by a layer of tanh units that sees both."""

import numpy as np


def additive_forward(s, q, k, v):
    """s[n, l, j] = sum over h of v[h] tanh(q[n, l, h] + k[n, j, h])

    s  (N, L, S)  [out]  scores
    q  (N, L, H)         projected queries
    k  (N, S, H)         projected keys
    v  (H,)              weight of each unit

    Source: Bahdanau, Cho & Bengio 2015.
    """
    s[...] = np.tanh(q[:, :, None] + k[:, None]) @ v


def additive_backward(dq, dk, dv, ds, q, k, v, accumulate):
    """The gradients of additive_forward.

    With t = tanh(q + k): dq[n, l] = v sum over j of ds (1 - t^2), dk[n, j] = v sum over l of ds (1 - t^2), dv = sum of
    ds t over n, l, j.

    dq  (N, L, H) or (0,)  [out]    gradient of the queries; size 0: not wanted
    dk  (N, S, H) or (0,)  [out]    gradient of the keys; size 0: not wanted
    dv  (H,) or (0,)       [inout]  gradient of the weights; size 0: not wanted
    ds  (N, L, S)                   gradient of the scores
    q   (N, L, H)                   projected queries
    k   (N, S, H)                   projected keys
    v   (H,)                        weight of each unit
    accumulate  bool                add to dv instead of overwriting it
    """
    t = np.tanh(q[:, :, None] + k[:, None])
    slope = ds[..., None] * (1 - t * t)
    if dq.size:
        dq[...] = slope.sum(axis=2) * v
    if dk.size:
        dk[...] = slope.sum(axis=1) * v
    if dv.size:
        dv[...] = (dv if accumulate else 0) + np.einsum("nlj,nljh->h", ds, t)
