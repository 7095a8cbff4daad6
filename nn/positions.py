"""Where in a sequence a row stands: sinusoids and learned vectors that are added, and rotations of queries and keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import init
from .device import as_device
from .doors import call, contiguous, empty, from_host, host_waves, refuse_while_recording
from .dropout import Dropout
from .embedding import as_ids, embedding
from .factory import FLOAT32, FLOATS, float_dtype, new_parameter
from .module import Module
from .parameter import Parameter
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["LearnedPositionalEncoding", "RotaryEmbedding", "SinusoidalPositionalEncoding", "rotary_embedding"]


class _Added(Module):
    """Adds row `offset + l` of a table to step l of its input, then drops out."""

    def __init__(self, d_model: int, max_length: int, dropout: float, batch_first: bool) -> None:
        super().__init__()
        name = type(self).__name__
        _check_size(name, "d_model", d_model, 1)
        _check_size(name, "max_length", max_length, 1)
        self.d_model, self.max_length, self.batch_first = d_model, max_length, batch_first
        self.dropout = Dropout(dropout)

    def _table(self) -> Tensor:
        raise NotImplementedError

    def forward(self, input, offset: int = 0) -> Tensor:
        x, name = as_tensor(input), type(self).__name__
        shape = x.shape
        if len(shape) not in (2, 3) or shape[-1] != self.d_model:
            layout = f"(N, L, {self.d_model})" if self.batch_first else f"(L, N, {self.d_model})"
            raise ValueError(f"{name}: expected an input {layout} or (L, {self.d_model}), got shape {tuple(shape)}")
        batched = len(shape) == 3
        length = shape[1] if batched and self.batch_first else shape[0]
        _check_size(name, "offset", offset, 0)
        if offset + length > self.max_length:
            got = f"{length} steps" + (f" behind {offset}" if offset else "")
            raise ValueError(f"{name}: expected at most max_length = {self.max_length} positions, got {got}")
        rows = self._table()[offset : offset + length]
        return self.dropout(x + (rows.unsqueeze(1) if batched and not self.batch_first else rows))

    def extra_repr(self) -> str:
        first = ", batch_first=True" if self.batch_first else ""
        return f"{self.d_model}, max_length={self.max_length}{first}"


class SinusoidalPositionalEncoding(_Added):
    """y[l] = dropout(x[l] + table[offset + l]), table[p, 2 i] = sin(p / 10000^(2 i / d)), table[p, 2 i + 1] = cos(same)

    Input (L, N, d_model), or (N, L, d_model) with `batch_first`, or (L, d_model); output the same. `offset` is the
    position of the first step, for decoding a step at a time. No parameters: the table is a buffer that state files
    leave out. Source: Vaswani et al. 2017.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.SinusoidalPositionalEncoding(4, max_length=50, batch_first=True)
    >>> layer(np.zeros((2, 3, 4), np.float32)).numpy()[0].round(3)
    array([[ 0.   ,  1.   ,  0.   ,  1.   ],
           [ 0.841,  0.54 ,  0.01 ,  1.   ],
           [ 0.909, -0.416,  0.02 ,  1.   ]], dtype=float32)
    """

    table: Tensor

    def __init__(
        self,
        d_model: int,
        max_length: int = 5000,
        dropout: float = 0.0,
        batch_first: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(d_model, max_length, dropout, batch_first)
        cos, sin = host_waves(max_length, d_model, 10000.0, float_dtype(dtype))
        # an odd d_model ends with a sine
        both = np.stack([sin, cos], axis=2).reshape(max_length, -1)[:, :d_model]
        table = from_host(np.ascontiguousarray(both), as_device(device) or "cpu")
        self.register_buffer("table", Tensor(table), persistent=False)

    def _table(self) -> Tensor:
        return self.table


class LearnedPositionalEncoding(_Added):
    """y[l] = dropout(x[l] + weight[offset + l])

    Input (L, N, d_model), or (N, L, d_model) with `batch_first`, or (L, d_model); output the same. `offset` is the
    position of the first step. Parameter: weight (max_length, d_model), normal with deviation 0.02 at first.
    Source: Gehring et al. 2017; initial values as in GPT-2 and BERT.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.LearnedPositionalEncoding(8, max_length=16)
    >>> layer(np.zeros((10, 2, 8), np.float32)).shape
    (10, 2, 8)
    """

    weight: Parameter

    def __init__(
        self,
        d_model: int,
        max_length: int,
        dropout: float = 0.0,
        batch_first: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(d_model, max_length, dropout, batch_first)
        self.weight = new_parameter((max_length, d_model), device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight, std=0.02)

    def _table(self) -> Tensor:
        return self.weight


class RotaryFunction(Function):
    """Rows of (N, L, H, D) of any strides, turned; tables (1 or N, L, P) get no gradient."""

    strided = strided_backward = True

    @staticmethod
    def forward(ctx, x, cos, sin, interleaved):
        y = empty(x.shape, x.dtype, ctx.device)
        call("rotary.rotary_forward", y, _with_whole_rows(x), cos, sin, interleaved)
        ctx.tables = cos, sin, interleaved
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call("rotary.rotary_backward", dx, _with_whole_rows(dy), *ctx.tables)
        return dx, None, None, None


def _with_whole_rows(x):
    """The array, or a copy of it whose rows have their numbers side by side."""
    return x if x.shape[-1] <= 1 or x.strides[-1] == x.itemsize else contiguous(x)


def rotary_embedding(input, cos, sin, interleaved: bool = False) -> Tensor:
    """Each pair (a, b) of the first 2 P numbers of a row becomes (a cos - b sin, b cos + a sin); the rest stays.

    input (N, L, H, D), cos and sin (L, P) or (N, L, P) of its dtype (float32 for 16-bit ones), without gradients.
    Pairs are numbers 2 i and 2 i + 1 of a row if `interleaved`, else i and P + i.
    """
    x = as_tensor(input)
    shape, given = x.shape, [as_tensor(table).detach() for table in (cos, sin)]
    if len(shape) != 4:
        raise ValueError(f"rotary_embedding: expected an input (N, L, H, D), got shape {tuple(shape)}")
    dtype = _table_dtype(x.dtype)
    expected = f"{dtype} ({shape[1]}, P) or ({shape[0]}, {shape[1]}, P), 2 P at most {shape[3]}"
    for name, table in zip(("cos", "sin"), given, strict=True):
        sizes = tuple(table.shape)
        fits = sizes[:-1] in (shape[1:2], shape[:2]) and 2 * sizes[-1] <= shape[3]
        if not fits or sizes != tuple(given[0].shape) or table.dtype != dtype:
            raise ValueError(f"rotary_embedding: expected {name} {expected}, got {table.dtype} {sizes}")
    arrays = [t.contiguous()._data.reshape(math.prod(t.shape[:-2]), *t.shape[-2:]) for t in given]
    return RotaryFunction.apply(x, *arrays, bool(interleaved))


def _table_dtype(dtype) -> np.dtype:
    """Of tables for rows of a dtype: angles of 16-bit numbers would be of no use."""
    return dtype if dtype in FLOATS else FLOAT32


class RotaryEmbedding(Module):
    """Queries or keys, turned by their positions: their products know only how far apart they are.

    Pair i of a row of step l is turned by the angle (offset + l) base^(-2 i / dim). Input (N, L, H, D), H heads of D
    numbers, `dim` of which are turned and the rest left; it may be a view of a projection. Output the same shape.

    dim          how many numbers of a row are turned, the first ones; even
    max_length   positions whose angles are kept from the first call on; a longer sequence makes a longer table
    interleaved  pairs are numbers 2 i and 2 i + 1 of a row, as in the paper, Meta's Llama and torchtune; otherwise i
                 and dim / 2 + i, as in GPT-NeoX and in Hugging Face's Llama

    Called with (x, offset=0, positions=None): `offset` is the position of the first step, as in decoding with a cache.
    `positions`, integers (L,) or (N, L) below max_length, gives each step one of its own. Nothing is learned, and
    state files have nothing of it. Source: Su et al. 2021, "RoFormer".

    >>> import numpy as np
    >>> from hotloop import nn
    >>> rotary = nn.RotaryEmbedding(64)
    >>> q = np.ones((2, 10, 4, 64), np.float32)
    >>> whole = rotary(q).numpy()
    >>> last = rotary(q[:, 9:], offset=9).numpy()
    >>> bool((whole[:, 9:] == last).all())
    True
    """

    def __init__(self, dim: int, max_length: int = 2048, base: float = 10000.0, interleaved: bool = False) -> None:
        super().__init__()
        _check_size("RotaryEmbedding", "dim", dim, 0)
        _check_size("RotaryEmbedding", "max_length", max_length, 0)
        if dim % 2:
            raise ValueError(f"RotaryEmbedding: expected an even dim, for pairs, got {dim}")
        if not base > 0:
            raise ValueError(f"RotaryEmbedding: expected base > 0, got {base}")
        self.dim, self.max_length, self.base, self.interleaved = dim, max_length, float(base), bool(interleaved)
        # (dtype, device) -> cos and sin
        self._tables: dict[Any, tuple] = {}

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_tables": {}}

    def table(self, length: int, offset: int = 0, dtype=FLOAT32, device: str = "cpu") -> tuple[Any, Any]:
        """cos and sin for rows of a dtype, arrays (1, length, dim / 2), float32 for 16-bit dtypes."""
        cos, sin = self._kept(offset + length, _table_dtype(dtype), device)
        return tuple(t[offset : offset + length].reshape(1, length, self.dim // 2) for t in (cos, sin))

    def _kept(self, rows: int, dtype, device: str) -> tuple[Any, Any]:
        kept = self._tables.get((dtype, device))
        if kept is None or kept[0].shape[0] < rows:
            refuse_while_recording("a first or a longer table of rotary positions")
            # doubled: a sequence that grows by a step makes few
            rows = max(rows, self.max_length, 2 * kept[0].shape[0] if kept else 0)
            waves = host_waves(rows, self.dim, self.base, dtype)
            kept = self._tables[dtype, device] = tuple(from_host(wave, device) for wave in waves)
        return kept

    def forward(self, input, offset: int = 0, positions=None) -> Tensor:
        x = as_tensor(input)
        shape = x.shape
        if len(shape) != 4 or shape[3] < self.dim:
            expected = f"(N, L, H, D) with D of {self.dim} or more"
            raise ValueError(f"RotaryEmbedding: expected an input {expected}, got shape {tuple(shape)}")
        _check_size("RotaryEmbedding", "offset", offset, 0)
        if positions is None:
            return RotaryFunction.apply(x, *self.table(shape[1], offset, x.dtype, x.device), self.interleaved)
        if offset:
            raise ValueError("RotaryEmbedding: expected an offset or positions, got both")
        ids = as_ids(positions, "RotaryEmbedding").to(device=x.device)
        if tuple(ids.shape) not in (tuple(shape[1:2]), tuple(shape[:2])):
            expected = f"({shape[1]},) or ({shape[0]}, {shape[1]})"
            raise ValueError(f"RotaryEmbedding: expected positions {expected}, got shape {tuple(ids.shape)}")
        kept = self._kept(0, _table_dtype(x.dtype), x.device)
        cos, sin = (embedding(ids, Tensor(table)) for table in kept)
        return rotary_embedding(x, cos, sin, self.interleaved)

    def extra_repr(self) -> str:
        return f"{self.dim}, max_length={self.max_length}, base={self.base}, interleaved={self.interleaved}"


def _check_size(layer: str, name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{layer}: expected {name} as an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{layer}: expected {name} of {least} or more, got {value}")
