"""Numba's CUDA simulator with blocks that wait instead of polling: the same results, tens of times sooner.

Numba runs a Python thread for each CUDA thread and asks each of them, again and again, whether it stands at a barrier.
Here a thread that arrives sleeps until the last one of its block that is still alive has come.
"""

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


def install():
    """Replace the loop that Numba's simulator runs a block with, where there is one."""
    try:
        import numba_cuda  # noqa: F401  puts itself in the place of Numba's own numba.cuda
        from numba.cuda.simulator import kernel
    except ImportError:
        return

    def syncthreads(thread):
        thread.barrier.wait()

    def run_thread(thread):
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
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = [thread.exception for thread in threads if thread.exception is not None]
        if errors:
            # not what a thread says that only heard of another's failure
            raise next((e for e in errors if "another thread" not in str(e)), errors[0])

    kernel.BlockThread.syncthreads = syncthreads
    kernel.BlockThread.run = run_thread
    kernel.BlockManager.run = run
