"""The dtypes of tensors, by PyTorch's names, and which dtype the result of an operation has."""

from __future__ import annotations

from typing import Any

import numpy as np

float32 = float_ = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
float16 = half = np.dtype(np.float16)
int8 = np.dtype(np.int8)
int16 = short = np.dtype(np.int16)
int32 = int_ = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool_ = np.dtype(np.bool_)

_DEFAULT = float32


def bfloat16() -> np.dtype:
    """The dtype bfloat16, storage on CUDA; ImportError where the package that defines it is missing."""
    from ..kernels.cuda.half import BFLOAT16

    if BFLOAT16 is None:
        raise ImportError("bfloat16 needs ml_dtypes: pip install ml_dtypes, or the extra hotloop[cuda13]")
    return BFLOAT16


def is_floating(dtype: np.dtype) -> bool:
    """Whether elements are floating numbers, bfloat16 among them, which NumPy has no kind for."""
    return dtype.kind == "f" or (dtype.kind == "V" and dtype.name == "bfloat16")


_NAMES = {"float": float32, "double": float64, "half": float16, "int": int32, "long": int64, "short": int16}


def as_dtype(dtype: Any) -> np.dtype | None:
    """A dtype from a NumPy dtype or type, PyTorch's or NumPy's name of it, or Python's float, int, bool; None stays."""
    if dtype is None or type(dtype) is np.dtype:
        return dtype
    if isinstance(dtype, str):
        if dtype.removeprefix("torch.") == "bfloat16":
            return bfloat16()
        dtype = _NAMES.get(dtype.removeprefix("torch."), dtype.removeprefix("torch."))
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"expected a dtype such as hotloop.float32 or 'int64', got {dtype!r}") from None
    if found.kind not in "biuf" and not is_floating(found):
        raise TypeError(f"expected a dtype of floats, integers or booleans, got {found}")
    return found


def promote_types(a: np.dtype, b: np.dtype) -> np.dtype:
    """The smallest dtype for both, as torch.promote_types: an integer beside a float does not widen it."""
    if a is b or a == b:
        return a
    if is_floating(a) and not is_floating(b):
        return a
    if is_floating(b) and not is_floating(a):
        return b
    if a.itemsize == b.itemsize == 2 and is_floating(a):
        # of float16 and bfloat16 neither holds the other
        return float32
    return np.promote_types(a, b)


def result_type(*operands: Any) -> np.dtype:
    """The dtype of an operation's result, as torch.result_type: what has dimensions decides.

    Arrays without dimensions, then Python numbers, count only if of a higher kind (bool < integer < float).
    """
    ranks: list[np.dtype | None] = [None, None, None]
    dtype: np.dtype
    for operand in operands:
        # Python's own first: np.float64 is a float
        if isinstance(operand, bool):
            rank, dtype = 2, bool_
        elif isinstance(operand, int):
            rank, dtype = 2, int64
        elif isinstance(operand, float):
            rank, dtype = 2, _DEFAULT
        else:
            rank, dtype = (0 if len(operand.shape) else 1), operand.dtype
        present = ranks[rank]
        ranks[rank] = dtype if present is None else promote_types(present, dtype)
    result: np.dtype | None = ranks[0]
    for lower in ranks[1:]:
        if lower is not None and (result is None or _KIND[lower.kind] > _KIND[result.kind]):
            result = lower
    if result is None:
        raise ValueError("result_type: expected at least one operand, got none")
    return result


_KIND = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2}
