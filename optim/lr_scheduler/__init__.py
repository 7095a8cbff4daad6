"""Learning rate schedules with torch.optim.lr_scheduler's names, arguments, defaults, formulas and states.

    for batch in batches:
        optimizer.step()
        scheduler.step()      # after the optimizer's

A schedule is host arithmetic on Python floats: it writes `group["lr"]` of the optimizer, where the kernels read it.
Most schedules go from one rate to the next, rather than computing a rate from its number: so they can be chained, and
a rate that something else has changed goes on from there.
"""

from .base import LRScheduler
from .combined import ChainedScheduler, SequentialLR
from .cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from .cycles import CyclicLR, OneCycleLR
from .decay import ConstantLR, ExponentialLR, LinearLR, MultiStepLR, PolynomialLR, StepLR
from .functions import LambdaLR, MultiplicativeLR
from .plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
