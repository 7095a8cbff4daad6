"""The device: whether there is one, its memory, its streams, and steps recorded as CUDA graphs. Names as in torch.cuda.

Importing this needs neither numba-cuda nor a GPU; the first use of anything but `is_available` does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from .kernels import cuda as _backend
from .kernels.cuda import is_available, synchronize

__all__ = [
    "CUDAGraph",
    "Stream",
    "capture",
    "current_stream",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "graph",
    "is_available",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "stream",
    "synchronize",
]


def device_count() -> int:
    """How many devices there are; 0 where CUDA cannot be used. Kernels run on the current one."""
    return len(_numba().gpus) if is_available() else 0


def get_device_name() -> str:
    """The name of the current device."""
    name = _numba().get_current_device().name
    return name.decode() if isinstance(name, bytes) else name


def get_device_capability() -> tuple[int, int]:
    """Its compute capability: (9, 0) for Hopper."""
    return _backend.target.compute_capability()


# ---- memory


def memory_allocated() -> int:
    """Bytes of device memory in arrays of this library."""
    return _backend.memory.memory_allocated()


def memory_reserved() -> int:
    """Bytes taken from the driver: in arrays, or waiting for the next one."""
    return _backend.memory.memory_allocated() + _backend.memory.memory_cached()


def empty_cache() -> None:
    """Give memory that waits for the next array back to the driver."""
    _backend.memory.empty_cache()


def mem_get_info() -> tuple[int, int]:
    """Free bytes and all bytes of the device, as the driver counts them."""
    free, total = _numba().current_context().get_memory_info()
    return int(free), int(total)


# ---- streams


def Stream() -> Any:
    """A new stream; `with stream(s):` sends work there."""
    return _numba().stream()


def stream(s: Any) -> contextlib.AbstractContextManager:
    """Kernels of this thread go to `s` inside the block: a stream of Numba, CuPy, PyTorch, cuda.core, or an address."""
    return _backend.target.on_stream(s)


def current_stream() -> Any:
    """The stream of this thread; 0 is CUDA's default."""
    return _backend.target.current_stream()


# ---- recorded steps


def CUDAGraph() -> Any:
    """A recorded step, empty until `with graph(g):` fills it; then `g.replay()`. See kernels/cuda/graph.py."""
    return _backend.graph.CUDAGraph()


def graph(g: Any) -> contextlib.AbstractContextManager:
    """Record what this thread launches in the block into `g`, and run nothing of it."""
    return _backend.graph.graph(g)


def capture(step: Callable[[], Any], warmup: int = 2) -> Callable[[], Any]:
    """A function that replays `step`, a training step on arrays that stay in place, with no Python between kernels.

    step    function without arguments; it is called `warmup` times for real, then recorded
    warmup  1 or more

    Returns a function that replays the step and gives what the recorded call returned, whose arrays hold the new
    values. New data is copied into the tensors that the step reads:

        train = hotloop.cuda.capture(step)
        for batch, labels in data:
            x.copy_(batch), y.copy_(labels)
            loss = train()

    Learning rates, step counts and random states lie on the device: schedules work between replays. Gradients that
    several replays add up are cleared between them by `zero_grad(set_to_none=False)`: they must stay in place. Raises
    RuntimeError where the step reads a value of the device (`loss.item()`), copies from the host, or does what counts
    on the host: a step of a schedule, the mean of all weights (SWA).
    """
    return _backend.graph.capture(step, warmup)


def _numba() -> Any:
    return _backend.target.cuda
