"""Descriptions of arrays in device memory, from which Hopper's copies of tiles find what they bring.

The driver encodes one, on the host and without asking the device; kernels take its address. Numba cannot hand a kernel
128 bytes by value, so that it lies in device memory: written once, on a stream of its own, before the first kernel
that reads it is launched. Its contents follow from what it describes alone, so that one made is right for ever, may be
shared and is never written again: launches of a recorded step refer to it, and recording one may make one.
"""

import ctypes
import functools
import threading

import numpy as np

from .target import SIMULATOR

BYTES = 128
# descriptions that memory is taken for at a time
PAGE = 512
# the driver wants its copy on such a boundary
BOUNDARY = 64

_known: dict = {}
_lock = threading.Lock()


def tensor_map(kind, pointer, shape, strides, box):
    """Where the description lies, as a kernel takes it.

    kind     name of the elements' dtype; float32 is rounded to TF32 by the copy
    pointer  of the first element, a multiple of 16
    shape    (matrices, lines, elements of a line); what a box has outside of it is zero
    strides  (from matrix to matrix, from line to line) in bytes, multiples of 16; elements lie side by side
    box      (lines, elements) of a tile, 128 bytes of elements; it is swizzled
    """
    key = kind, pointer, shape, strides, box
    found = _known.get(key)
    if found is None:
        with _lock:
            found = _known.get(key)
            if found is None:
                found = _known[key] = describe(*key)
    return found


if SIMULATOR:
    from .simulated_hopper import describe
else:
    from .target import cuda

    # CU_TENSOR_MAP_DATA_TYPE_FLOAT16, _BFLOAT16, _TFLOAT32
    _TYPES = {"float16": 6, "bfloat16": 9, "float32": 11}
    _NO_INTERLEAVE, _SWIZZLE_128B, _L2_PROMOTION_256B, _FILL_ZEROS = 0, 3, 3, 0

    @functools.cache
    def _encode():
        """The driver's function. Its Python binding does not see to the boundary; the library is loaded already."""
        library = ctypes.CDLL("nvcuda.dll" if hasattr(ctypes, "windll") else "libcuda.so.1")
        function = library.cuTensorMapEncodeTiled
        word, address = ctypes.c_uint32, ctypes.c_void_p
        function.argtypes = [address, word, word, address, address, address, address, address, word, word, word, word]
        function.restype = ctypes.c_int
        return function

    def encoded(kind, pointer, shape, strides, box):
        """The 128 bytes, in memory on the boundary that the driver wants."""
        memory = np.zeros(BYTES + BOUNDARY, np.uint8)
        map_ = memory[-memory.ctypes.data % BOUNDARY :][:BYTES]
        # innermost first
        extents, steps = np.array(shape[::-1], np.uint64), np.array(strides[::-1], np.uint64)
        lengths, every = np.array([*box[::-1], 1], np.uint32), np.ones(3, np.uint32)
        arrays = [a.ctypes.data for a in (extents, steps, lengths, every)]
        status = _encode()(
            map_.ctypes.data,
            _TYPES[kind],
            3,
            pointer,
            *arrays,
            _NO_INTERLEAVE,
            _SWIZZLE_128B,
            _L2_PROMOTION_256B,
            _FILL_ZEROS,
        )
        if status:
            raise RuntimeError(
                f"the driver describes no tiles of {box} of {kind} {shape}, strides {strides}: CUDA error {status}"
            )
        return map_

    # memory for descriptions that are to come; and what keeps all of it, for good
    _free: list = []
    _kept: list = []

    def _slot():
        from . import memory

        if not _free:
            address, keeper = memory.take(PAGE * BYTES)
            _kept.append(keeper)
            _free.extend(address + i * BYTES for i in reversed(range(PAGE)))
        return _free.pop()

    def describe(*description):
        """Encode a description and bring it to the device; it is there when this returns."""
        from cuda.bindings import driver

        def checked(result):
            status, *values = result
            if status != driver.CUresult.CUDA_SUCCESS:
                raise RuntimeError(f"the description of a tile could not be brought to the device: {status}")
            return values[0] if values else None

        map_ = encoded(*description)
        cuda.current_context()
        # a stream of its own, which nothing records; the mode lets this thread use it while it records on another
        relaxed = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        before = checked(driver.cuThreadExchangeStreamCaptureMode(relaxed))
        try:
            address = _slot()
            stream = checked(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING))
            try:
                checked(driver.cuMemcpyHtoDAsync(address, map_.ctypes.data, BYTES, stream))
                checked(driver.cuStreamSynchronize(stream))
            finally:
                checked(driver.cuStreamDestroy(stream))
        finally:
            checked(driver.cuThreadExchangeStreamCaptureMode(before))
        return np.uint64(address)
