"""The gradient of a table of which few rows were used: those rows, outside of any optimizer's buffer."""

from __future__ import annotations

from typing import Any

import numpy as np

from .doors import call, copy_into, device_of, empty, from_host, to_host
from .dtypes import int64

__all__ = ["SparseGradient"]


class SparseGradient:
    """Rows of a gradient (V, D) that is 0 elsewhere: what `.grad` is after a look-up with `sparse=True`.

    rows    (K,) int64, 0 .. V-1; a row that is named twice is the sum of both
    values  (K, D), the rows
    shape   (V, D)

    It can be scaled, `0.5 * grad`, and made whole, `grad.to_dense()`.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.Embedding(1000, 2, sparse=True)
    >>> layer(np.array([7, 3, 7])).sum().backward()
    >>> layer.weight.grad
    SparseGradient(rows=2, shape=(1000, 2), dtype=float32)
    >>> layer.weight.grad.rows, layer.weight.grad.values
    (array([3, 7]), array([[1., 1.],
           [2., 2.]], dtype=float32))
    """

    __slots__ = ("_ascending", "rows", "shape", "values")

    def __init__(self, rows: Any, values: Any, shape: tuple[int, ...], *, coalesced: bool = False) -> None:
        self.shape = shape = tuple(shape)
        if len(shape) != 2 or rows.ndim != 1 or values.shape != (rows.size, shape[1]):
            got = f"{rows.shape}, {values.shape} and {shape}"
            raise ValueError(f"expected rows (K,), values (K, D) and shape (V, D), got {got}")
        if rows.dtype != int64:
            raise TypeError(f"expected rows of int64, got {rows.dtype}")
        self.rows, self.values = rows, values
        # whether rows ascend, each named once
        self._ascending = coalesced

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def is_coalesced(self) -> bool:
        """Whether every row is named once, in ascending order."""
        return self._ascending

    def coalesce(self) -> SparseGradient:
        """The same with every row named once, in ascending order: itself, where it is so."""
        return self if self._ascending else coalesced(self.values, self.rows, self.shape)

    def to_dense(self) -> Any:
        """The whole, as an array."""
        whole = empty(self.shape, self.dtype, device_of(self.values))
        call("elementwise.fill_forward", whole, 0.0)
        self.add_to(whole)
        return whole

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(to_host(self.to_dense()), dtype=dtype)

    def add_to(self, whole: Any) -> None:
        """whole = whole + self, in place."""
        call("index.put_forward", whole[None], self.values[None], self.rows, True)

    def plus(self, other: SparseGradient) -> SparseGradient:
        """The sum: the rows of both."""
        n, device = self.rows.size, device_of(self.values)
        rows = empty((n + other.rows.size,), int64, device)
        values = empty((rows.size, self.shape[1]), self.dtype, device)
        for whole, first, second in ((rows, self.rows, other.rows), (values, self.values, other.values)):
            copy_into(whole[:n], first)
            copy_into(whole[n:], second)
        return SparseGradient(rows, values, self.shape)

    def __mul__(self, factor: Any) -> SparseGradient:
        """The same with its values times a number."""
        if not isinstance(factor, (int, float, np.integer, np.floating)):
            raise TypeError(f"expected a number to scale a SparseGradient by, got a {type(factor).__name__}")
        values = empty(self.values.shape, self.dtype, device_of(self.values))
        call("elementwise.fill_forward", values, float(factor))
        call("elementwise.mul_forward", values, values, self.values)
        return SparseGradient(self.rows, values, self.shape, coalesced=self._ascending)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> SparseGradient:
        return self * (1 / divisor)

    def to(self, device: str | None, dtype: np.dtype | None) -> SparseGradient:
        """A copy, on another device or of another dtype where given."""
        here = device_of(self.values)
        rows, values = (empty(a.shape, d, here) for a, d in ((self.rows, int64), (self.values, dtype or self.dtype)))
        copy_into(rows, self.rows)
        copy_into(values, self.values)
        if device not in (None, here):
            rows, values = (from_host(to_host(a), device) for a in (rows, values))
        return SparseGradient(rows, values, self.shape, coalesced=self._ascending)

    def zero_(self) -> None:
        """No rows at all."""
        self.rows, self.values, self._ascending = self.rows[:0], self.values[:0], True

    def __repr__(self) -> str:
        return f"SparseGradient(rows={self.rows.size}, shape={self.shape}, dtype={self.dtype})"


def coalesced(values: Any, rows: Any, shape: tuple[int, ...], left_out: int = -1) -> SparseGradient:
    """The sums of the values (K, D) that stand at the same row, but for those of the row `left_out`."""
    device = device_of(values)
    found, count = empty(rows.shape, int64, device), empty((1,), int64, device)
    sums = empty(values.shape, values.dtype, device)
    call("embedding.embedding_rows_backward", found, sums, count, values, rows, shape[0], left_out)
    return first_rows(found, sums, count, shape)


def first_rows(rows: Any, values: Any, count: Any, shape: tuple[int, ...]) -> SparseGradient:
    """A gradient of as many rows as a kernel has counted."""
    n = int(to_host(count)[0])
    return SparseGradient(rows[:n], values[:n], shape, coalesced=True)
