"""Averaged stochastic gradient descent on a flat run of parameters."""

from .rule import count, descent, split


def asgd_update(param, ax, grad, step, eta, mu, hyper, maximize):
    """One step of ASGD, in place.

    t = step + 1;   g = (-grad if maximize else grad) + weight_decay * param
    e = lr at the first step, else eta
    param = (1 - lambd * e) * param - e * g
    ax = ax + mu * (param - ax);   ax = param when mu = 1
    eta = lr / (1 + lambd * lr * t)**alpha;   mu = 1 / max(1, t - t0)

    param     (N,)          [inout]  parameters
    ax        (N,)          [inout]  their average; not read while mu is 1
    grad      (N,)                   gradients
    step      (P,) float64  [inout]  steps made before this one, the same for the whole run; 1 is added
    eta       (P,) float64  [inout]  learning rate of this step, then of the next; not read at the first
    mu        (P,) float64  [inout]  weight of this step's parameters in ax, then of the next; 1 before the first
    hyper     (H,) float64           lr, lambd, alpha, t0, weight_decay; 3 more: rule.py
    maximize  bool                   climb instead of descending

    There is no eps.

    Raises ValueError when step has size 0.
    Source: Polyak & Juditsky 1992; as torch.optim.ASGD.
    """
    cast = param.dtype.type
    (lr, lambd, alpha, t0, weight_decay), shaping = split(hyper, 5)
    t = count(step)
    e = lr if t == 1 else eta[0]
    g = descent(param, grad, weight_decay, maximize, shaping)
    param[...] = cast(1 - lambd * e) * param - cast(e) * g
    if mu[0] == 1:
        ax[...] = param
    else:
        ax += cast(mu[0]) * (param - ax)
    eta[...] = lr / (1 + lambd * lr * t) ** alpha
    mu[...] = 1 / max(1, t - t0)
