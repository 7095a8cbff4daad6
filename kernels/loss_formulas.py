"""Losses of one element: the value and its gradients, written once and compiled for each target.

A formula takes numbers and gives the loss and its slope in each differentiable argument, in their order. It calls
exp, log and log1p by their bare names, which are Python's own here; kernels/binding.py gives a copy of all formulas in
which those names are the target's functions. Constants are made in the type of the argument, and both sides of a choice
are computed before it, so that a loop over a formula becomes vector instructions with a blend.
"""

from math import exp, log, log1p

HALF_LOG_2PI = 0.9189385332046727
MSE, L1, SMOOTH_L1, HUBER = range(4)


def sign(d):
    c = type(d)
    # d * 0 keeps the NaN
    flat = c(-1) if d < 0 else d * c(0)
    return c(1) if d > 0 else flat


def positive(x):
    """max(x, 0), NaN kept"""
    return type(x)(0) if x < 0 else x


def softplus(x):
    """(log(1 + exp(x)), its slope): finite for every finite x"""
    c = type(x)
    e = exp(-abs(x))
    return positive(x) + log1p(e), (e if x < 0 else c(1)) / (c(1) + e)


def mse(d):
    return d * d, d + d


def l1(d):
    return abs(d), sign(d)


def smooth_l1(d, beta):
    c = type(d)
    near = d / beta
    inside = abs(d) < beta
    return (c(0.5) * d * near if inside else abs(d) - c(0.5) * beta), (near if inside else sign(d))


def huber(d, delta):
    c = type(d)
    inside = abs(d) <= delta
    far = delta * (abs(d) - c(0.5) * delta)
    return (c(0.5) * d * d if inside else far), (d if inside else delta * sign(d))


def of_error(code, d, bend):
    """Loss and slope in d = x - target. `code` is best a constant: the other branches fold away."""
    if code == MSE:
        return mse(d)
    if code == L1:
        return l1(d)
    if code == SMOOTH_L1:
        return smooth_l1(d, bend)
    return huber(d, bend)


def poisson_nll_log(x, target):
    e = exp(x)
    return e - target * x, e - target, -x


def poisson_nll(x, target, eps):
    r = x + eps
    log_r = log(r)
    return x - target * log_r, type(x)(1) - target / r, -log_r


def stirling(target):
    """(log(target!) above 1 as Stirling has it, its slope)"""
    c = type(target)
    t = target if target > 1 else c(1)
    log_t = log(t)
    value = t * log_t - t + c(0.5) * log_t + c(HALF_LOG_2PI)
    return (value if target > 1 else c(0)), (log_t + c(0.5) / t if target > 1 else c(0))


def gaussian_nll(x, target, var, eps):
    c = type(x)
    v = eps if var < eps else var
    d = x - target
    z = d / v
    return c(0.5) * (log(v) + d * z), z, -z, c(0.5) * (c(1) - d * z) / v


def bce(x, target):
    c = type(x)
    log_x, log_rest = log(x), log1p(-x)
    p = c(-100) if log_x < -100 else log_x
    q = c(-100) if log_rest < -100 else log_rest
    spread = x * (c(1) - x)
    spread = c(1e-12) if spread < c(1e-12) else spread
    return -(target * p + (c(1) - target) * q), (x - target) / spread, log_rest - log_x


def bce_with_logits(x, target, pos_weight):
    c = type(x)
    e = exp(-abs(x))
    tail = log1p(e)
    above, below = positive(x), positive(-x)
    yes, no = pos_weight * target, c(1) - target
    # s and 1 - s, each with all its digits
    s, rest = (e if x < 0 else c(1)) / (c(1) + e), (c(1) if x < 0 else e) / (c(1) + e)
    # no difference of large numbers: every term is positive
    value = no * above + yes * below + (no + yes) * tail
    return value, no * s - yes * rest, pos_weight * below - above + (pos_weight - c(1)) * tail


def kl_div(x, target):
    c = type(x)
    log_t = log(target)
    entropy = target * log_t
    entropy = c(0) if target == 0 else entropy
    return entropy - target * x, -target, log_t + c(1) - x


def kl_div_log(x, target):
    p = exp(target)
    return p * (target - x), -p, p * (target + type(x)(1) - x)


def soft_margin(x, target):
    value, slope = softplus(-target * x)
    return value, -target * slope


def hinge_embedding(x, target, margin):
    c = type(x)
    gap = margin - x
    near = c(0) if target == -1 else x
    far = c(0) if target == 1 else positive(gap)
    near_slope = c(0) if target == -1 else c(1)
    far_slope = c(0) if (target == 1) | (gap < 0) else c(1)
    return near + far, near_slope - far_slope


def margin_ranking(x1, x2, target, margin):
    c = type(x1)
    gap = margin - target * (x1 - x2)
    on = c(1) if gap >= 0 else c(0)
    return positive(gap), -on * target, on * target, -on * (x1 - x2)


def triplet_margin(pos, neg, swap, margin):
    """With swap = neg, the slopes of the two add up to that of neg."""
    c = type(pos)
    least = swap if swap < neg else neg
    gap = margin + pos - least
    on = c(1) if gap >= 0 else c(0)
    share = c(1) if neg < swap else c(0.5)
    share = c(0) if neg > swap else share
    return positive(gap), on, -on * share, -on * (c(1) - share)
