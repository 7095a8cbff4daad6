"""RMSprop: one launch, every array read once and written once (rule.py); a kernel for each choice of the states."""

from . import status
from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
lr, alpha, fresh, eps, momentum = hyper[0], hyper[1], 1 - hyper[1], hyper[2], hyper[4]
factor, bound, decay, l1 = pulled(hyper, 5, hyper[3], maximize)
"""
SQUARES = """
g = descent(p, g, factor, bound, decay, l1)
square_avg = alpha * square_avg + fresh * g * g
u = square_avg
"""
CENTERED = """
grad_avg += fresh * (g - grad_avg)
u -= grad_avg * grad_avg
"""
DIRECTION = """
d = g / (sqrt(u) + eps)
"""
MOMENTUM = """
if momentum > 0:
    d += momentum * momentum_buffer
    momentum_buffer = d
"""
MOVE = """
p -= lr * d
"""
# without a buffer there must be no momentum
GUARD = """
if hyper[4] > 0:
    problem[0] = status.MOMENTUM
    return
"""
NUMBERS = ("lr", "alpha", "fresh", "eps", "momentum", *PULL)
for _centered in (False, True):
    for _momentum in (False, True):
        define(
            globals(),
            f"_rmsprop{'_centered' * _centered}{'_momentum' * _momentum}",
            ("square_avg", *("grad_avg",) * _centered, *("momentum_buffer",) * _momentum),
            BEGIN,
            NUMBERS,
            SQUARES + CENTERED * _centered + DIRECTION + MOMENTUM * _momentum + MOVE,
            ("maximize", *("problem",) * (not _momentum)),
            guard="" if _momentum else GUARD,
        )


@kernel
def rmsprop_update(param, square_avg, grad_avg, momentum_buffer, grad, step, hyper, maximize, stream=0):
    """20 bytes a float32 parameter, 8 more with a momentum_buffer, 8 more when centered. A momentum without a buffer is
    told by the next call that waits for the device."""
    check("rmsprop_update", hyper, 5, step)
    centered, momentum = grad_avg.size > 0, momentum_buffer.size == param.size
    function = globals()[f"_rmsprop{'_centered' * centered}{'_momentum' * momentum}"]
    states = square_avg, *(grad_avg,) * centered, *(momentum_buffer,) * momentum
    problem = () if momentum else (status.word(),)
    run(function, stream, param, *states, grad, step, hyper, maximize, *problem)
