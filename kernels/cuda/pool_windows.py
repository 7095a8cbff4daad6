"""Windows of fractional max pooling: a thread for each, in the arithmetic of the samples' dtype."""

from .maps import computed
from .ptx import wide
from .target import cuda, jit, kernel, spread


@jit
def _windows(windows, samples, axis, size, kernel, alpha):
    F, O = type(alpha), windows.shape[1]
    for n in range(cuda.grid(1), windows.shape[0] * O, cuda.gridsize(1)):
        p, o = n // O, n % O
        u = wide(samples[p, axis])
        # the product is cut off before anything is added: no fused multiply-add makes it another
        first = int((F(o) + u) * alpha) - int(u * alpha) if o < O - 1 else size - kernel
        windows[p, o, 0], windows[p, o, 1], windows[p, o, 2] = first, first + kernel, 1


@kernel(half=True)
def fractional_windows_forward(windows, samples, axis, size, kernel, stream=0):
    """One launch."""
    P, O = windows.shape[:2]
    if not (0 <= axis < samples.shape[1] and kernel >= 1 and O + kernel - 1 <= size):
        raise ValueError("fractional_max_pool: the windows do not fit the input")
    F = computed(samples.dtype)
    alpha = F(size - kernel) / F(max(1, O - 1))
    spread(_windows, P * O, stream, windows, samples, axis, size, kernel, alpha)
