"""Numba kernels for the CPU. Submodules are attributes: `cpu.linear.linear_forward`."""

from .. import submodules

__getattr__ = submodules(__name__)
