"""What a parallel region costs: ours, Numba's prange on each of its layers, and a plain loop.

Each contestant is a process of its own (layers cannot be mixed, and all should start alike) that measures itself: it is
asked over a pipe for a situation and answers with seconds. A region is two chunks on two threads, empty or 20 us each.
The last group is the processor time that an idle process uses in the second after its last region.
"""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import ceilings
import numpy as np
import pytest

STEPS = 10_000  # of a chain of multiply-adds: some 20 us
MANY = 1000


def regions_hotloop():
    import hotloop
    from hotloop.kernels.jit import exact, parallel_for, standalone

    @exact
    def chunk(begin, end, y, steps):
        for i in range(begin, end):
            x = y[8 * i]
            for _ in range(steps):
                x = x * 0.5 + 1.0
            y[8 * i] = x

    @standalone
    def run(y, count, steps):
        for _ in range(count):
            parallel_for(chunk, 2, 1, (y, steps))

    hotloop.set_num_threads(2)
    return run


def regions_numba(parallel):
    import numba

    @numba.njit(parallel=parallel, nogil=True, error_model="numpy")
    def run(y, count, steps):
        for _ in range(count):
            for i in numba.prange(2):
                x = y[8 * i]
                for _ in range(steps):
                    x = x * 0.5 + 1.0
                y[8 * i] = x

    return run


CONTESTANTS = ("hotloop", "omp", "workqueue", "serial")
# (words, seconds idle before, regions, steps of each chunk, whether another process is busy, microseconds it may cost)
SITUATIONS = [
    ("back to back", 0.0, MANY, 0, False, 3),
    ("after 1 ms", 0.001, 1, 0, False, 30),
    ("after 10 ms", 0.01, 1, 0, False, 30),
    ("back to back, a neighbour busy", 0.0, MANY, 0, True, None),
    ("after 10 ms, a neighbour busy", 0.01, 1, 0, True, None),
    ("2 x 20 us, back to back", 0.0, MANY // 20, STEPS, False, None),
    ("2 x 20 us, after 10 ms", 0.01, 1, STEPS, False, None),
    ("2 x 20 us, back to back, a neighbour busy", 0.0, MANY // 20, STEPS, True, None),
]
IDLE_LIMIT = 5000  # microseconds of processor time in the second after a region


def serve(who):
    """The contestant's own process: answer each line of input."""
    run = regions_hotloop() if who == "hotloop" else regions_numba(parallel=who != "serial")
    y = np.zeros(16)
    for _ in range(3):
        run(y, MANY, 1)
    for line in sys.stdin:
        idle, count, steps = map(float, line.split())
        count, steps = int(count), int(steps)
        if not count:
            run(y, 1, 1)
            began = time.process_time()
            time.sleep(1)
            print(time.process_time() - began, flush=True)
            continue
        time.sleep(idle)
        run(y, 0, 0)  # no region: after a sleep even the way into compiled code is out of cache
        began = time.perf_counter()
        run(y, count, steps)
        print((time.perf_counter() - began) / count, flush=True)


class Stopwatch:
    """A clock that stands still but for what contestants say they took."""

    now = 0.0

    def __call__(self):
        return self.now


stopwatch = Stopwatch()


@pytest.fixture(scope="module")
def processes():
    """Contestants by name, started when they are first asked."""
    with contextlib.ExitStack() as stack:
        started = {}

        def ask(who, idle, count, steps):
            if who not in started:
                layer = {"NUMBA_THREADING_LAYER": who} if who in ("omp", "workqueue") else {}
                started[who] = process = subprocess.Popen(
                    [sys.executable, Path(__file__), who],
                    env={**os.environ, **layer},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                stack.callback(process.wait)
                stack.callback(process.stdin.close)
            print(idle, count, steps, file=started[who].stdin, flush=True)
            stopwatch.now += float(started[who].stdout.readline())

        yield ask


@contextlib.contextmanager
def neighbour(busy):
    """A process that never rests, while a situation asks for one."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    yield
    if process:
        process.kill()
        process.wait()


def prepare(benchmark, who, group, limit):
    if ceilings.threads() == 1:
        pytest.skip("one core: no second thread to hand work to")
    benchmark.group = group
    benchmark.extra_info.update({"threads": 2, "limit, us": limit})


@pytest.mark.benchmark(timer=stopwatch)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation[0])
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_region(benchmark, processes, who, situation):
    words, idle, count, steps, busy, limit = situation
    prepare(benchmark, who, f"a region {words}", limit)
    with neighbour(busy):
        benchmark.pedantic(processes, (who, idle, count, steps), rounds=40, warmup_rounds=5)


@pytest.mark.benchmark(timer=stopwatch)
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_idle(benchmark, processes, who):
    prepare(benchmark, who, "processor time in the second after a region", IDLE_LIMIT)
    benchmark.pedantic(processes, (who, 0, 0, 0), rounds=3)


if __name__ == "__main__":
    serve(sys.argv[1])
