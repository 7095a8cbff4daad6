"""Attention in blocks, whose scores stay in the second cache: attention_forward.py, attention_backward.py. Here arrays
become the numbers that those are told (attention_problem.py)."""

from .. import shared
from ..jit import compiled, kernel
from . import attention_problem as at
from .attention_problem import new_table, tell_heads, tell_options
from .pack import address_of


@compiled
def _told(y, lse, p, q, k, v, bias, keep, state, scale, causal, rate):
    """A table with what forward and backward share."""
    if lse.itemsize != q.itemsize:
        raise ValueError("attention: lse: expected the dtype of q")
    table = new_table()
    tell_options(table, q, k, v, bias, keep, state, scale, causal, rate)
    tell_heads(table, at.Q, q)
    tell_heads(table, at.K, k)
    tell_heads(table, at.V, v)
    tell_heads(table, at.Y, y)
    table[at.LSE] = address_of(lse)
    table[at.P] = address_of(p) if p.size else 0
    return table


@kernel
def attention_forward(y, lse, p, q, k, v, bias, keep, state, scale, causal, rate):
    """Blocks of queries by blocks of keys: see kernels/cpu/attention_forward.py."""
    table = _told(y, lse, p, q, k, v, bias, keep, state, scale, causal, rate)
    shared.call(shared.ATTENTION if q.itemsize == 4 else shared.ATTENTION + 1, (address_of(table),))


@kernel
def attention_backward(dq, dk, dv, dscores, dy, dp, q, k, v, bias, keep, y, lse, p, state, scale, causal, rate):
    """Blocks of keys by blocks of queries: see kernels/cpu/attention_backward.py."""
    if dp.size and not p.size:
        raise ValueError("attention_backward: the gradient of p needs p")
    table = _told(y, lse, p, q, k, v, bias, keep, state, scale, causal, rate)
    table[at.DP] = address_of(dp) if dp.size else 0
    tell_heads(table, at.DQ, dq)
    tell_heads(table, at.DK, dk)
    tell_heads(table, at.DV, dv)
    tell_heads(table, at.DY, dy)
    table[at.DSCORES] = address_of(dscores) if dscores.size else 0
    shared.call(shared.ATTENTION_GRADIENT if q.itemsize == 4 else shared.ATTENTION_GRADIENT + 1, (address_of(table),))
