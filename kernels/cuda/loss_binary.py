"""Losses of single probabilities: a pass over the elements for each formula, as loss.py describes."""

from . import status
from .loss import define_loss, formulas, run_loss
from .target import device, kernel

bce, bce_with_logits, soft_margin = formulas.bce, formulas.bce_with_logits, formulas.soft_margin
kl_div, kl_div_log = formulas.kl_div, formulas.kl_div_log


@device
def _bce_at(x, target, weight):
    value, dx, dtarget = bce(x, target)
    # a NaN is outside
    proper = x >= 0 and x <= 1 and target >= 0 and target <= 1
    return weight * value, weight * dx, weight * dtarget, not proper


_bce = define_loss("_bce", _bce_at, "dx dtarget", "x target weight", optional="weight", problem="PROBABILITY")


@kernel
def bce_forward(loss, dx, dtarget, x, target, weight, reduction, stream=0):
    """One pass; what is no probability is reported by the next call that waits for the device."""
    run_loss(_bce, loss, (dx, dtarget), (x, target, weight), (), reduction, stream, status.word())


@device
def _bce_with_logits_at(x, target, weight, pos_weight):
    value, dx, dtarget = bce_with_logits(x, target, pos_weight)
    return weight * value, weight * dx, weight * dtarget


_bce_with_logits = define_loss(
    "_bce_with_logits", _bce_with_logits_at, "dx dtarget", "x target weight pos_weight", optional="weight pos_weight"
)


@kernel
def bce_with_logits_forward(loss, dx, dtarget, x, target, weight, pos_weight, reduction, stream=0):
    """One pass; one exp, one log1p and two divisions an element."""
    run_loss(_bce_with_logits, loss, (dx, dtarget), (x, target, weight, pos_weight), (), reduction, stream)


@device
def _kl_div_at(x, target, log_target):
    return kl_div_log(x, target) if log_target else kl_div(x, target)


_kl_div = define_loss("_kl_div", _kl_div_at, "dx dtarget", "x target", "log_target")


@kernel
def kl_div_forward(loss, dx, dtarget, x, target, log_target, reduction, stream=0):
    """One pass."""
    run_loss(_kl_div, loss, (dx, dtarget), (x, target), (log_target,), reduction, stream)


_soft_margin = define_loss("_soft_margin", soft_margin, "dx", "x target")


@kernel
def soft_margin_forward(loss, dx, x, target, reduction, stream=0):
    """One pass; finite where log(1 + exp(z)) overflows."""
    run_loss(_soft_margin, loss, (dx,), (x, target), (), reduction, stream)
