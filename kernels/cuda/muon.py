"""Muon: a pass that makes the momentum and its norm, matrix products, a pass that moves (passes.py, gemm.py).

An iteration is three products. Its polynomial takes a's identity along,

    s = x x^T;   q = a I + b s + c s s;   x = q x

so that no product has to be added to anything. A tall matrix is multiplied from the other side, x = x q with s = x^T x,
where it lies: nothing is transposed.
"""

from .gemm import product
from .passes import define_pass, run, sums_of
from .planes import column, column_step, i32, over_planes, row, row_step
from .rule import check
from .rule import counted as counted  # for the lines below, as the next
from .rule import sqrt as sqrt
from .target import empty, jit, kernel

AVERAGE = """
momentum_buffer += fresh * (g - momentum_buffer)
x = g + momentum * (momentum_buffer - g) if nesterov else momentum_buffer
"""
define_pass(
    globals(),
    "_muon_momentum",
    ("momentum_buffer", "x"),
    ("grad",),
    ("hyper", "nesterov", "sums"),
    AVERAGE,
    begin="momentum, fresh = hyper[2], 1 - hyper[2]",
    numbers=("momentum", "fresh"),
    scalars=("nesterov",),
    sums=("np.float64(x) * np.float64(x)",),
    reads=("momentum_buffer",),
)
LENGTH = """
norm = sqrt(square)
shrink = 1 / (hyper[6] if norm < hyper[6] else norm)
"""
define_pass(
    globals(),
    "_muon_scale",
    ("x",),
    (),
    ("hyper", "partial"),
    "x *= shrink",
    begin=LENGTH,
    numbers=("shrink",),
    totals={"square": 0},
)
define_pass(
    globals(),
    "_muon_move",
    ("param",),
    ("x",),
    ("step", "hyper", "ratio"),
    "p = keep * p - length * x",
    begin="keep, length = 1 - hyper[0] * hyper[1], hyper[0] * ratio",
    numbers=("keep", "length"),
    end="counted(step)",
)


@jit
def _muon_polynomial(q, s, hyper):
    """q = a I + b s + c q"""
    real, size = q.dtype.type, i32(q.shape[0])
    a, b, c = real(hyper[3]), real(hyper[4]), real(hyper[5])
    k = column()
    while k < size:
        j = row()
        while j < size:
            v = b * s[j, k] + c * q[j, k]
            q[j, k] = v + a if j == k else v
            j = i32(j + row_step())
        k = i32(k + column_step())


@kernel
def muon_update(param, momentum_buffer, grad, step, hyper, ratio, ns_steps, nesterov, stream=0):
    """Per iteration two products of the shorter side k with the longer one and one of k with itself, and a pass over
    k x k; 40 bytes a float32 parameter beside them."""
    check("muon_update", hyper, 7, step)
    shape, real = param.shape, param.dtype
    x, y = empty(shape, real), empty(shape, real)
    args = momentum_buffer.reshape(-1), x.reshape(-1), grad.reshape(-1)
    partial = sums_of(_muon_momentum, 1, stream, *args, hyper, nesterov)  # noqa: F821
    run(_muon_scale, stream, x.reshape(-1), hyper, partial)  # noqa: F821
    k, wide = min(shape), shape[0] <= shape[1]
    s, q = empty((k, k), real), empty((k, k), real)
    for _ in range(ns_steps if param.size else 0):
        product(s, x, x, not wide, wide, False, stream)
        product(q, s, s, False, False, False, stream)
        over_planes(_muon_polynomial, 1, k, k, stream, q, s, hyper)
        product(y, *((q, x) if wide else (x, q)), False, False, False, stream)
        x, y = y, x
    run(_muon_move, stream, param.reshape(-1), x.reshape(-1), step, hyper, ratio)  # noqa: F821
