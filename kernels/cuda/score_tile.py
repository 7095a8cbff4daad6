"""Where the numbers of a thread's tile lie in the tile of its warp; what ptx_attention.py and its twin are told."""

from typing import NamedTuple


class Places(NamedTuple):
    """A thread's tile is a tuple of numbers: at[i] is (which of `rows`, which of `columns`) number i is of.

    rows, columns  how far each of a thread's rows and columns lies from its first one
    """

    rows: tuple
    columns: tuple
    at: tuple

    def along(self, axis):
        """Of each number its row (0), or its column (1)."""
        return [place[axis] for place in self.at]


def interleaved(rows, columns):
    """Every row with every column, row by row."""
    return Places(rows, columns, tuple((r, c) for r in range(len(rows)) for c in range(len(columns))))


def of_fragments(down, across):
    """The sums of ptx_tile.tensor_product: two neighbours of row g, two of row g + 8, fragment by fragment."""
    rows = tuple(8 * r for r in range(2 * down))
    columns = tuple(8 * (c // 2) + c % 2 for c in range(4 * across))
    at = [(2 * m + low, 2 * n + i) for m in range(down) for n in range(2 * across) for low in (0, 1) for i in (0, 1)]
    return Places(rows, columns, tuple(at))
