"""What the compilation target can do, and the register tile that follows from it.

The tile is rows x vectors of accumulators: as many as the registers hold beside the loads of one step. Features are
those Numba compiles for (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES), not those of the machine: the two may differ on purpose.
"""

import llvmlite.binding as llvm
import numpy as np
from numba.core import config


def features():
    """Names of the target's features, such as {"avx2", "fma"}."""
    if config.CPU_FEATURES is not None:
        return frozenset(f[1:] for f in config.CPU_FEATURES.split(",") if f.startswith("+"))
    # a CPU named without features is compiled for with the host's, as Numba does
    return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)


def path():
    """The instruction path in words: what `python -m hotloop doctor` prints."""
    vectors = {64: "AVX-512 FMA", 32: "AVX2 FMA", 16: "128-bit vectors"}[VECTOR_BYTES]
    return f"{vectors}, AMX split bf16" if AMX else vectors


_features = features()
_wide_file = not llvm.get_process_triple().startswith(("x86", "i386", "i686"))  # 32 vector registers at 128 bits

if {"avx512f"} <= _features:
    VECTOR_BYTES, ROWS, VECTORS = 64, 14, 2  # 28 accumulators + 2 loads + 1 broadcast of 32 registers
elif {"avx2", "fma"} <= _features:
    VECTOR_BYTES, ROWS, VECTORS = 32, 6, 2  # 12 + 2 + 1 of 16
elif _wide_file:
    VECTOR_BYTES, ROWS, VECTORS = 16, 8, 3  # 24 + 3 + 1 of 32
else:
    VECTOR_BYTES, ROWS, VECTORS = 16, 6, 2  # 12 + 2 + 1 of 16

AMX = {"amx-tile", "amx-bf16", "avx512f", "avx512bw"} <= _features  # and the system's leave: see precision.py

FLOAT_LANES = VECTOR_BYTES // np.dtype(np.float32).itemsize
DOUBLE_LANES = VECTOR_BYTES // np.dtype(np.float64).itemsize

# loads and stores of a part of a vector are single instructions: edges need no padding
MASKED = VECTOR_BYTES >= 32
