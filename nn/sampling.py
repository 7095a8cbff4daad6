"""Draws by given weights: bernoulli, multinomial."""

from __future__ import annotations

import numpy as np

from .doors import call, empty, from_host, to_host
from .dtypes import float64, is_floating
from .rng import next_state
from .tensor import Tensor, as_tensor

__all__ = ["bernoulli", "multinomial"]


def bernoulli(input, *, generator=None) -> Tensor:
    """1 with the probability that each element of `input` says, else 0; of input's shape and dtype.

    generator  as of `multinomial`
    """
    p = _floating(input, "bernoulli")
    if not p.ge(0).logical_and(p.le(1)).all().item():
        raise ValueError("bernoulli: expected probabilities of 0 .. 1")
    # a uniform number is below 1, and not below 0
    return Tensor(_uniform(p.shape, p.dtype, p.device, generator)).lt(p).to(p.dtype)


def multinomial(input, num_samples: int, replacement: bool = False, *, generator=None) -> Tensor:
    """Draw `num_samples` places of each row, by the row's weights: int64, (num_samples,) or (rows, num_samples).

    input        (places,) or (rows, places) weights of 0 or more, which need not sum to 1
    replacement  whether a place may be drawn again; without, a row needs as many weights above 0 as are drawn
    generator    a state as `get_rng_state` gives it, which moves on, instead of this thread's own

    As torch.multinomial; found on the host.
    """
    x = _floating(input, "multinomial")
    if x.ndim not in (1, 2):
        raise ValueError(f"multinomial: input: expected (places,) or (rows, places), got shape {x.shape}")
    if num_samples < 1:
        raise ValueError(f"multinomial: num_samples: expected 1 or more, got {num_samples}")
    weights = np.atleast_2d(to_host(x.data)).astype(np.float64)
    rows, places = weights.shape
    if not replacement and num_samples > places:
        raise ValueError(f"multinomial: expected at most {places} samples without replacement, got {num_samples}")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("multinomial: expected weights of 0 or more, not infinite and not NaN")
    least = 1 if replacement else num_samples
    if rows and np.count_nonzero(weights, axis=1).min() < least:
        raise ValueError(f"multinomial: expected {least} or more weights above 0 in each row")
    # one sample is the same either way
    draw = _drawn if replacement or num_samples == 1 else _raced
    count = (rows, num_samples if draw is _drawn else places)
    uniform = to_host(_uniform(count, float64, x.device, generator))
    # sums of the largest weights stay finite
    weights /= weights.max(axis=1, keepdims=True, initial=0)
    drawn = draw(weights, uniform, num_samples)
    return Tensor(from_host(drawn if x.ndim == 2 else drawn[0], x.device))


def _drawn(weights, uniform, n):
    """With replacement: where n uniform numbers fall among the running sums."""
    drawn = np.empty((len(weights), n), np.int64)
    for sums, u, places in zip(np.cumsum(weights, axis=1), uniform, drawn, strict=True):
        # the first sum above, never one that a weight of 0 left as it was
        places[:] = np.searchsorted(sums, u * sums[-1], side="right")
    return drawn


def _raced(weights, uniform, n):
    """Without: each place comes after an exponential time of rate `weight`, and the first n are drawn."""
    with np.errstate(divide="ignore"):
        # logarithms, so that small weights do not overflow; times of 0 are kept away
        times = np.log(-np.log1p(-np.maximum(uniform, 2.0**-54))) - np.log(weights)
    return np.argsort(times, axis=1, kind="stable")[:, :n].copy()


def _floating(input, what):
    x = as_tensor(input).detach()
    if not is_floating(x.dtype):
        raise TypeError(f"{what}: input: expected floats, got {x.dtype}; use .float()")
    return x


def _uniform(shape, dtype, device, generator):
    array = empty(shape, dtype, device)
    call("random.uniform_forward", array, next_state(array.size, device, generator), 0.0, 1.0)
    return array
