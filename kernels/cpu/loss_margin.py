"""Hinges of one number, a pair or a triplet on the CPU: a loop over a formula in each block, as loss.py describes."""

from ..jit import compiled, kernel, parallel_for, scratch
from .loss import BLOCK, GRAIN, SPARE, begin_loss, end_loss, formulas, part, span, total

hinge_embedding, margin_ranking = formulas.hinge_embedding, formulas.margin_ranking
triplet_margin = formulas.triplet_margin


@compiled
def _hinge_embedding(begin, end, values, dx, x, target, margin, scale, sums):
    spare = scratch(SPARE, 2 * BLOCK, x)
    for k in range(begin, end):
        first, n = span(k, x.size)
        a, b = x[first : first + n], target[first : first + n]
        value, g = part(values, first, n, spare, 0), part(dx, first, n, spare, 1)
        for i in range(n):
            value[i], dg = hinge_embedding(a[i], b[i], margin)
            g[i] = scale * dg
        sums[k] = total(value)


@kernel
def hinge_embedding_forward(loss, dx, x, target, margin, reduction):
    """Blocks in parallel."""
    values, scale, sums = begin_loss(loss, x, reduction)
    arguments = (values, dx, x, target, x.dtype.type(margin), scale, sums)
    parallel_for(_hinge_embedding, sums.size, GRAIN, arguments)
    end_loss(loss, sums, x.size, reduction)


@compiled
def _margin_ranking(begin, end, values, dx1, dx2, dtarget, x1, x2, target, margin, scale, sums):
    spare = scratch(SPARE, 4 * BLOCK, x1)
    for k in range(begin, end):
        first, n = span(k, x1.size)
        a1, a2, b = x1[first : first + n], x2[first : first + n], target[first : first + n]
        value, g1, g2 = part(values, first, n, spare, 0), part(dx1, first, n, spare, 1), part(dx2, first, n, spare, 2)
        h = part(dtarget, first, n, spare, 3)
        for i in range(n):
            value[i], d1, d2, dh = margin_ranking(a1[i], a2[i], b[i], margin)
            g1[i], g2[i], h[i] = scale * d1, scale * d2, scale * dh
        sums[k] = total(value)


@kernel
def margin_ranking_forward(loss, dx1, dx2, dtarget, x1, x2, target, margin, reduction):
    """Blocks in parallel."""
    values, scale, sums = begin_loss(loss, x1, reduction)
    arguments = (values, dx1, dx2, dtarget, x1, x2, target, x1.dtype.type(margin), scale, sums)
    parallel_for(_margin_ranking, sums.size, GRAIN, arguments)
    end_loss(loss, sums, x1.size, reduction)


@compiled
def _triplet_margin(begin, end, values, dpos, dneg, dswap, pos, neg, swap, shared, margin, scale, sums):
    spare = scratch(SPARE, 4 * BLOCK, pos)
    for k in range(begin, end):
        first, n = span(k, pos.size)
        p, q, r = pos[first : first + n], neg[first : first + n], swap[first : first + n]
        value, g, h = part(values, first, n, spare, 0), part(dpos, first, n, spare, 1), part(dneg, first, n, spare, 2)
        s = part(dswap, first, n, spare, 3)
        for i in range(n):
            value[i], dg, dh, ds = triplet_margin(p[i], q[i], r[i], margin)
            g[i], h[i], s[i] = scale * dg, scale * dh, scale * ds
            if not shared:
                h[i] += s[i]
        sums[k] = total(value)


@kernel
def triplet_margin_forward(loss, dpos, dneg, dswap, pos, neg, swap, margin, reduction):
    """Blocks in parallel; without swap, neg stands in for it and gets the gradient of both."""
    values, scale, sums = begin_loss(loss, pos, reduction)
    other = swap if swap.size else neg
    arguments = (values, dpos, dneg, dswap, pos, neg, other, swap.size > 0, pos.dtype.type(margin), scale, sums)
    parallel_for(_triplet_margin, sums.size, GRAIN, arguments)
    end_loss(loss, sums, pos.size, reduction)
