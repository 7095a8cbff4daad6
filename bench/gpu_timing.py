"""How long kernels take on a GPU, and what the GPU can do at most.

A call is recorded in a CUDA graph several times over and the graph is replayed between two events: what is measured is
the device's time, with no Python in it. Peers are recorded the same way.
"""

import statistics

import numpy as np

# calls in a graph, and replays of which the median is taken
CALLS, REPLAYS = 8, 9


def torch_or_none():
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def ours(call):
    """Seconds of one `call()` of this library."""
    from hotloop.kernels import cuda
    from hotloop.kernels.cuda.graph import CUDAGraph, graph
    from hotloop.kernels.cuda.target import cuda as numba

    # the first call compiles
    call()
    cuda.synchronize()
    recorded = CUDAGraph()
    with graph(recorded):
        for _ in range(CALLS):
            call()
    times = []
    for _ in range(REPLAYS + 2):
        begin, end = numba.event(), numba.event()
        begin.record()
        recorded.replay()
        end.record()
        end.synchronize()
        times.append(numba.event_elapsed_time(begin, end) * 1e-3 / CALLS)
    return statistics.median(times[2:])


def theirs(call):
    """Seconds of one `call()` of PyTorch; recorded where it can be, else launched from Python."""
    torch = torch_or_none()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    try:
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded):
            for _ in range(CALLS):
                call()
        run = recorded.replay
    except RuntimeError:
        # some operations wait for the device
        torch.cuda.synchronize()

        def run():
            for _ in range(CALLS):
                call()

    times = []
    for _ in range(REPLAYS + 2):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3 / CALLS)
    return statistics.median(times[2:])


def copy_bandwidth():
    """Bytes a second of a copy on the device by the driver, read and written, 1 GiB."""
    from hotloop.kernels import cuda
    from hotloop.kernels.cuda.target import cuda as numba
    from hotloop.kernels.cuda.target import native

    a, b = (native(cuda.empty((2**28,), np.float32)) for _ in range(2))
    times = []
    for _ in range(9):
        begin, end = numba.event(), numba.event()
        begin.record()
        a.copy_to_device(b)
        end.record()
        end.synchronize()
        times.append(numba.event_elapsed_time(begin, end) * 1e-3)
    return 2 * 2**30 / statistics.median(times[2:])


def matrix_peaks():
    """{kind: operations a second} of PyTorch's largest products; empty without it."""
    torch = torch_or_none()
    if torch is None:
        return {}
    peaks, n = {}, 8192
    for kind, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bfloat16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(n, n, device="cuda", dtype=dtype) for _ in range(2))
        peaks[kind] = 2 * n**3 / theirs(lambda a=a, b=b: a @ b)
    torch.backends.cuda.matmul.allow_tf32 = False
    return peaks


def error(got, want):
    """Norm of the difference by the norm of `want`, a torch tensor of float64; NaN is infinite."""
    torch = torch_or_none()
    got = torch.as_tensor(got, device="cuda").double().reshape(want.shape)
    ratio = float((got - want).norm() / want.norm())
    return ratio if np.isfinite(ratio) else float("inf")
