"""Grids for arrays of rows: threads along a row as far as it goes, the rest of a block along rows.

Device code started by `over_rows` finds its place in this way, for any rows and columns:

    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y        # may be rows or more
    j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x          # while j < columns: ...
    j += cuda.gridDim.y * cuda.blockDim.x
"""

from .target import THREADS, WARP, launch

# columns of a thread where there are blocks enough; blocks that fill a device; the largest second axis of a grid
EACH, FILL, SECOND = 4, 1024, 65535


def power_above(n):
    """The least power of two that is n or more."""
    return 1 << max(0, n - 1).bit_length()


def rows_and_columns(rows, columns, threads=THREADS):
    """(grid, block) of such a launch."""
    tx = min(power_above(columns), threads)
    ty = min(threads // tx, power_above(rows))
    down = -(-rows // ty)
    across = -(-columns // tx)
    if down * across > FILL:
        across = max(-(-across // EACH), -(-FILL // down) if down else 1)
    return (down, min(across, SECOND)), (tx, ty)


def over_rows(function, rows, columns, stream, *args):
    """Start device code that goes over rows and columns as above."""
    if rows and columns:
        launch(function, *rows_and_columns(rows, columns), stream, *args)


def lanes_of(columns):
    """Threads of a block that has one row of so many columns: a warp, or several."""
    return WARP if columns <= 8 * WARP else THREADS


def elements(function, n, stream, *args):
    """Start device code that has a thread for each of n elements: i = cuda.grid(1), which may be n or more."""
    launch(function, -(-n // THREADS), THREADS, stream, *args)


def cut(n, chunks):
    """(elements of a chunk, chunks) for n elements in about so many chunks, none of them empty."""
    chunk = max(1, -(-n // chunks))
    return chunk, max(1, -(-n // chunk))
