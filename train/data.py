"""Mini-batches from arrays: a dataset, and a loader that shuffles and gathers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..nn import rng
from ..nn.doors import call, host_array
from ..nn.tensor import Tensor

_WORDS = {size: np.dtype(f"int{8 * size}") for size in (1, 2, 4, 8)}


class TensorDataset:
    """Arrays whose first dimension counts the same samples: usually inputs and targets.

    >>> import numpy as np
    >>> from hotloop.train import TensorDataset
    >>> data = TensorDataset(np.zeros((10, 3), np.float32), np.arange(10))
    >>> len(data), data[7][1].item()
    (10, 7)
    """

    def __init__(self, *arrays):
        if not arrays:
            raise ValueError("TensorDataset: expected at least one array, got none")
        # rows are gathered from contiguous memory
        self.arrays = tuple(np.ascontiguousarray(as_array(f"array {i}", a)) for i, a in enumerate(arrays))
        for i, a in enumerate(self.arrays):
            if a.dtype.itemsize not in _WORDS:
                raise TypeError(f"TensorDataset: array {i}: expected elements of at most 8 bytes, got {a.dtype}")
            if np.ndim(arrays[i]) == 0:
                raise ValueError(f"TensorDataset: array {i}: expected samples along the first dimension, got shape ()")
            if len(a) != len(self.arrays[0]):
                raise ValueError(
                    f"TensorDataset: array {i}: expected {len(self.arrays[0])} samples as in array 0, got {len(a)}"
                )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(map(Tensor, self.arrays))

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index) -> tuple[Tensor, ...]:
        return tuple(Tensor(np.asarray(a[index])) for a in self.arrays)


class DataLoader:
    """Iterates over a dataset in batches; names as torch.utils.data.DataLoader.

    dataset     a TensorDataset, a tuple of arrays, one array, or any object with len() and [index] that gives samples
    batch_size  samples a batch; None: the whole set in one batch (torch would give single samples without a batch)
    shuffle     a new order every epoch
    drop_last   leave out the last batch when it is smaller
    seed        of the order. Without it, and without a generator, the order comes from `hotloop.manual_seed`
    generator   a numpy.random.Generator to draw the order from, instead of a seed
    collate_fn  makes a batch of a list of samples; not for arrays

    Every batch is a tuple of Tensors with memory of its own. An epoch is one `iter()`.

    >>> import numpy as np
    >>> from hotloop.train import DataLoader
    >>> x, y = np.zeros((10, 3), np.float32), np.arange(10)
    >>> [yb.shape for xb, yb in DataLoader((x, y), batch_size=4)]
    [(4,), (4,), (2,)]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
        collate_fn: Callable | None = None,
    ):
        if batch_size is not None and (
            isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1
        ):
            raise ValueError(f"batch_size: expected a positive integer or None, got {batch_size!r}")
        if seed is not None and generator is not None:
            raise ValueError("expected a seed or a generator, got both")
        if generator is not None and not isinstance(generator, np.random.Generator):
            raise TypeError(f"generator: expected a numpy.random.Generator, got {type(generator).__name__}")
        self.dataset = as_dataset(dataset)
        if collate_fn is not None and isinstance(self.dataset, TensorDataset):
            raise ValueError("collate_fn: expected None for a dataset of arrays: they are gathered, not collated")
        self.batch_size = None if batch_size is None else int(batch_size)
        self.shuffle, self.drop_last, self.collate_fn = bool(shuffle), bool(drop_last), collate_fn
        self.generator = np.random.Generator(np.random.PCG64(seed)) if seed is not None else generator

    def __len__(self) -> int:
        """Batches an epoch."""
        samples, size = len(self.dataset), self._size()
        return samples // size if self.drop_last else -(-samples // size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in self.batches():
            # what else a collate_fn makes, packed sequences say, comes as it is
            yield tuple(Tensor(a) if isinstance(a, np.ndarray) else a for a in batch) if type(batch) is tuple else batch

    def batches(self, reuse: bool = False) -> Iterator[Any]:
        """The batches of an epoch as tuples of NumPy arrays; with `reuse` the next batch overwrites the last."""
        order = self._order()
        if not isinstance(self.dataset, TensorDataset):
            yield from self._collated(order)
            return
        size = self._size()
        sources = [_lines(array) for array in self.dataset.arrays]
        buffers: list[np.ndarray] = []
        for begin in range(0, len(self) * size, size):
            count = min(size, len(self.dataset) - begin)
            if not buffers or not reuse:
                buffers = [np.empty((count, *a.shape[1:]), a.dtype) for a in self.dataset.arrays]
                targets = [_lines(buffer) for buffer in buffers]
            for target, source in zip(targets, sources, strict=True):
                if order is None:
                    target[:count] = source[begin : begin + count]
                else:
                    call("index.gather_rows_forward", target[:count], source, order[begin : begin + count])
            yield tuple(buffer[:count] for buffer in buffers)

    def _collated(self, order) -> Iterator[Any]:
        size = self._size()
        order = range(len(self.dataset)) if order is None else order.tolist()
        for begin in range(0, len(self) * size, size):
            samples = [self.dataset[i] for i in order[begin : begin + size]]
            yield (self.collate_fn or _collate)(samples)

    def _size(self) -> int:
        return self.batch_size or max(1, len(self.dataset))

    def _order(self) -> np.ndarray | None:
        if not self.shuffle:
            return None
        generator = self.generator
        if generator is None:
            # (seed, offset) of the library's own stream, which moves on
            generator = np.random.default_rng(np.asarray(rng.next_state(1)).tolist())
        return generator.permutation(len(self.dataset))

    def state_dict(self) -> dict[str, Any]:
        """Where the order stands: `rng` says which generator the next epoch's order comes from.

        "numpy PCG64" (or another of NumPy's): `state` is its state. "hotloop": `hotloop.get_rng_state()` is. Taken in
        the middle of an epoch it leads to the next one.
        """
        if self.generator is None:
            return {"rng": "hotloop", "state": None}
        bits = self.generator.bit_generator
        return {"rng": f"numpy {type(bits).__name__}", "state": bits.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own = self.state_dict()["rng"]
        if state.get("rng") != own:
            raise ValueError(f"state: expected one of the generator {own!r}, got {state.get('rng')!r}")
        if self.generator is not None:
            self.generator.bit_generator.state = state["state"]


def _lines(array: np.ndarray) -> np.ndarray:
    """The array as (samples, words of the dtype's size): the gather is compiled once for each size of word."""
    words = array.view(_WORDS[array.dtype.itemsize])
    return words.reshape(len(words), math.prod(words.shape[1:]))


def as_array(name: str, value: Any) -> np.ndarray:
    """A NumPy array over `value`; Python lists of floats become float32, as everywhere in the library."""
    if isinstance(value, Tensor):
        return value.detach().numpy()
    try:
        array = host_array(value)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    if isinstance(value, (list, tuple)) and array.dtype == np.float64:
        array = array.astype(np.float32)
    return array


def as_dataset(data: Any) -> Any:
    """What a loader iterates over: tuples and single arrays become a TensorDataset."""
    if isinstance(data, tuple):
        return TensorDataset(*data)
    if isinstance(data, (Tensor, np.ndarray)):
        return TensorDataset(data)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return data
    raise TypeError(f"dataset: expected arrays, or an object with len() and [index], got {type(data).__name__}")


def _collate(samples: Sequence[Any]) -> Any:
    """Samples side by side: tuples by entry, numbers and arrays stacked."""
    first = samples[0]
    if isinstance(first, (tuple, list)):
        return tuple(_stacked([s[i] for s in samples]) for i in range(len(first)))
    return (_stacked(samples),)


def _stacked(values: Sequence[Any]) -> np.ndarray:
    arrays = [as_array("sample", v) for v in values]
    out = np.stack(arrays)
    # Python floats, like lists of them, are float32 here
    return out.astype(np.float32) if isinstance(values[0], float) else out
