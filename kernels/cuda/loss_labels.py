"""What losses of labels share: the weight of all labels, which a mean divides by, and the way of a loss to its place.

A gradient waits for that weight. Few labels are added up by every block that needs it; many by a launch before the
loss, whose blocks leave a number each. Labels out of range are found by the loss itself.
"""

from .elementwise import fill_forward
from .lanes import WARPS, block_sum
from .lines import lay
from .loss import MEAN, NONE, SUM, add_up
from .target import SIMULATOR, THREADS, cuda, device, empty, jit, launch

# labels that every block counts for itself; labels for each block that counts, and such blocks at most
ALONE, PART, MOST = (4, 8, 2) if SIMULATOR else (256, 4096, 256)


@device
def counted(target, weight, classes, ignore_index, first, step):
    """The sum of the weights of labels first, first + step ... that are not ignored."""
    total, one, i = weight.dtype.type(0), weight.dtype.type(1), first
    while i < target.size:
        label = target[i]
        if label != ignore_index and label >= 0 and label < classes:
            total += weight[label] if weight.size > 0 else one
        i += step
    return total


@jit
def _count_labels(counts, target, weight, classes, ignore_index):
    parts = cuda.shared.array(WARPS, weight.dtype)
    total = counted(target, weight, classes, ignore_index, cuda.grid(1), cuda.gridsize(1))
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        counts[cuda.blockIdx.x] = total


def count_labels(target, weight, classes, ignore_index, reduction, stream):
    """What `scale_of` wants of a mean over many labels; of others it is nothing."""
    blocks = min(-(-target.size // PART), MOST) if reduction == MEAN and target.size > ALONE else 0
    counts = empty((blocks,), weight.dtype)
    launch(_count_labels, blocks, THREADS, stream, counts, target.reshape(-1), weight, classes, ignore_index)
    return counts


@device
def scale_of(parts, mean, counts, target, weight, classes, ignore_index):
    """What a mean multiplies by, for all threads of a block; 1 for other reductions."""
    real = weight.dtype.type
    if not mean:
        return real(1)
    total, i = real(0), cuda.threadIdx.x
    if counts.size > 0:
        while i < counts.size:
            total += counts[i]
            i += cuda.blockDim.x
    else:
        total = counted(target, weight, classes, ignore_index, i, cuda.blockDim.x)
    return real(1) / block_sum(parts, total)


def begin_blocks(loss, x, arrays, reduction, stream):
    """(the Lay of samples, where their values go): to the loss, or a sum for each block."""
    n, classes, m = x.shape
    laid = lay(n * m, classes, m, *arrays) if x.size else None
    if reduction == NONE and laid is None:
        # samples of no classes
        fill_forward(loss, 0.0, stream)
    alone = reduction == NONE or (laid and laid.grid == 1)
    return laid, loss if alone else empty((laid.grid if laid else 0,), x.dtype)


def end_blocks(loss, values, count, reduction, stream):
    """Add up what the blocks have found and scaled; without blocks, the sum or mean of nothing."""
    if values is not loss:
        add_up(loss, values, count, SUM if values.size else reduction, stream)
