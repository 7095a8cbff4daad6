"""Hinges of one number, a pair, or a triplet: zero beyond a margin. At the corner the gradient is that of the slope."""

import numpy as np

from .loss import reduced, save


def hinge_embedding_forward(loss, dx, x, target, margin, reduction):
    """loss = x where target is 1, max(0, margin - x) where it is -1, their sum where it is neither

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    x          (...)                 distances
    target     (...)                 1: similar, -1: dissimilar
    margin     float                 distance at which dissimilar inputs cost nothing
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.HingeEmbeddingLoss.
    """
    gap = x.dtype.type(margin) - x
    near, far = target != -1, target != 1
    values = np.where(near, x, 0) + np.where(far, np.where(gap < 0, 0, gap), 0)
    scale = reduced(loss, values.astype(x.dtype), reduction)
    save(dx, scale * (near.astype(x.dtype) - (far & (gap >= 0))))


def margin_ranking_forward(loss, dx1, dx2, dtarget, x1, x2, target, margin, reduction):
    """loss = max(0, -target * (x1 - x2) + margin)

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx1        (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dx2        (...) or (0,)  [out]  likewise for x2
    dtarget    (...) or (0,)  [out]  likewise for target
    x1         (...)                 scores
    x2         (...)                 scores
    target     (...)                 1: x1 should be the larger, -1: x2
    margin     float                 difference at which the loss ends
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.MarginRankingLoss.
    """
    gap = -target * (x1 - x2) + x1.dtype.type(margin)
    on = np.where(gap >= 0, x1.dtype.type(1), x1.dtype.type(0))
    scale = reduced(loss, np.where(gap < 0, x1.dtype.type(0), gap), reduction)
    save(dx1, -scale * on * target)
    save(dx2, scale * on * target)
    save(dtarget, -scale * on * (x1 - x2))


def triplet_margin_forward(loss, dpos, dneg, dswap, pos, neg, swap, margin, reduction):
    """loss = max(0, margin + pos - min(neg, swap))

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dpos       (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dneg       (...) or (0,)  [out]  likewise for neg; neg and swap share it evenly where they are equal
    dswap      (...) or (0,)  [out]  likewise for swap
    pos        (...)                 distances anchor to positive
    neg        (...)                 distances anchor to negative
    swap       (...) or (0,)         distances positive to negative; size 0: not used
    margin     float                 how much closer the positive should be
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: Balntas et al. 2016; as torch.nn.TripletMarginLoss.
    """
    other = swap if swap.size else neg
    least = np.minimum(neg, other)
    gap = x_type(pos, margin) + pos - least
    on = np.where(gap >= 0, x_type(pos, 1), x_type(pos, 0))
    scale = reduced(loss, np.where(gap < 0, x_type(pos, 0), gap), reduction)
    share = np.where(neg < other, 1, np.where(neg > other, 0, 0.5)).astype(pos.dtype) if swap.size else x_type(pos, 1)
    save(dpos, scale * on)
    save(dneg, -scale * on * share)
    save(dswap, -scale * on * (1 - share))


def x_type(x, value):
    """`value` in the dtype of x."""
    return x.dtype.type(value)
