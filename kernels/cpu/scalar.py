"""The formulas of kernels/scalar.py on the CPU: inlined into the loops that call them, on our own vector math."""

from .. import scalar
from ..jit import inlined
from .vecmath import erf, exp, exp_below, expm1, expm1_below, log1p, sigmoid, tanh
from .vecnormal import gelu, gelu_grad

FORMULAS = scalar.bind(
    inlined,
    exp=exp,
    exp_below=exp_below,
    expm1=expm1,
    expm1_below=expm1_below,
    log1p=log1p,
    tanh=tanh,
    erf=erf,
    sigmoid=sigmoid,
    gelu=gelu,
    gelu_grad=gelu_grad,
)

# each under its name: scalar.gelu(x) in compiled code
globals().update(FORMULAS)
