"""Scaled dot-product attention: each query's weighted mean of values, weighted by how well its keys fit.

Heads of keys and values may be fewer than those of queries (grouped queries): query head h reads head h // (H / G).
Arrays are given by strides, so that heads inside a projection, (N, L, H, D) in memory, are read and written in place.
"""

import numpy as np

from .random import below


def attention_forward(y, lse, p, q, k, v, bias, keep, state, scale, causal, rate):
    """y = dropout(softmax(scale q k^T + bias)) v, the softmax over those keys that a query may see.

    y      (N, H, L, E)           [out] [strided]  result, 0 for a query that sees no key
    lse    (N, H, L) any          [out]            log of the sum of exp(scores); -inf for a query that sees no key
    p      (N, H, L, S) or (0,)   [out]            the softmax, before dropout; size 0: not wanted
    q      (N, H, L, D)           [strided]        queries
    k      (N, G, S, D)           [strided]        keys; H is a multiple of G
    v      (N, G, S, E)           [strided]        values
    bias   (N, H, L, S) or (0,)   [strided]        added to the scores; stride 0 broadcasts; size 0: none
    keep   (N, H, L, S) or (0,) bool [strided]     which keys a query may see; size 0: all
    state  (2,) or (0,) uint64                     seed and first counter of dropout; size 0: none, rate is 0
    scale  float                                   factor of the scores, commonly 1 / sqrt(D)
    causal bool                                    query l sees no key after the l-th
    rate   float                                   0 .. 1, the probability that a weight is dropped

    Weight (n, h, l, s) is dropped where word ((n H + h) L + l) S + s of the state's stream falls below rate * 2^32. A
    row of q, k, v, y in memory has its numbers side by side. lse has the dtype of q, float32 for 16-bit numbers. A key
    that is not to be seen has weight 0 whatever its score, NaN too; but 0 times an infinite or NaN row of v may be NaN
    or 0. Raises ValueError for H no multiple of G, a rate outside of 0 .. 1, and a row that is not contiguous.
    Source: Vaswani et al. 2017; as torch.nn.functional.scaled_dot_product_attention.
    """
    weights, total = _softmax(q, k, bias, keep, scale, causal)
    lse[...] = total
    if p.size:
        p[...] = weights
    y[...] = weights * _kept(weights.shape, state, rate, q.dtype) @ _spread(v, q.shape[1])


def attention_backward(dq, dk, dv, dscores, dy, dp, q, k, v, bias, keep, y, lse, p, state, scale, causal, rate):
    """The gradients of y, and of p where it is used, with what attention_forward left.

    dq       (N, H, L, D)           [out] [strided]  gradient of q
    dk       (N, G, S, D)           [out] [strided]  gradient of k
    dv       (N, G, S, E)           [out] [strided]  gradient of v
    dscores  (N, H, L, S) or (0,)   [out]            gradient of the scores, and so of bias; size 0: not wanted
    dy       (N, H, L, E)           [strided]        gradient of y
    dp       (N, H, L, S) or (0,)                    gradient of p; size 0: none. It needs p
    q        (N, H, L, D)           [strided]        queries
    k        (N, G, S, D)           [strided]        keys
    v        (N, G, S, E)           [strided]        values
    bias     (N, H, L, S) or (0,)   [strided]        as attention_forward had it
    keep     (N, H, L, S) or (0,) bool [strided]     as attention_forward had it
    y        (N, H, L, E)           [strided]        result of attention_forward
    lse      (N, H, L) any                           from attention_forward
    p        (N, H, L, S) or (0,)                    from attention_forward; size 0: made again from lse
    state    (2,) or (0,) uint64                     as attention_forward had it
    scale    float                                   as attention_forward had it
    causal   bool                                    as attention_forward had it
    rate     float                                   as attention_forward had it

    With w = kept p / (1 - rate): dv = w^T dy, dw = dy v^T, ds = p (dw kept / (1 - rate) + dp - delta) where
    delta = sum(dy y) + sum(dp p) of a row, dq = scale ds k, dk = scale ds^T q. Gradients of a query that sees no key,
    and of a key that no query sees, are 0. Raises ValueError as attention_forward, and for dp without p.
    """
    if dp.size and not p.size:
        raise ValueError("attention_backward: the gradient of p needs p")
    weights, _ = _softmax(q, k, bias, keep, scale, causal)
    kept = _kept(weights.shape, state, rate, q.dtype)
    heads, groups = q.shape[1], k.shape[1]
    dw = dy @ np.swapaxes(_spread(v, heads), -1, -2) * kept
    if dp.size:
        dw = dw + dp
    delta = (dw * weights).sum(axis=-1, keepdims=True)
    ds = weights * (dw - delta)
    if dscores.size:
        dscores[...] = ds
    ds = ds * q.dtype.type(scale)
    dq[...] = ds @ _spread(k, heads)
    dk[...] = _gathered(np.swapaxes(ds, -1, -2) @ q, groups)
    dv[...] = _gathered(np.swapaxes(weights * kept, -1, -2) @ dy, groups)


def _softmax(q, k, bias, keep, scale, causal):
    """The weights, and the logarithm of what they were divided by."""
    heads, queries, keys = q.shape[1], q.shape[2], k.shape[2]
    if k.shape[1] == 0 or heads % k.shape[1]:
        raise ValueError(f"attention: expected heads of q a multiple of those of k, got {heads} and {k.shape[1]}")
    with np.errstate(all="ignore"):
        scores = (q @ np.swapaxes(_spread(k, heads), -1, -2)) * q.dtype.type(scale)
        if bias.size:
            scores = scores + bias
        if keep.size:
            scores = np.where(keep, scores, -np.inf)
        if causal:
            scores = np.where(np.tri(queries, keys, dtype=bool), scores, -np.inf)
        top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        e = np.where(scores == -np.inf, 0, np.exp(scores - np.where(top == -np.inf, 0, top)))
        total = e.sum(axis=-1, keepdims=True)
        weights = np.where(total == 0, 0, e / total).astype(q.dtype)
        lse = np.where(total == 0, -np.inf, top + np.log(total))[..., 0]
    return weights, lse


def _kept(shape, state, rate, dtype):
    """0 for a dropped weight, 1 / (1 - rate) for one that is kept."""
    if not 0 <= rate <= 1:
        raise ValueError(f"attention: rate: expected 0 .. 1, got {rate}")
    if rate == 0:
        return np.ones(shape, dtype)
    size = int(np.prod(shape))
    return np.where(below(state, size, rate), 0, 1 / (1 - rate) if rate < 1 else 0).astype(dtype).reshape(shape)


def _spread(x, heads):
    """Heads of keys or values, each for as many heads of queries as share it."""
    return np.repeat(x, heads // x.shape[1], axis=1)


def _gathered(dx, groups):
    """The sum over the heads of queries that share a head of keys or values."""
    n, heads, s, d = dx.shape
    return dx.reshape(n, groups, heads // max(groups, 1), s, d).sum(axis=2)
