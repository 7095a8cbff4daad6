"""Windows of pooling, an axis at a time: what kernels/ref/pool_max.py and pool_average.py take, and what may be asked.

Tables are made once for each geometry and kept.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from .doors import from_host, host_array
from .dtypes import int64

__all__ = ["adaptive_windows", "regular_windows", "sizes", "unit_axis"]


def sizes(value: Any, dims: int, name: str) -> tuple[int, ...]:
    """One integer for all axes, or one for each."""
    given = value if isinstance(value, (tuple, list)) else (value,)
    try:
        found = tuple(operator.index(v) for v in given)
    except TypeError:
        found = ()
    if len(found) == 1:
        found *= dims
    if len(found) != dims:
        raise ValueError(f"{name}: expected an integer or {dims} of them, got {value!r}")
    return found


def _table(rows, device):
    return from_host(host_array(rows, int64).reshape(1, -1, 3), device)


@functools.lru_cache(maxsize=1024)
def unit_axis(device: str):
    """The only window of an axis that is not there."""
    return _table([(0, 1, 1)], device)


@functools.lru_cache(maxsize=4096)
def regular_windows(name, device, size, kernel, stride, padding, dilation, ceil_mode, divisor):
    """Windows of `kernel` elements, `stride` apart, over an axis with `padding` elements more at each end.

    divisor  "step": the third number is the dilation, for max pooling; "padded": the elements of a window with those of
             the padding, "inside": without; or an integer
    """
    reach = dilation * (kernel - 1) + 1
    if min(kernel, stride, dilation) < 1 or padding < 0:
        raise ValueError(
            f"{name}: expected kernel_size, stride and dilation of at least 1 and padding of at least 0, "
            f"got {kernel}, {stride}, {dilation} and {padding}"
        )
    if padding > reach // 2:
        raise ValueError(f"{name}: pad should be at most half of the kernel's reach {reach}, got {padding}")
    room = size + 2 * padding - reach
    if size < 1 or (room < 0 and not (ceil_mode and room > -stride)):
        raise ValueError(
            f"{name}: expected a kernel no larger than the input, got a reach of {reach} "
            f"for {size} elements and padding {padding}"
        )
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1  # the last window would begin beyond the input
    rows = []
    for begin in range(-padding, count * stride - padding, stride):
        padded = min(begin + reach, size + padding)
        # the first position inside, in whole steps
        first, end = begin + -(min(begin, 0) // dilation) * dilation, min(padded, size)
        inside = max(0, end - first)
        third = {"step": dilation, "padded": padded - begin, "inside": inside}.get(divisor, divisor)
        rows.append((first, first + inside, third) if inside else (0, 0, third))
    return _table(rows, device)


@functools.lru_cache(maxsize=4096)
def adaptive_windows(device, size, count, divides):
    """`count` windows that cover an axis evenly, floor(o size / count) .. ceil((o + 1) size / count)."""
    rows = []
    for o in range(count):
        first, end = o * size // count, -(-(o + 1) * size // count)
        rows.append((first, end, end - first if divides else 1))
    return _table(rows, device)
