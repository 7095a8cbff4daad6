"""Numba's CUDA simulator with blocks that wait instead of polling: the same results, tens of times sooner.

Numba runs a Python thread for each CUDA thread and asks each of them, again and again, whether it stands at a barrier.
Here a thread that arrives sleeps until the last one of its block that is still alive has come.

Which thread is first between two barriers is left to chance there. With HOTLOOP_SIMULATED_ORDER=forward or backward it
is not: the threads of a block run one after the other, each to the next barrier, by their numbers or against them, and
an instruction of a whole warp is waited for by that warp alone. A kernel that lacks a barrier gives another result in
one of the two orders.
"""

import os
import threading

import numpy as np


class _Barrier:
    """syncthreads() of one block: opens when every thread that has not returned is there."""

    def __init__(self, threads):
        self.changed, self.live, self.waiting, self.turn = threading.Condition(), threads, 0, 0
        self.failed = False

    def wait(self):
        with self.changed:
            self.waiting += 1
            turn = self.turn
            self._open_if_all_are_there()
            while self.turn == turn and not self.failed:
                self.changed.wait()
        if self.failed:
            raise RuntimeError("another thread of the block has failed")

    def leave(self, failed):
        with self.changed:
            self.live -= 1
            self.failed = self.failed or failed
            self._open_if_all_are_there()
            if self.failed:
                self.changed.notify_all()

    def _open_if_all_are_there(self):
        if self.waiting == self.live:
            self.waiting, self.turn = 0, self.turn + 1
            self.changed.notify_all()


# where a thread that does not run stands
READY, WARP, BLOCK, OVER = "ready", "at a barrier of its warp", "at a barrier of its block", "over"


class _Turns:
    """The threads of one block, one running at a time, in a fixed order; warps as far as they get, one by one."""

    def __init__(self, threads, backward):
        self.threads = threads[::-1] if backward else threads
        for thread in threads:
            thread.go, thread.stopped, thread.turns = threading.Semaphore(0), threading.Semaphore(0), self
            thread.state, thread.lanes = READY, 1
        self.failed = False

    def wait(self, state=BLOCK, lanes=1):
        thread = threading.current_thread()
        thread.state, thread.lanes = state, lanes
        thread.stopped.release()
        thread.go.acquire()
        if self.failed:
            raise RuntimeError("another thread of the block has failed")

    def run(self):
        for thread in self.threads:
            thread.start()
        while any(thread.state != OVER for thread in self.threads):
            for thread in self.threads:
                if thread.state == BLOCK:
                    thread.state = READY
            for thread in self.threads:
                if thread.state == READY:
                    self._to_the_barrier(thread)

    def _to_the_barrier(self, thread):
        """Run a thread, and those of its warp that it waits for, to the block's next barrier."""
        group = [thread]
        while any(t.state in (READY, WARP) for t in group):
            for t in group:
                if t.state == READY:
                    t.go.release()
                    t.stopped.acquire()
                    self.failed = self.failed or t.exception is not None
            lanes = max(t.lanes for t in group if t.state == WARP) if any(t.state == WARP for t in group) else 1
            group = [t for t in self.threads if t.thread_id // lanes == thread.thread_id // lanes]
            if all(t.state != READY for t in group):
                for t in group:
                    t.state = READY if t.state == WARP else t.state


def install():
    """Replace the loop that Numba's simulator runs a block with, where there is one."""
    try:
        import numba_cuda  # noqa: F401  puts itself in the place of Numba's own numba.cuda
        from numba.cuda.simulator import kernel
    except ImportError:
        return

    order = os.environ.get("HOTLOOP_SIMULATED_ORDER", "")
    if order not in ("", "forward", "backward"):
        raise ValueError(f"HOTLOOP_SIMULATED_ORDER: expected forward or backward, got {order!r}")

    def syncthreads(thread):
        thread.barrier.wait()

    def syncwarp(thread, lanes):
        # without turns no warp waits for itself alone
        thread.barrier.wait(WARP, lanes) if hasattr(thread, "turns") else thread.barrier.wait()

    def run_in_turn(thread):
        thread.go.acquire()
        try:
            threading.Thread.run(thread)
        except BaseException as error:
            thread.exception = error
        thread.state = OVER
        thread.stopped.release()

    def run_thread(thread):
        if hasattr(thread, "turns"):
            run_in_turn(thread)
            return
        try:
            threading.Thread.run(thread)
        except BaseException as error:
            thread.exception = error
        for barrier in thread.barriers if thread.exception is not None else [thread.barrier]:
            barrier.leave(thread.exception is not None)

    # blocks that wait for the rest of their cluster
    cluster = []

    def run(manager, grid_point, *args):
        # neighbours of a kernel that has a `cluster` run together; all others one by one
        cluster.append((manager, grid_point))
        if len(cluster) < getattr(manager._f, "cluster", 1):
            return
        blocks, threads = list(cluster), []
        cluster.clear()
        barriers = [_Barrier(int(np.prod(block._block_dim))) for block, _ in blocks]
        for (block, place), barrier in zip(blocks, barriers, strict=True):
            block.cluster = [other for other, _ in blocks]
            for point in np.ndindex(*block._block_dim):
                thread = kernel.BlockThread(lambda: manager._f(*args), block, place, point, block._debug)
                thread.barrier, thread.barriers = barrier, barriers
                threads.append(thread)
        if order and len(blocks) == 1:
            turns = _Turns(threads, order == "backward")
            for thread in threads:
                thread.barrier = turns
            turns.run()
        else:
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join()
        errors = [thread.exception for thread in threads if thread.exception is not None]
        if errors:
            # not what a thread says that only heard of another's failure
            raise next((e for e in errors if "another thread" not in str(e)), errors[0])

    kernel.BlockThread.syncthreads, kernel.BlockThread.syncwarp = syncthreads, syncwarp
    kernel.BlockThread.run = run_thread
    kernel.BlockManager.run = run
