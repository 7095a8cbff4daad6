"""How two shapes meet: the result's shape, the at most four dimensions a kernel walks, and the way back."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

from ..doors import call, copy_into, empty
from ..dtypes import float32, is_floating

__all__ = ["Plan", "broadcast_shape", "expanded", "plan", "reduced"]


class Plan(NamedTuple):
    shape: tuple[int, ...]  # of the result
    walk: tuple[int, ...] | None  # four dimensions of the same elements; None: more than four are needed
    strides: tuple[int, ...]  # of both operands along them, in elements
    sums: tuple[tuple, tuple]  # for each operand the (O, R, I) sums that bring a gradient back to its shape


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the result; ValueError when there is none."""
    result = [1] * max(map(len, shapes))
    for shape in shapes:
        for i, n in enumerate(shape, len(result) - len(shape)):
            if result[i] == 1:
                result[i] = n
            elif n not in (1, result[i]):
                raise ValueError(f"shapes {' and '.join(map(str, shapes))} do not broadcast: {result[i]} meets {n}")
    return tuple(result)


@lru_cache(maxsize=4096)
def plan(a: tuple[int, ...], b: tuple[int, ...]) -> Plan:
    shape = broadcast_shape(a, b)
    # neighbours that are broadcast alike are one dimension: [size, whether a has it, whether b has it]
    runs: list[list] = []
    for n, in_a, in_b in zip(shape, _padded(a, shape), _padded(b, shape), strict=True):
        if n == 1:
            continue
        has = [in_a == n, in_b == n]
        if runs and runs[-1][1:] == has:
            runs[-1][0] *= n
        else:
            runs.append([n, *has])
    sums = (_sums(runs, 1), _sums(runs, 2))
    if len(runs) > 4:
        return Plan(shape, None, (), sums)
    runs = [[1, False, False]] * (4 - len(runs)) + runs
    return Plan(shape, tuple(run[0] for run in runs), (*_strides(runs, 1), *_strides(runs, 2)), sums)


def _padded(shape: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (len(result) - len(shape)) + shape


def _strides(runs: list, which: int) -> list[int]:
    strides, step = [], 1
    for run in reversed(runs):
        strides.append(step if run[which] else 0)
        step *= run[0] if run[which] else 1
    return strides[::-1]


def _sums(runs: list, which: int) -> tuple:
    """Sums over the runs that operand `which` has not, the last first."""
    sums = []
    sizes = [run[0] for run in runs]
    for i in reversed(range(len(runs))):
        if not runs[i][which]:
            sums.append((math.prod(sizes[:i]), sizes[i], math.prod(sizes[i + 1 :])))
            del sizes[i]
    return tuple(sums)


def reduced(gradient: Any, sums: tuple, shape: tuple[int, ...], device: str) -> Any:
    """A contiguous gradient of the result's shape, summed to an operand's; one of 16 bits in float32."""
    dtype = gradient.dtype
    if sums and is_floating(dtype) and dtype.itemsize == 2:
        gradient = _cast(gradient, float32, device)
    for O, R, I in sums:
        total = empty((O, I), gradient.dtype, device)
        call("reduce.sum_forward", total, gradient.reshape(O, R, I))
        gradient = total
    if gradient.dtype != dtype:
        gradient = _cast(gradient, dtype, device)
    return gradient.reshape(shape)


def _cast(x: Any, dtype: Any, device: str) -> Any:
    y = empty(x.shape, dtype, device)
    copy_into(y, x)
    return y


def expanded(x: Any, shape: tuple[int, ...], device: str) -> Any:
    """x as a contiguous array of that shape."""
    if x.shape == shape:
        return x
    y = empty(shape, x.dtype, device)
    copy_into(y, x)
    return y
