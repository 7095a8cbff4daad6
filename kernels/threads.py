"""The worker threads behind `parallel_for`, and how many of them may be used.

Workers are Python threads that never return from compiled code and hold no lock of the interpreter. A region is
run by the thread that asks for it: it publishes the job, takes chunks itself, and leaves when all are done; awake
workers take chunks too, and so a worker that comes late costs nothing. If another region is running (another Python
thread trains too, or the body opens a region of its own), the caller does all chunks alone. Who runs a chunk never
changes its bits.
"""

import os
import threading

from . import state
from .jit import cached, exact, standalone
from .state import (
    ACTIVE,
    JOB,
    LOCK,
    NEXT,
    SLEEPERS,
    THREADS,
    WORKERS,
    fetch_add,
    load,
    pause,
    run_body,
    sleep_while,
    store,
    swap_if,
    wake,
)

GENERATION, OPEN, BODY, CONTEXT, COUNT, GRAIN, CHUNKS = range(JOB, JOB + 7)

# pauses before an idle worker sleeps: under a millisecond, longer than the Python between two kernels of a step
SPIN = 6000


@exact
def take_chunks(body, context, n, grain, chunks):
    while True:
        chunk = fetch_add(NEXT, 1)
        if chunk >= chunks:
            return
        run_body(body, context, chunk * grain, min(n, (chunk + 1) * grain))


@exact
def run_region(body, context, n, grain):
    """body over [0, n) in chunks of grain; returns when every chunk is done."""
    chunks = (n + grain - 1) // grain
    if chunks > 1 and load(WORKERS) > 0 and load(THREADS) > 1 and swap_if(LOCK, 0, 1):
        store(BODY, body)
        store(CONTEXT, context)
        store(COUNT, n)
        store(GRAIN, grain)
        store(CHUNKS, chunks)
        store(NEXT, 0)
        store(OPEN, 1)
        fetch_add(GENERATION, 1)
        if load(SLEEPERS) > 0:
            wake(GENERATION)
        take_chunks(body, context, n, grain, chunks)
        # from here no worker may enter; those inside finish the chunk they hold
        store(OPEN, 0)
        while load(ACTIVE) > 0:
            pause()
        store(LOCK, 0)
    else:
        for chunk in range(chunks):
            run_body(body, context, chunk * grain, min(n, (chunk + 1) * grain))


@standalone
def work(number):
    """A worker's life: wait for a new generation, help, wait again."""
    seen = load(GENERATION)
    while True:
        spins = 0
        while load(GENERATION) == seen:
            pause()
            spins += 1
            if spins > SPIN:
                fetch_add(SLEEPERS, 1)
                sleep_while(GENERATION, seen)
                fetch_add(SLEEPERS, -1)
        seen = load(GENERATION)
        if number < load(THREADS) - 1:
            # the order matters: enter, then look whether the region is still open; the owner closes, then looks
            # whether anybody is inside
            fetch_add(ACTIVE, 1)
            if load(OPEN) == 1:
                take_chunks(load(BODY), load(CONTEXT), load(COUNT), load(GRAIN), load(CHUNKS))
            fetch_add(ACTIVE, -1)


_starting = threading.Lock()


def available():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads():
    """Threads that a kernel may use."""
    return int(state.words[THREADS])


def set_num_threads(n):
    """Let kernels use n threads (1 .. 256). Results do not depend on it, to the last bit.

    Also starts the workers, so that kernels called from a user's own cached @njit code find them awake.
    """
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 256:
        raise ValueError(f"set_num_threads: expected an integer from 1 to 256, got {n!r}")
    state.words[THREADS] = n
    start()


def start():
    """Start the workers that are missing; called when the first kernel is loaded."""
    if state.words[WORKERS] >= state.words[THREADS] - 1:
        return
    with _starting:
        if not work.signatures:
            cached(work).compile("void(int64)")
        for number in range(int(state.words[WORKERS]), int(state.words[THREADS]) - 1):
            threading.Thread(target=work, args=(number,), name=f"hotloop-{number}", daemon=True).start()
            state.words[WORKERS] += 1


def _after_fork():
    # the child has none of the workers; a region that another thread was in has no owner any more
    global _starting
    _starting = threading.Lock()
    for word in (WORKERS, LOCK, OPEN, ACTIVE, SLEEPERS):
        state.words[word] = 0


state.words[THREADS] = available()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
