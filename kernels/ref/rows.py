"""What updates of single rows of a table share."""

import numpy as np

from ..labels import IdError


def check_rows(rows, size):
    """Refuse rows outside 0 .. size-1, and those that do not ascend."""
    if (np.diff(rows) <= 0).any():
        raise ValueError("rows: expected them to ascend, each named once")
    bad = (rows < 0) | (rows >= size)
    if bad.any():
        raise IdError(int(rows[bad][0]), 0, size - 1)
