"""Elements of planes on the axes of a grid: columns, rows and slices. No thread divides a flat index into its parts.

A slice is one (rows, columns) piece: a plane, or one of the depths of a solid one. Columns of a warp lie side by side.
A thread keeps its column and its row and goes over slices, so that what they decide is worked out once:

    k = column()
    while k < columns:
        j = row()
        while j < rows:
            s = first_slice()
            while s < slices:
                ...
                s += slice_step()
            j += row_step()
        k += column_step()

A `range` would divide to count its steps. Indices are int32: two of them added or multiplied are int64 again, which
`i32` undoes, and the compiler makes 32-bit arithmetic of it.
"""

import numpy as np

from .ptx import quotient as unsigned_quotient
from .target import BLOCKS, THREADS, WARP, cuda, device, launch

i32 = np.int32
# blocks along the second and the third axis of a grid, and threads along the third of a block, at most
MOST_ALONG, DEEPEST = 65535, 64


def power(n):
    """The smallest power of two that is not below n."""
    return 1 << max(0, n - 1).bit_length()


def over_planes(function, slices, rows, columns, stream, *args):
    """Start a kernel that goes over columns, rows and slices as said above."""
    if 0 in (slices, rows, columns):
        return
    x = min(power(columns), WARP)
    y = min(power(rows), THREADS // x)
    z = min(power(slices), THREADS // (x * y), DEEPEST)
    # few rows and slices: longer runs of columns
    x *= max(1, min(power(-(-columns // x)), THREADS // (x * y * z)))
    across, down = min(-(-columns // x), MOST_ALONG), min(-(-rows // y), MOST_ALONG)
    deep = min(-(-slices // z), max(1, BLOCKS // (across * down)))
    launch(function, (deep, down, across), (x, y, z), stream, *args)


@device
def column():
    return i32(cuda.blockIdx.z * cuda.blockDim.x + cuda.threadIdx.x)


@device
def column_step():
    return i32(cuda.gridDim.z * cuda.blockDim.x)


@device
def row():
    return i32(cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y)


@device
def row_step():
    return i32(cuda.gridDim.y * cuda.blockDim.y)


@device
def first_slice():
    return i32(cuda.blockIdx.x * cuda.blockDim.z + cuda.threadIdx.z)


@device
def slice_step():
    return i32(cuda.gridDim.x * cuda.blockDim.z)


@device
def quotient(a, b):
    """a // b of int32 that are not negative; of signed ones Numba makes a division of 64 bits."""
    return i32(unsigned_quotient(a, b))


@device
def place_of(s, depths):
    """(plane, depth) of a slice; flat planes are not divided."""
    if depths == 1:
        return s, i32(0)
    p = quotient(s, depths)
    return p, i32(s - p * depths)
