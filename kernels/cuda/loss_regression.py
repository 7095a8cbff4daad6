"""Losses of regression: a pass over the elements for each formula, as loss.py describes."""

from . import status
from .loss import define_loss, formulas, run_loss
from .target import device, kernel

of_error, stirling, gaussian_nll = formulas.of_error, formulas.stirling, formulas.gaussian_nll
poisson_nll, poisson_nll_log = formulas.poisson_nll, formulas.poisson_nll_log
MSE, L1, SMOOTH_L1, HUBER = formulas.MSE, formulas.L1, formulas.SMOOTH_L1, formulas.HUBER
HALF_LOG_2PI = formulas.HALF_LOG_2PI


@device
def _mse_at(x, target):
    value, slope = of_error(MSE, x - target, x)
    return value, slope, -slope


@device
def _l1_at(x, target):
    value, slope = of_error(L1, x - target, x)
    return value, slope, -slope


@device
def _smooth_l1_at(x, target, bend):
    value, slope = of_error(SMOOTH_L1, x - target, bend)
    return value, slope, -slope


@device
def _huber_at(x, target, bend):
    value, slope = of_error(HUBER, x - target, bend)
    return value, slope, -slope


_mse = define_loss("_mse", _mse_at, "dx dtarget", "x target")
_l1 = define_loss("_l1", _l1_at, "dx dtarget", "x target")
_smooth_l1 = define_loss("_smooth_l1", _smooth_l1_at, "dx dtarget", "x target", "bend")
_huber = define_loss("_huber", _huber_at, "dx dtarget", "x target", "bend")


@kernel
def mse_forward(loss, dx, dtarget, x, target, reduction, stream=0):
    """Three streams of memory where one gradient is asked for."""
    run_loss(_mse, loss, (dx, dtarget), (x, target), (), reduction, stream)


@kernel
def l1_forward(loss, dx, dtarget, x, target, reduction, stream=0):
    """As mse_forward."""
    run_loss(_l1, loss, (dx, dtarget), (x, target), (), reduction, stream)


@kernel
def smooth_l1_forward(loss, dx, dtarget, x, target, beta, reduction, stream=0):
    """As mse_forward."""
    if beta < 0:
        raise ValueError("smooth_l1_forward: beta: expected 0 or more")
    run_loss(_smooth_l1, loss, (dx, dtarget), (x, target), (beta,), reduction, stream)


@kernel
def huber_forward(loss, dx, dtarget, x, target, delta, reduction, stream=0):
    """As mse_forward."""
    if not delta > 0:
        raise ValueError("huber_forward: delta: expected more than 0")
    run_loss(_huber, loss, (dx, dtarget), (x, target), (delta,), reduction, stream)


@device
def _poisson_at(x, target, log_input, full, eps):
    value, dx, dtarget = poisson_nll_log(x, target) if log_input else poisson_nll(x, target, eps)
    if full:
        more, slope = stirling(target)
        value, dtarget = value + more, dtarget + slope
    return value, dx, dtarget


_poisson_nll = define_loss("_poisson_nll", _poisson_at, "dx dtarget", "x target", "log_input full eps")


@kernel
def poisson_nll_forward(loss, dx, dtarget, x, target, log_input, full, eps, reduction, stream=0):
    """As mse_forward."""
    run_loss(_poisson_nll, loss, (dx, dtarget), (x, target), (log_input, full, eps), reduction, stream)


@device
def _gaussian_at(x, target, var, constant, eps):
    value, dx, dtarget, dvar = gaussian_nll(x, target, var, eps)
    return value + constant, dx, dtarget, dvar, var < 0


_gaussian_nll = define_loss(
    "_gaussian_nll", _gaussian_at, "dx dtarget dvar", "x target var", "constant eps", problem="VARIANCE"
)


@kernel
def gaussian_nll_forward(loss, dx, dtarget, dvar, x, target, var, full, eps, reduction, stream=0):
    """As mse_forward; a negative variance is reported by the next call that waits for the device."""
    numbers = HALF_LOG_2PI if full else 0.0, eps
    run_loss(_gaussian_nll, loss, (dx, dtarget, dvar), (x, target, var), numbers, reduction, stream, status.word())
