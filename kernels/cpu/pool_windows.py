"""Windows of fractional max pooling: a few integers for each plane, in the arithmetic of the samples' dtype."""

from ..jit import exact, kernel, parallel_for


@exact
def _planes(begin, end, windows, samples, axis, size, kernel):
    F = samples.dtype.type
    O = windows.shape[1]
    alpha = F(size - kernel) / F(max(1, O - 1))
    for p in range(begin, end):
        u, rows = samples[p, axis], windows[p]
        for o in range(O):
            first = int((F(o) + u) * alpha) - int(u * alpha) if o < O - 1 else size - kernel
            rows[o, 0], rows[o, 1], rows[o, 2] = first, first + kernel, 1


@kernel
def fractional_windows_forward(windows, samples, axis, size, kernel):
    """Planes in parallel."""
    P, O = windows.shape[:2]
    if not (0 <= axis < samples.shape[1] and kernel >= 1 and O + kernel - 1 <= size):
        raise ValueError("fractional_max_pool: the windows do not fit the input")
    parallel_for(_planes, P, max(1, 16384 // max(1, O)), (windows, samples, axis, size, kernel))
