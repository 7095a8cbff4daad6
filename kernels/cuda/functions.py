"""Elementary functions as device code calls them, and every formula of kernels/scalar.py made of them.

They have NumPy's names: for the formulas of kernels/formulas.py this module stands in for `np`.
"""

import math

import numpy as np

from .. import scalar
from .ptx import ceil, floor, floor_divide, remainder, rint, trunc
from .target import SIMULATOR, device

__all__ = ["ceil", "floor", "floor_divide", "remainder", "rint", "trunc"]  # to be had from here

if SIMULATOR:

    def _like(function):
        """NumPy's function in the type of its argument, infinite where the device's is."""

        def simulated(x):
            with np.errstate(all="ignore"):
                return type(x)(function(x))

        return simulated

    exp, expm1, log, log1p, tanh, sqrt = map(_like, (np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sqrt))
    sin, cos, tan, arctan = map(_like, (np.sin, np.cos, np.tan, np.arctan))
    erf = _like(math.erf)
else:
    exp, expm1, log, log1p, tanh, sqrt = math.exp, math.expm1, math.log, math.log1p, math.tanh, math.sqrt
    sin, cos, tan, arctan = math.sin, math.cos, math.tan, math.atan
    erf = math.erf

# every activation, gradient and fused formula as a device function
formulas = scalar.bind(device, exp=exp, expm1=expm1, log1p=log1p, tanh=tanh, erf=erf)
