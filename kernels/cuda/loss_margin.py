"""Hinges of one number, a pair or a triplet: a pass over the elements for each formula, as loss.py describes."""

from .loss import define_loss, formulas, run_loss
from .target import device, kernel

triplet_margin = formulas.triplet_margin

_hinge_embedding = define_loss("_hinge_embedding", formulas.hinge_embedding, "dx", "x target", "margin")
_margin_ranking = define_loss("_margin_ranking", formulas.margin_ranking, "dx1 dx2 dtarget", "x1 x2 target", "margin")


@kernel
def hinge_embedding_forward(loss, dx, x, target, margin, reduction, stream=0):
    """One pass."""
    run_loss(_hinge_embedding, loss, (dx,), (x, target), (margin,), reduction, stream)


@kernel
def margin_ranking_forward(loss, dx1, dx2, dtarget, x1, x2, target, margin, reduction, stream=0):
    """One pass."""
    run_loss(_margin_ranking, loss, (dx1, dx2, dtarget), (x1, x2, target), (margin,), reduction, stream)


@device
def _pair_at(pos, neg, margin):
    # neg stands in for swap and gets the gradient of both
    value, dpos, dneg, dswap = triplet_margin(pos, neg, neg, margin)
    return value, dpos, dneg + dswap, type(pos)(0)


_triplet_margin = define_loss("_triplet_margin", triplet_margin, "dpos dneg dswap", "pos neg swap", "margin")
_pair_margin = define_loss("_pair_margin", _pair_at, "dpos dneg dswap", "pos neg", "margin")


@kernel
def triplet_margin_forward(loss, dpos, dneg, dswap, pos, neg, swap, margin, reduction, stream=0):
    """One pass."""
    function, inputs = (_triplet_margin, (pos, neg, swap)) if swap.size else (_pair_margin, (pos, neg))
    run_loss(function, loss, (dpos, dneg, dswap), inputs, (margin,), reduction, stream)
