"""The formulas of kernels/scalar.py on the CPU: inlined into the loops that call them, on our own vector math."""

from .. import scalar
from ..jit import inlined
from .vecmath import erf, exp, expm1, log1p, sigmoid, tanh

FORMULAS = scalar.bind(inlined, exp=exp, expm1=expm1, log1p=log1p, tanh=tanh, erf=erf, sigmoid=sigmoid)

# each under its name: scalar.gelu(x) in compiled code
globals().update(FORMULAS)
