"""How precise matrix products of float32 are where tiles of fewer bits multiply them (AMX, CUDA): the process's choice.

The number of bf16 products that stand for one float32 product lies in the state, where compiled code reads it.
"""

from . import state
from .cpu import amx, target

PRODUCTS = {"highest": 6, "high": 3, "medium": 1}

_precision = "highest"


def set_matmul_precision(precision: str) -> None:
    """Choose how precise products of float32 matrices are; as torch.set_float32_matmul_precision.

    "highest"  (the default) float32's own precision
    "high"     operands count 16 bits of their 24: errors of some 5e-6
    "medium"   operands count 8 bits, as bfloat16: errors of some 3e-3

    On a CPU, "high" and "medium" change results only where it has AMX, and only of products large enough to go there;
    `python -m hotloop doctor` tells. On CUDA devices "high" is three products of TF32, whose errors are those of 21
    bits, and "medium" one, of 11 bits (kernels/cuda/gemm.py). float64 is never touched.

    On AMX tiles, at any precision, what is below 2**-126 in size counts as zero: an operand, one of the parts into
    which it is split (so that an operand below 2**-103 keeps an error of up to 2**-126), a sum on its way. Where an
    operand holds Inf or NaN the products around it are float32's, and results are IEEE's.
    """
    global _precision
    if not isinstance(precision, str) or precision not in PRODUCTS:
        expected = ", ".join(f'"{name}"' for name in PRODUCTS)
        raise ValueError(f"set_matmul_precision: expected one of {expected}, got {precision!r}")
    _precision = precision
    # 0: no such tiles, whatever the choice
    if state.words[state.PRODUCTS]:
        state.words[state.PRODUCTS] = PRODUCTS[precision]


def get_matmul_precision() -> str:
    """What set_matmul_precision chose: "highest", "high" or "medium"."""
    return _precision


def describe() -> str:
    """What a large float32 product runs on, in words."""
    products = int(state.words[state.PRODUCTS])
    if products:
        return f"{_precision}: {products} bf16 product{'s' * (products > 1)} on AMX tiles for each of float32"
    return f"{_precision}; " + ("AMX is there, but the system refuses its use" if target.AMX else "no AMX")


if target.AMX and amx.grant():
    state.words[state.PRODUCTS] = PRODUCTS[_precision]
