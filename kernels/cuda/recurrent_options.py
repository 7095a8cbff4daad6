"""What the kernels with options share on the device: the launches around a step's products, and normalised rows.

    forward   for each step    raw = seen @ w_hh.T                    a product
                               what is made of a row                  a block for each sample
                               states, mixed and masked               `mix`
    backward  for each step    gradients of what was made             `unmix`
                               gradients of gates and products        a block for each sample
                               dseen = draw @ w_hh                    a product

They are plainer than those without options: what a step keeps for backward is there by time, so that the gradients of
weights, biases and gains are products and sums over all steps. Arrays are flat in the device functions.
"""

from .functions import sqrt
from .lanes import block_sum
from .recurrent import add_rows
from .target import cuda, device, empty, jit, spread


@jit
def _begin(h, seen, first, mask):
    for i in range(cuda.grid(1), h.size, cuda.gridsize(1)):
        state = first[i] if first.size > 0 else h.dtype.type(0)
        h[i] = state
        seen[i] = state * mask[i] if mask.size > 0 else state


def begin(h, seen, first, mask, stream):
    """h and what the product sees of it, before the first step."""
    spread(_begin, h.size, stream, *(a.reshape(-1) for a in (h, seen, first, mask)))


@jit
def mix(y, h, seen, states, before, made, zone, mask, lengths, t, n, p):
    """The states of step t from what it has made: h, what the next product sees of it, and what is kept by time."""
    for i in range(cuda.grid(1), n * p, cuda.gridsize(1)):
        active = lengths.size == 0 or t < lengths[i // p]
        at, old, zero = t * n * p + i, h[i], h.dtype.type(0)
        if states.size > 0:
            states[at] = seen[i] if active else zero
        if before.size > 0:
            before[at] = old if active else zero
        new = zero
        if active:
            new = made[i]
            if zone.size > 0:
                new = zone[at] * old + (h.dtype.type(1) - zone[at]) * new
            h[i] = new
            seen[i] = new * mask[i] if mask.size > 0 else new
        y[at] = new


@jit
def unmix(dmade, dh, dseen, dy, zone, mask, lengths, t, n, p):
    """The gradient of what step t made. dh is that of its states, but for dseen, what the step after it saw of them;
    it becomes what goes straight to the states before."""
    for i in range(cuda.grid(1), n * p, cuda.gridsize(1)):
        d = dh[i] + (dseen[i] * mask[i] if mask.size > 0 else dseen[i])
        made = dh.dtype.type(0)
        if lengths.size == 0 or t < lengths[i // p]:
            at = t * n * p + i
            made = d + dy[at] if dy.size > 0 else d
            d = dh.dtype.type(0)
            if zone.size > 0:
                d = zone[at] * made
                made -= d
        dmade[i] = made
        dh[i] = d


@jit
def add_masked(dh, dseen, mask):
    for i in range(cuda.grid(1), dh.size, cuda.gridsize(1)):
        dh[i] += dseen[i] * mask[i] if mask.size > 0 else dseen[i]


@device
def statistics(parts, a, begin, width, eps):
    """The mean of a row and the inverse of its deviation; all threads of a block have them."""
    total, count = eps - eps, type(eps)(width)
    for j in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        total += a[begin + j]
    mean = block_sum(parts, total) / count
    total = eps - eps
    for j in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        total += (a[begin + j] - mean) * (a[begin + j] - mean)
    return mean, type(eps)(1) / sqrt(block_sum(parts, total) / count + eps)


@device
def put_normalised_grad(parts, draw, to, terms, terms_at, dout, at, a, begin, gain, first, width, eps):
    """draw: the gradient of a row a[begin ..] that was normalised and took gain[first ..], from dout; or dout itself,
    where there is no gain. terms: what goes to the gain."""
    if gain.size == 0:
        for j in range(cuda.threadIdx.x, width, cuda.blockDim.x):
            draw[to + j] = dout[at + j]
        return
    mean, scale = statistics(parts, a, begin, width, eps)
    plain, along = eps - eps, eps - eps
    for j in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        normal = (a[begin + j] - mean) * scale
        terms[terms_at + j] = dout[at + j] * normal
        plain += dout[at + j] * gain[first + j]
        along += dout[at + j] * gain[first + j] * normal
    plain = block_sum(parts, plain) / type(eps)(width)
    along = block_sum(parts, along) / type(eps)(width)
    for j in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        normal = (a[begin + j] - mean) * scale
        draw[to + j] = scale * (dout[at + j] * gain[first + j] - plain - normal * along)


@jit
def _hand_over(target, total, begin, accumulate):
    for j in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        target[j] = target[j] + total[begin + j] if accumulate else total[begin + j]


def sum_terms(targets, terms, accumulate, stream):
    """The gradients of vectors, side by side in the columns of `terms` (rows, columns), where they are wanted.

    targets: (gradient, its width), in that order.
    """
    if not any(target.size for target, _ in targets):
        return
    total = empty(terms.shape[1], terms.dtype)
    add_rows(total, total[:0], terms, False, stream)
    at = 0
    for target, width in targets:
        spread(_hand_over, target.size, stream, target, total, at, accumulate)
        at += width
