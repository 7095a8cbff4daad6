"""DLPack, the C structure by which libraries hand each other arrays without a copy; version 0 of it, which all take.

Source: dlpack.h of github.com/dmlc/dlpack.
"""

import ctypes
import math

import numpy as np

from .array import Array
from .half import BFLOAT16
from .target import SIMULATOR, Recording, cuda, current_stream, refuse_while_recording

CPU, CUDA = 1, 2
# dtype.kind -> DLPack's type code
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
BFLOAT = 4


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]

_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_python.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_python.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]

NAME, USED = b"dltensor", b"used_dltensor"
# address of the structure -> what keeps it and the array alive until its taker calls the deleter
_lent: dict = {}


@_Deleter
def _give_back(managed):
    _lent.pop(ctypes.addressof(managed.contents), None)


_CapsuleDestructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@_CapsuleDestructor
def _drop(capsule):
    # a capsule that nobody took; one that was taken has another name, and its taker calls the deleter
    if _python.PyCapsule_IsValid(capsule, NAME):
        get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", _python))
        _lent.pop(get(capsule, NAME), None)


def device_of():
    """(kind, number) as `__dlpack_device__` gives it. The simulator's memory is the host's."""
    return (CPU, 0) if SIMULATOR else (CUDA, cuda.get_current_device().id)


def export(array, stream=None):
    """A capsule over an Array's memory. stream: where the taker will work, which then waits for what is under way."""
    refuse_while_recording("lending an array to another library")
    if not SIMULATOR and stream != -1:
        _order(stream)
    code = BFLOAT if array.dtype == BFLOAT16 else CODES[array.dtype.kind]
    managed = _Managed()
    tensor = managed.tensor
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    strides = (ctypes.c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
    tensor.data, tensor.device, tensor.ndim = array.pointer, _Device(*device_of()), array.ndim
    tensor.dtype = _DataType(code, array.itemsize * 8, 1)
    tensor.shape, tensor.strides, tensor.offset = shape, strides, 0
    managed.deleter = _give_back
    address = ctypes.addressof(managed)
    _lent[address] = managed, shape, strides, array
    return _python.PyCapsule_New(address, NAME, ctypes.cast(_drop, ctypes.c_void_p))


class _Owner:
    """Another library's array: calls its deleter when nothing here refers to it any more."""

    def __init__(self, managed):
        self.managed = managed

    def __del__(self):
        if self.managed.deleter:
            self.managed.deleter(ctypes.byref(self.managed))


def adopt(source):
    """An Array over the memory of any object with `__dlpack__` that lives on this device; TypeError for another."""
    kind, number = source.__dlpack_device__()
    if (kind, number) != device_of():
        raise TypeError(
            f"expected an array on CUDA device {device_of()[1]}, got one on DLPack's device {kind}, {number}"
        )
    capsule = source.__dlpack__() if SIMULATOR else source.__dlpack__(stream=_number(current_stream()))
    managed = _Managed.from_address(_python.PyCapsule_GetPointer(capsule, NAME))
    _python.PyCapsule_SetName(capsule, USED)
    # from here on, also where it is refused
    owner, tensor = _Owner(managed), managed.tensor
    bits = tensor.dtype.bits
    if tensor.dtype.lanes != 1 or bits % 8 or (tensor.dtype.code == BFLOAT and BFLOAT16 is None):
        raise TypeError(f"expected numbers of whole bytes, got DLPack's type {tensor.dtype.code} of {bits} bits")
    kinds = {code: letter for letter, code in CODES.items()}
    if tensor.dtype.code == BFLOAT:
        dtype = BFLOAT16
    elif tensor.dtype.code in kinds:
        dtype = np.dtype(f"{kinds[tensor.dtype.code]}{bits // 8}")
    else:
        raise TypeError(f"expected integers, floats or booleans, got DLPack's type {tensor.dtype.code}")
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides = tuple(tensor.strides[i] * dtype.itemsize for i in range(tensor.ndim)) if tensor.strides else None
    pointer = (tensor.data or 0) + tensor.offset
    if not math.prod(shape):
        strides = None
    return Array(owner, pointer, shape, dtype, strides)


def _number(stream):
    """A stream as DLPack counts them: 1 is the default one; -1: nobody waits, for a step that is recorded."""
    return -1 if isinstance(stream, Recording) else int(stream) if stream else 1


def _order(stream):
    """Let `stream` (None and 1: the default one) wait for what this thread's stream has under way."""
    here = current_stream()
    if stream in (None, 0, 1) and not here:
        return
    event = cuda.event(timing=False)
    event.record(here)
    event.wait(cuda.external_stream(stream) if stream not in (None, 0, 1) else cuda.default_stream())
