"""The only ways between host and device, and the wait for the device. Each goes through the current stream."""

import numpy as np

from . import memory, status
from .elementwise import packed
from .half import stored_as
from .target import adopt, cuda, current_stream, native, refuse_while_recording


def to_device(array):
    """A copy of a NumPy array on the current device, from pooled memory."""
    refuse_while_recording("a copy from the host")
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    copy = memory.empty(array.shape, array.dtype)
    if copy.size:
        flat = array.reshape(-1).view(stored_as(array.dtype))
        native(copy.reshape(-1)).copy_to_device(flat, stream=current_stream())
    return copy


def to_host(array):
    """A copy of a CUDA array as a NumPy array. Waits for the kernels before it, and raises what they found wrong."""
    refuse_while_recording("reading values of the device")
    array = adopt(array)
    if not array.flags.c_contiguous:
        array = packed(array)
    host = np.empty(array.shape, array.dtype)
    if array.size:
        flat = host.reshape(-1).view(stored_as(array.dtype))
        native(array.reshape(-1)).copy_to_host(flat, stream=current_stream())
        _wait()
    status.raise_pending()
    return host


def synchronize():
    """Wait for every kernel of the current device, and raise what they found wrong."""
    refuse_while_recording("waiting for the device")
    cuda.synchronize()
    status.raise_pending()


def _wait():
    # copies on a stream do not wait for themselves
    stream = current_stream()
    if stream:
        cuda.synchronize()
