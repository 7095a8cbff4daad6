"""Losses of probabilities, one number at a time: binary cross-entropies, Kullback-Leibler divergence, logistic loss."""

import numpy as np

from .loss import reduced, save


def _sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


def _softplus(x):
    """log(1 + exp(x)), finite for every finite x"""
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def bce_forward(loss, dx, dtarget, x, target, weight, reduction):
    """loss = -weight * (target * max(log(x), -100) + (1 - target) * max(log(1 - x), -100))

    The gradient is weight * (x - target) / max(x * (1 - x), 1e-12), finite at 0 and 1.

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget    (...) or (0,)  [out]  likewise for target: weight * (log(1 - x) - log(x))
    x          (...)                 probabilities, 0 .. 1
    target     (...)                 probabilities, 0 .. 1
    weight     (...) or (0,)         factor of each element
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit, and for x or target outside 0 .. 1 (a NaN is).
    Source: as torch.nn.BCELoss.
    """
    if not ((x >= 0) & (x <= 1) & (target >= 0) & (target <= 1)).all():
        raise ValueError("bce_forward: x and target: expected values between 0 and 1")
    w = weight if weight.size else x.dtype.type(1)
    with np.errstate(divide="ignore"):
        p, q = np.log(x), np.log1p(-x)
    values = -w * (target * np.maximum(p, -100) + (1 - target) * np.maximum(q, -100))
    scale = reduced(loss, values.astype(x.dtype), reduction)
    save(dx, scale * w * (x - target) / np.maximum(x * (1 - x), x.dtype.type(1e-12)))
    save(dtarget, scale * w * (q - p))


def bce_with_logits_forward(loss, dx, dtarget, x, target, weight, pos_weight, reduction):
    """loss = -weight * (pos_weight * target * log(s(x)) + (1 - target) * log(1 - s(x))),  s the sigmoid

    Computed as (1 - target) * max(x, 0) + pos_weight * target * max(-x, 0) + (1 - target + pos_weight * target) *
    log(1 + exp(-|x|)): all terms are positive, no logit overflows.

    loss        (L,)           [out]  one value a sample for reduction 0, else one value
    dx          (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget     (...) or (0,)  [out]  likewise for target
    x           (...)                 logits
    target      (...)                 probabilities, 0 .. 1
    weight      (...) or (0,)         factor of each element
    pos_weight  (...) or (0,)         factor of the positive part
    reduction   int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.BCEWithLogitsLoss.
    """
    one = x.dtype.type(1)
    w, pos = weight if weight.size else one, pos_weight if pos_weight.size else one
    yes, no = pos * target, 1 - target
    above, below, tail = np.maximum(x, 0), np.maximum(-x, 0), np.log1p(np.exp(-abs(x)))
    scale = reduced(loss, w * (no * above + yes * below + (no + yes) * tail), reduction)
    save(dx, scale * w * (no * _sigmoid(x) - yes * _sigmoid(-x)))
    save(dtarget, scale * w * (pos * below - above + (pos - 1) * tail))


def kl_div_forward(loss, dx, dtarget, x, target, log_target, reduction):
    """loss = target * (log(target) - x), 0 where target is 0;  exp(target) * (target - x) when target is a logarithm

    loss        (L,)           [out]  one value a sample for reduction 0, else one value
    dx          (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget     (...) or (0,)  [out]  likewise for target; -inf where a target (not a logarithm) is 0
    x           (...)                 logarithms of probabilities
    target      (...)                 probabilities, or their logarithms
    log_target  bool                  target is a logarithm
    reduction   int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.KLDivLoss.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        log_t = target if log_target else np.log(target)
        p = np.exp(target) if log_target else target
        entropy = p * log_t if log_target else np.where(p == 0, x.dtype.type(0), p * log_t)
        scale = reduced(loss, entropy - p * x, reduction)
        save(dx, -scale * p)
        save(dtarget, scale * (log_t + 1 - x) * (p if log_target else 1))


def soft_margin_forward(loss, dx, x, target, reduction):
    """loss = log(1 + exp(-target * x))

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    x          (...)                 scores
    target     (...)                 -1 or 1
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.SoftMarginLoss.
    """
    scale = reduced(loss, _softplus(-target * x), reduction)
    save(dx, -scale * target * _sigmoid(-target * x))
