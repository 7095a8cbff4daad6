"""Elements of planes on the axes of a grid: columns, rows and slices. No thread divides a flat index into its parts.

A slice is one (rows, columns) piece: a plane, or one of the depths of a solid one. Columns of a warp lie side by side.
A thread keeps its column and its row and goes over slices, so that what they decide is worked out once. It takes
several slices at a time, whose loads are under way together: `define_planes` writes lines out for each of them.

Indices are int32: two of them added or multiplied are int64 again, which `i32` undoes, and the compiler makes 32-bit
arithmetic of it. Loops are `while`: a `range` would divide to count its steps.
"""

import math

import numpy as np

from .layout import power_above
from .ptx import narrow as narrow  # for the template and what fills it, as the next
from .ptx import quotient as unsigned_quotient
from .ptx import wide as wide
from .target import BLOCKS, SIMULATOR, THREADS, WARP, cuda, device, launch
from .target import jit as jit

# an index that is unsigned is not looked at for being negative
i32, u32 = np.int32, np.uint32
# slices that a thread takes at a time
TOGETHER = 2 if SIMULATOR else 4
# blocks along the second and the third axis of a grid, and threads along the third of a block, at most
MOST_ALONG, DEEPEST = 65535, 64


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


_SOURCE = """
@jit
def {name}({arguments}):
    {sizes}
    rows, columns, slices = i32(rows), i32(columns), i32(planes * depths)
    k = column()
    while k < columns:
        {of_column}
        j = row()
        while j < rows:
            {of_row}
            s, along = first_slice(), slice_step()
            while s < slices:
                s# = i32(min(s + # * along, slices - 1))
                {place}
                {body}
                if s + # * along < slices: {store}
                s = i32(s + {together} * along)
            j = i32(j + row_step())
        k = i32(k + column_step())
"""


def define_planes(
    namespace, name, arguments, sizes, body, store, of_column="", of_row="", together=TOGETHER, flat=False
):
    """namespace[name]: a kernel that goes over columns k, rows j and slices (p, i), for `over_planes`.

    sizes      lines that name `planes`, an int32 of `depths`, `rows` and `columns`
    of_column  lines that make what a column decides; of_row: a row
    body       lines for one slice or several: with # in the place of their number, they are written for each
    store      a statement for each slice
    flat       planes have one depth
    """

    def indented(text, depth):
        return ("\n" + " " * depth).join(text.strip("\n").split("\n")) or "pass"

    source = _SOURCE.format(
        name=name,
        arguments=arguments,
        sizes=indented(sizes, 4),
        of_column=indented(of_column, 8),
        of_row=indented(of_row, 12),
        body=indented(body, 16),
        store=store,
        together=together,
        place="p#, i# = s#, i32(0)" if flat else "p#, i# = place_of(s#, depths)",
    )
    lines = []
    for line in source.split("\n"):
        lines += [line.replace("#", str(n)) for n in range(together)] if "#" in line else [line]
    scope = {**globals(), **namespace}
    exec(compile("\n".join(lines), f"<planes {name}>", "exec"), scope)
    namespace[name] = scope[name]
    _together[scope[name]] = together


# how many slices a kernel takes at a time
_together: dict = {}


def planes_of(array):
    """(P, D, H, W) as (P, D H W): a place in a plane is worked out once for all planes."""
    size = math.prod(array.shape[1:])
    if size >= 2**31:
        raise ValueError("expected planes of fewer than 2**31 elements")
    return array.reshape(array.shape[0], size)


def over_planes(function, slices, rows, columns, stream, *args):
    """Start a kernel that goes over columns, rows and slices."""
    if 0 in (slices, rows, columns):
        return
    slices = -(-slices // _together.get(function, 1))
    x = min(power_above(columns), WARP)
    y = min(power_above(rows), THREADS // x)
    z = min(power_above(slices), THREADS // (x * y), DEEPEST)
    # few rows and slices: longer runs of columns
    x *= max(1, min(power_above(-(-columns // x)), THREADS // (x * y * z)))
    across, down = min(-(-columns // x), MOST_ALONG), min(-(-rows // y), MOST_ALONG)
    deep = min(-(-slices // z), max(1, BLOCKS // (across * down)))
    launch(function, (deep, down, across), (x, y, z), stream, *args)
