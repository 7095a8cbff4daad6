"""The 16-bit floats: storage on the device, widened to float32 where they are computed with.

float16 is NumPy's. bfloat16 is that of ml_dtypes, which the extras cuda12 and cuda13 bring; kernels see it as uint16,
and ptx.wide and ptx.narrow know what that means.
"""

import numpy as np

try:
    from ml_dtypes import bfloat16 as _bfloat16

    BFLOAT16 = np.dtype(_bfloat16)
except ImportError:
    BFLOAT16 = None

HALVES = (np.dtype(np.float16),) if BFLOAT16 is None else (np.dtype(np.float16), BFLOAT16)


def stored_as(dtype):
    """The dtype that kernels see for an array's."""
    return np.dtype(np.uint16) if dtype == BFLOAT16 and BFLOAT16 is not None else dtype
