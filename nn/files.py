"""State files in the safetensors format: `save` and `load`.

A save writes a file beside the old one, flushes it to the disk and renames it, so a crash leaves the old file whole.
The sum of every array's bytes travels in the file's metadata, and `load` compares it; other programs' files have none.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .module import Module
from .state_dict import as_tensor
from .tensor import Tensor

__all__ = ["load", "save"]

_SUMS = "hotloop.crc32"
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def save(state: Module | Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write a module's `state_dict()`, or any dict of Tensors and arrays by name, to a safetensors file.

    Raises ModuleNotFoundError without the safetensors library, TypeError or ValueError for what a file cannot hold.
    """
    safetensors = _library()
    arrays = _host_arrays(state.state_dict() if isinstance(state, Module) else state)
    sums = {name: zlib.crc32(_bytes(array)) for name, array in arrays.items()}
    data = safetensors.numpy.save(arrays, metadata={_SUMS: json.dumps(sums)})
    _replace_file(Path(path), data)


def load(path: str | os.PathLike) -> dict[str, Tensor]:
    """Read a safetensors file (ours, PyTorch's or anyone's) as a dict of Tensors for `load_state_dict`.

    bfloat16 arrays come as float32, which holds them exactly. Raises ValueError, with the file's name and what is
    wrong, for a truncated, corrupt or foreign file; ModuleNotFoundError without the safetensors library.
    """
    safetensors = _library()
    data = Path(path).read_bytes()
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{os.fspath(path)}: {_diagnosis(data, error)}") from None
    arrays = {name: _array(path, name, entry) for name, entry in entries}
    sums = _sums(path, data)
    for name, expected in sums.items():
        if name not in arrays or zlib.crc32(dict(entries)[name]["data"]) != expected:
            raise ValueError(f"{os.fspath(path)}: corrupt: the bytes of {name!r} are not those that were saved")
    # the order in which they were saved, where the file knows it
    return {name: Tensor(arrays[name]) for name in [*sums, *sorted(arrays.keys() - sums.keys())]}


def _library():
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "safetensors":
            raise
        raise ModuleNotFoundError(
            "state files need the safetensors library: pip install hotloop[files]", name="safetensors"
        ) from None
    return safetensors


def _host_arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(state, Mapping):
        raise TypeError(f"save expects a Module or a dict of arrays by name, got {type(state).__name__}")
    arrays = {}
    for name, value in state.items():
        if not isinstance(name, str):
            raise TypeError(f"save expects names that are strings, got {name!r}")
        array = as_tensor(name, value).detach().to("cpu").numpy()
        # the library writes memory as it lies
        arrays[name] = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return arrays


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path` so that any crash leaves either the old file or the new one."""
    # a link keeps pointing where it points
    path = Path(os.path.realpath(path))
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        # the rename itself must reach the disk too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _diagnosis(data: bytes, error: Exception) -> str:
    if not data:
        return "the file is empty"
    if data[:4] == b"PK\x03\x04":
        return "a zip archive (written by torch.save or numpy.savez?), not a safetensors file"
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or data[8:9] != b"{":
        return "not a safetensors file"
    if len(data) < 8 + length:
        return f"truncated: the header needs {8 + length} bytes, the file has {len(data)}"
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        header = json.loads(data[8 : 8 + length])
        end = 8 + length + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        if len(data) < end:
            return f"truncated: {end} bytes expected, the file has {len(data)}"
        if len(data) > end:
            return f"corrupt: {end} bytes expected, the file has {len(data)}"
    return f"corrupt: {error}"


def _array(path, name: str, entry: dict[str, Any]) -> np.ndarray:
    code, shape = entry["dtype"], entry["shape"]
    if code == "BF16":
        high = np.frombuffer(entry["data"], "<u2").astype(np.uint32)
        return (high << np.uint32(16)).view(np.float32).reshape(shape)
    if code not in _DTYPES:
        raise ValueError(
            f"{os.fspath(path)}: {name!r} has the dtype {code}, expected one of {', '.join(_DTYPES)}, BF16"
        )
    return np.frombuffer(entry["data"], _DTYPES[code]).reshape(shape)


def _sums(path, data: bytes) -> dict[str, int]:
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return dict(json.loads(header.get("__metadata__", {}).get(_SUMS, "{}")))
    except (ValueError, TypeError):
        raise ValueError(f"{os.fspath(path)}: corrupt: the sums of its arrays cannot be read") from None
