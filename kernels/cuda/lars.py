"""LARS: a pass over parameter and gradient for their norms, then one that moves the parameter (passes.py)."""

from . import status
from .passes import define_pass, run, sums_of
from .rule import PULL, check, define
from .rule import descent as descent  # for the lines below, as the next
from .rule import pulled as pulled
from .target import kernel

SQUARES = """
g = descent(p, g, factor, bound, decay, l1)
"""
define_pass(
    globals(),
    "_lars_squares",
    (),
    ("param", "grad"),
    ("hyper", "maximize", "sums"),
    SQUARES,
    begin="factor, bound, decay, l1 = pulled(hyper, 5, 0.0, maximize)",
    numbers=PULL,
    sums=("np.float64(p) * np.float64(p)", "np.float64(g) * np.float64(g)"),
)
BEGIN = """
lr, momentum, weight_decay = hyper[0], hyper[1], hyper[2]
norm, slope = sqrt(of_param), sqrt(of_grad)
trust = 1.0
if norm != 0 and slope != 0 and hyper[3] != 0:
    trust = hyper[3] * norm / (slope + weight_decay * norm + hyper[4])
factor, bound, decay, l1 = pulled(hyper, 5, weight_decay, maximize)
"""
PLAIN = """
p -= lr * (trust * descent(p, g, factor, bound, decay, l1))
"""
MOMENTUM = """
d = trust * descent(p, g, factor, bound, decay, l1)
if momentum != 0:
    momentum_buffer = momentum * momentum_buffer + d
    d = d + momentum * momentum_buffer if nesterov else momentum_buffer
p -= lr * d
"""
NORMS = {"of_param": 0, "of_grad": 1}
# without a buffer there must be no momentum
GUARD = """
if hyper[1] != 0:
    problem[0] = status.MOMENTUM
    return
"""
define(
    globals(),
    "_lars",
    (),
    BEGIN,
    ("lr", "trust", *PULL),
    PLAIN,
    ("maximize", "partial", "problem"),
    guard=GUARD,
    totals=NORMS,
)
define(
    globals(),
    "_lars_momentum",
    ("momentum_buffer",),
    BEGIN,
    ("lr", "trust", "momentum", *PULL),
    MOMENTUM,
    ("nesterov", "maximize", "partial"),
    totals=NORMS,
)


@kernel
def lars_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize, stream=0):
    """28 bytes a float32 parameter, 20 without momentum_buffer: 8 for the norms, the rest for the move. A momentum
    without a buffer is told by the next call that waits for the device."""
    check("lars_update", hyper, 5, step)
    partial = sums_of(_lars_squares, 2, stream, param, grad, hyper, maximize)  # noqa: F821
    if momentum_buffer.size == param.size:
        run(_lars_momentum, stream, param, momentum_buffer, grad, step, hyper, nesterov, maximize, partial)  # noqa: F821
    else:
        run(_lars, stream, param, grad, step, hyper, maximize, partial, status.word())  # noqa: F821
