"""The worker threads behind `parallel_for`, and how many of them may be used.

Workers are Python threads that never return from compiled code and hold no lock of the interpreter. A region is run by
the thread that asks for it: it publishes the job, takes chunks itself, and leaves when all are done; awake workers take
chunks too, and so a worker that comes late costs nothing. Each member of a region begins with a share of its own, the
same one for the same shape, so that what a core wrote lies in its cache when the next kernel reads it; then it helps
with the shares of the others. If another region is running (another Python thread trains too, or the body opens a
region of its own), the caller does all chunks alone. Who runs a chunk never changes its bits.
"""

import os
import threading

from . import state
from .jit import cached, exact, standalone
from .machine import core, give_way, leave_core, pause, sleep_while, wake, wake_from_python
from .state import (
    ACTIVE,
    CLAIMED,
    GENERATION,
    JOB,
    LOCK,
    MEMBERS,
    SLEEPERS,
    THREADS,
    WORKERS,
    fetch_add,
    load,
    run_body,
    store,
    swap_if,
)

BODY, CONTEXT, COUNT, GRAIN, CHUNKS, SHARES, CORE = range(JOB, JOB + 7)

# pauses before an idle worker sleeps: under a millisecond, longer than the Python between two kernels of a step
SPIN = 6000
# pauses before the owner of a region, waiting for the last chunk, lets others have its core: the worker that holds the
# chunk may be waiting for that very core
PATIENCE = 1000


@exact
def take_chunks(member, members, body, context, n, grain, chunks):
    for turn in range(members):
        share = (member + turn) % members
        end = (share + 1) * chunks // members
        while True:
            chunk = fetch_add(CLAIMED + 8 * share, 1)
            if chunk >= end:
                break
            run_body(body, context, chunk * grain, min(n, (chunk + 1) * grain))


@exact
def run_region(body, context, n, grain):
    """body over [0, n) in chunks of grain; returns when every chunk is done."""
    chunks = (n + grain - 1) // grain
    members = min(load(THREADS), load(WORKERS) + 1, chunks)
    if members > 1 and swap_if(LOCK, 0, 1):
        store(BODY, body)
        store(CONTEXT, context)
        store(COUNT, n)
        store(GRAIN, grain)
        store(CHUNKS, chunks)
        store(SHARES, members)
        store(CORE, core())
        for share in range(members):
            store(CLAIMED + 8 * share, share * chunks // members)
        fetch_add(GENERATION, 1)
        if load(SLEEPERS) > 0:
            wake(GENERATION)
        take_chunks(0, members, body, context, n, grain, chunks)
        # from here no worker may enter; those inside finish the chunk they hold
        fetch_add(GENERATION, 1)
        waited = 0
        while load(ACTIVE) > 0:
            pause()
            waited += 1
            if waited > PATIENCE:
                give_way()
        store(LOCK, 0)
    else:
        for chunk in range(chunks):
            run_body(body, context, chunk * grain, min(n, (chunk + 1) * grain))


@exact
def keep_off(owner):
    """Leave the core of a region's owner. A thread is often woken there when the other cores are busy, and would take
    turns with the one it should help, or spin in its place."""
    if owner >= 0 and owner == core():
        leave_core(owner)


@exact
def next_region(seen):
    """Wait until a region is open that is not the one seen; gives its generation."""
    spins = 0
    while True:
        now = load(GENERATION)
        if now & 1 and now != seen:
            return now
        pause()
        spins += 1
        if spins > SPIN:
            fetch_add(SLEEPERS, 1)
            sleep_while(GENERATION, now)
            fetch_add(SLEEPERS, -1)
            keep_off(load(CORE))


@standalone
def work(member):
    """A worker's life: wait for a region, help, wait again."""
    seen = 0
    while True:
        threads = load(THREADS)
        if member >= threads:
            sleep_while(THREADS, threads)
            continue
        seen = next_region(seen)
        # the order matters: enter, then look whether the region is still open; the owner closes, then looks whether
        # anybody is inside
        fetch_add(ACTIVE, 1)
        if load(GENERATION) == seen and member < load(SHARES):
            keep_off(load(CORE))
            take_chunks(member, load(SHARES), load(BODY), load(CONTEXT), load(COUNT), load(GRAIN), load(CHUNKS))
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
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MEMBERS:
        raise ValueError(f"set_num_threads: expected an integer from 1 to {MEMBERS}, got {n!r}")
    state.words[THREADS] = n
    wake_from_python(THREADS)
    start()


def start():
    """Start the workers that are missing; called when the first kernel is loaded."""
    if state.words[WORKERS] >= state.words[THREADS] - 1:
        return
    with _starting:
        if not work.signatures:
            cached(work).compile("void(int64)")
        for number in range(int(state.words[WORKERS]) + 1, int(state.words[THREADS])):
            try:
                threading.Thread(target=work, args=(number,), name=f"hotloop-{number}", daemon=True).start()
            except RuntimeError:
                # the system gives no more threads, or Python is about to end: regions do with those that are there
                return
            state.words[WORKERS] += 1


def _after_fork():
    # the child has none of the workers; a region that another thread was in has no owner any more
    global _starting
    _starting = threading.Lock()
    for word in (WORKERS, LOCK, GENERATION, ACTIVE, SLEEPERS):
        state.words[word] = 0


state.words[THREADS] = min(available(), MEMBERS)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
