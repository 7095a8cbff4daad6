"""A step recorded once and replayed: all its launches in one go, with no Python between them (a CUDA graph).

What a recorded step reads and writes stays where it was: new data is copied into the arrays it was recorded with
(`Tensor.copy_`), and what it makes lies in memory of the graph's own, overwritten by each replay. Step counts, learning
rates and random states are arrays on the device, so that a replayed training step goes on.
"""

from contextlib import contextmanager

from . import copies, memory, status
from .target import SIMULATOR, Recording, current_stream, launch, on_stream, refuse_while_recording


class CUDAGraph:
    """The launches of one recorded step; `graph(g)` fills it, `replay()` runs it."""

    def __init__(self):
        self._recording = self._executable = None

    def replay(self) -> None:
        """Run the recorded launches on the current stream; returns before they are done."""
        if self._recording is None:
            raise RuntimeError("replay: nothing is recorded; record a step in `with graph(g):` first")
        refuse_while_recording("the replay of another graph")
        if SIMULATOR:
            for function, grid, block, shared, args in self._recording.launches:
                launch(function, grid, block, 0, *args, shared=shared)
        else:
            self._executable.launch(_core_stream())
        status.expect()

    def reset(self) -> None:
        """Forget the recording and give its memory back."""
        self._recording = self._executable = None


@contextmanager
def graph(g: CUDAGraph):
    """Record what this thread launches in the block into g, and run nothing of it.

    Run the step once or twice before: the first call of a kernel compiles it, and the first step of an optimizer makes
    its state. Nothing in the block may read a value of the device or copy from the host (RuntimeError).
    """
    if not isinstance(g, CUDAGraph):
        raise TypeError(f"graph: expected a CUDAGraph, got {type(g).__name__}")
    refuse_while_recording("the recording of another graph")
    builder = None if SIMULATOR else _builder()
    with memory.pool_of_its_own() as pool:
        recording = Recording(pool, builder)
        try:
            with on_stream(recording):
                yield g
        finally:
            if builder is not None:
                builder.end_building()
    if builder is not None:
        g._executable = builder.complete()
    g._recording = recording


def capture(step, warmup: int = 2):
    """A function that replays `step`, a function without arguments that trains on arrays which stay in place.

    `step` is called `warmup` times (these are real steps), then recorded. Each call of the result replays it and gives
    what the recorded call returned, whose arrays then hold the new values.

        train = capture(step)
        for batch, labels in data:
            x.copy_(batch), y.copy_(labels)
            loss = train()
    """
    if warmup < 1:
        raise ValueError(f"warmup: expected 1 step or more before recording, got {warmup}")
    for _ in range(warmup):
        step()
    copies.synchronize()
    g = CUDAGraph()
    with graph(g):
        result = step()

    def replay():
        g.replay()
        return result

    replay.graph = g
    return replay


def _builder():
    from cuda.core import Device

    device = Device()
    device.set_current()
    # relaxed: what the pool takes from the driver meanwhile is no part of the graph
    return device.create_graph_builder().begin_building("relaxed")


def _core_stream():
    from cuda.core import Stream

    stream = current_stream()
    return Stream.from_handle(int(stream.handle or 0) if stream else 0)
