"""hotloop: training kernels compiled just in time by Numba, with PyTorch-shaped layers and optimizers on top.

    from hotloop import nn, optim
    from hotloop.kernels import cpu

Names are loaded when they are first used: `import hotloop` compiles nothing and imports next to nothing.
"""

import importlib

_SUBPACKAGES = ("kernels", "nn", "optim", "train")

# where each public name lives
_HOMES = {
    "nn.rng": ("get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"),
    "nn.random": ("rand", "rand_like", "randint", "randn", "randn_like", "randperm"),
    "nn.files": ("load", "save"),
    "kernels.threads": ("get_num_threads", "set_num_threads"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*sorted(_HOME_OF), *_SUBPACKAGES]


def __getattr__(name):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
