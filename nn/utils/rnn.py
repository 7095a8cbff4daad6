"""Sequences of several lengths: padded to the longest, or packed without padding; by torch.nn.utils.rnn's names.

A packed batch holds what the samples have at step 0, then what they have at step 1, and so on, the longest sample
first. The recurrent layers take it as torch's do; for code that is new their `lengths=` is simpler.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple, Self

from .. import dtypes
from ..creation import arange
from ..doors import absent, call, empty
from ..ops.gather import index_select, positions
from ..ops.scatter import index_copy
from ..tensor import Tensor, as_tensor, wrap
from .padding import Pad, Spread, Unpad

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences of several lengths without padding; made by `pack_padded_sequence` and `pack_sequence`.

    data              (M, ...), step by step; at each step the samples that have it, longest first
    batch_sizes       how many samples have each step, int64; on the CPU, wherever the data is
    sorted_indices    the samples, longest first; None: as they came
    unsorted_indices  the inverse: where each sample stands among them

    >>> from hotloop import nn, tensor
    >>> nn.utils.rnn.pack_sequence([tensor([1, 2]), tensor([3, 4, 5])], enforce_sorted=False)
    PackedSequence(data=tensor([3, 1, 4, 2, 5]), batch_sizes=tensor([2, 2, 1]), \
sorted_indices=tensor([1, 0]), unsorted_indices=tensor([1, 0]))
    """

    __slots__ = ()

    def __new__(cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None):
        if batch_sizes is None:
            # torch takes the pair (data, batch_sizes) as well
            if not isinstance(data, (tuple, list)) or len(data) != 2:
                raise TypeError("PackedSequence: expected data and batch_sizes")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        order = [None if i is None else as_tensor(i) for i in (sorted_indices, unsorted_indices)]
        return super().__new__(cls, as_tensor(data), as_tensor(batch_sizes), *order)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """With its data in another dtype or on another device, see Tensor.to; itself when nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        order = [None if i is None else i.to(device=data.device) for i in self[2:]]
        return type(self)(data, self.batch_sizes, *order)

    def double(self) -> Self:
        return self.to(dtypes.float64)

    def float(self) -> Self:
        return self.to(dtypes.float32)

    def long(self) -> Self:
        return self.to(dtypes.int64)

    def int(self) -> Self:
        return self.to(dtypes.int32)

    def cpu(self) -> Self:
        return self.to("cpu")

    def cuda(self) -> Self:
        return self.to("cuda")

    @property
    def is_cuda(self) -> bool:
        return self.data.device == "cuda"


def invert_permutation(permutation: Any) -> Tensor | None:
    """y[permutation[k]] = k; None of None."""
    if permutation is None:
        return None
    permutation = as_tensor(permutation)
    return index_copy(permutation, 0, permutation, arange(permutation.numel(), device=permutation.device))


def _counts(x: Any, size: int) -> Any:
    """How many elements of an int64 array are larger than 0, 1 ... size - 1."""
    y = empty((size,), dtypes.int64)
    call("sequence.counts_forward", y, x)
    return y


def _rows(batch_sizes: Any, order: Tensor | None, size: int, step: int, sample: int, device: str) -> Any:
    """Rows of a padded batch in the order of a packed one, on its device; the arguments as of the kernel."""
    y = empty((size,), dtypes.int64, device)
    sizes = wrap(batch_sizes, None, 0).to(device=device)._data
    order = absent(dtypes.int64) if order is None else positions(order.to(device=device), "sorted_indices")
    call("sequence.rows_forward", y, sizes, order, step, sample)
    return y


def _strides(count: int, samples: int, batch_first: bool) -> tuple[int, int]:
    """Rows from step to step, and from sample to sample."""
    return (1, count) if batch_first else (samples, 1)


def _integers(lengths: Any, samples: int, what: str) -> list[int]:
    lengths = as_tensor(lengths)
    if lengths.shape != (samples,) or (samples and lengths.dtype.kind not in "iu"):
        got = f"{lengths.dtype} of shape {lengths.shape}"
        raise ValueError(f"{what}: expected lengths as {samples} integers, one a sample, got {got}")
    return lengths.tolist()


def _batch(x: Any, batch_first: bool, what: str) -> tuple[Tensor, int, int]:
    """A padded batch, its steps and its samples."""
    x = as_tensor(x)
    if len(x.shape) < 2:
        raise ValueError(f"{what}: expected a batch ({'N, T' if batch_first else 'T, N'}, ...), got shape {x.shape}")
    return (x, *(x.shape[1::-1] if batch_first else x.shape[:2]))


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack (T, N, ...), or (N, T, ...) with batch_first, of which sample n has lengths[n] steps, 1 .. T.

    The longest sample must come first, unless `enforce_sorted=False`: then they are put in that order.
    """
    what = "pack_padded_sequence"
    x, count, samples = _batch(input, batch_first, what)
    sizes = _integers(lengths, samples, what)
    if not sizes:
        raise ValueError(f"{what}: expected one sample or more, got shape {x.shape}")
    if min(sizes) < 1 or max(sizes) > count:
        bad = min(sizes) if min(sizes) < 1 else max(sizes)
        raise ValueError(f"{what}: expected lengths from 1 to {count}, got {bad}")
    order = None
    if not enforce_sorted:
        order = Tensor(sorted(range(samples), key=lambda n: -sizes[n])).to(device=x.device)
    elif any(a < b for a, b in pairwise(sizes)):
        raise ValueError(f"{what}: expected lengths in descending order, got {sizes}; or pass enforce_sorted=False")
    batch_sizes = _counts(Tensor(sizes)._data, max(sizes))
    rows = _rows(batch_sizes, order, sum(sizes), *_strides(count, samples, batch_first), x.device)
    data = index_select(x.reshape(count * samples, *x.shape[2:]), 0, rows)
    return PackedSequence(data, wrap(batch_sizes, None, 0), order)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded batch, samples in the order they had before packing, and their lengths.

    total_length  pad to so many steps instead of to the longest sample
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"pad_packed_sequence: expected a PackedSequence, got {type(sequence).__name__}")
    data, order, places = sequence.data, sequence.sorted_indices, sequence.unsorted_indices
    batch_sizes = positions(sequence.batch_sizes, "batch_sizes")
    steps = batch_sizes.size
    count = steps if total_length is None else total_length
    if count < steps:
        raise ValueError(f"pad_packed_sequence: expected total_length of {steps} or more, got {total_length}")
    samples = int(batch_sizes[0])
    rows = _rows(batch_sizes, order, data.shape[0], *_strides(count, samples, batch_first), data.device)
    padded = Spread.apply(data, rows, (samples, count) if batch_first else (count, samples), padding_value)
    lengths = wrap(_counts(batch_sizes, samples), None, 0)
    return padded, lengths if places is None else index_select(lengths, 0, places.to(device="cpu"))


def repack(x: Tensor, like: PackedSequence) -> PackedSequence:
    """A padded batch (T, N, ...), longest samples first, packed as `like` is."""
    count, samples = x.shape[:2]
    rows = _rows(positions(like.batch_sizes, "batch_sizes"), None, like.data.shape[0], samples, 1, x.device)
    return like._replace(data=index_select(x.reshape(count * samples, *x.shape[2:]), 0, rows))


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (L, ...) of several lengths as one batch (T, N, ...), or (N, T, ...) with batch_first.

    >>> from hotloop import nn, tensor
    >>> nn.utils.rnn.pad_sequence([tensor([1, 2]), tensor([3, 4, 5])], batch_first=True, padding_value=-1)
    tensor([[ 1,  2, -1],
           [ 3,  4,  5]])
    """
    if not isinstance(sequences, Iterable):
        raise TypeError(f"pad_sequence: expected a list of tensors, got {type(sequences).__name__}")
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: expected padding_side 'left' or 'right', got {padding_side!r}")
    xs = [as_tensor(x) for x in sequences]
    if not xs:
        raise ValueError("pad_sequence: expected at least one tensor, got none")
    first = xs[0]
    for x in xs:
        if not x.shape or x.shape[1:] != first.shape[1:] or x.dtype != first.dtype:
            like = ", ".join(map(str, ("L", *first.shape[1:])))
            raise ValueError(f"pad_sequence: expected sequences ({like}) of {first.dtype}, got {x.shape} of {x.dtype}")
    return Pad.apply(bool(batch_first), padding_value, padding_side == "left", *xs)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch, of lengths 0 .. T: the inverse of `pad_sequence`."""
    x, count, samples = _batch(padded_sequences, batch_first, "unpad_sequence")
    sizes = _integers(lengths, samples, "unpad_sequence")
    if sizes and (min(sizes) < 0 or max(sizes) > count):
        raise ValueError(f"unpad_sequence: expected lengths from 0 to {count}, got {sizes}")
    return list(Unpad.apply(x, bool(batch_first), tuple(sizes)))


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L, ...) of several lengths; the longest first, unless `enforce_sorted=False`."""
    sequences = [as_tensor(x) for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), [len(x) for x in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch, in the order they had before."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
