"""The definition of every kernel in plain NumPy, and the one place where its arguments are documented."""

from .. import submodules

__getattr__ = submodules(__name__)
