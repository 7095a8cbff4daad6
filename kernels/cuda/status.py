"""What kernels find wrong in the data they read, told later: a word on the device.

A kernel cannot raise. It writes a code of PROBLEMS to the word; the next call that waits for the device anyway
(`to_host`, `synchronize`) reads it, clears it and raises.
"""

import threading

import numpy as np

from .target import cuda

LABEL, MOMENTUM = 1, 2
PROBABILITY, VARIANCE = 10, 11
INDEX, ID, NONZERO, ONE_HOT = 12, 13, 14, 15
OFFSETS, COUNTS, ROWS = 16, 17, 18
WINDOW, STEP, TAP, PLACE = 30, 31, 32, 33
DECAY, ORDER = 34, 35
LENGTHS = 40
INPUT_LENGTH, TARGET_LENGTH, TARGET_COUNT, TARGET = 50, 51, 52, 53
PROBLEMS = {
    LABEL: (IndexError, "a label is out of range: expected 0 .. C-1 or ignore_index"),
    PROBABILITY: (ValueError, "bce_forward: x and target: expected values between 0 and 1"),
    VARIANCE: (ValueError, "gaussian_nll_forward: var: expected 0 or more"),
    INDEX: (IndexError, "an index is out of range for the dimension it indexes"),
    ID: (IndexError, "an id is out of range for the rows of the table"),
    NONZERO: (ValueError, "nonzero: the result has not the length that count_forward counts"),
    ONE_HOT: (IndexError, "one_hot: expected labels in 0 .. C-1"),
    OFFSETS: (ValueError, "offsets: expected the first to be 0, them not to descend, and no more than there are ids"),
    COUNTS: (ValueError, "counts: expected from no samples to all of them at each step"),
    ROWS: (ValueError, "y: expected as many rows as there are samples at all steps together"),
    MOMENTUM: (ValueError, "momentum needs a momentum_buffer of param's size and a step"),
    WINDOW: (ValueError, "pool: a window does not lie in the input"),
    STEP: (ValueError, "pool: expected steps of at least 1"),
    TAP: (ValueError, "interpolate: a tap does not lie in the input"),
    DECAY: (ValueError, "weight_decay is not compatible with sparse gradients"),
    ORDER: (ValueError, "rows: expected them to ascend, each named once"),
    PLACE: (IndexError, "max_unpool: an index lies outside of its plane"),
    LENGTHS: (ValueError, "lengths: expected 0 .. T steps for each sample"),
    INPUT_LENGTH: (ValueError, "input_lengths: expected 0 .. T steps for each sample"),
    TARGET_LENGTH: (ValueError, "target_lengths: expected 0 .. S labels for each sample"),
    TARGET_COUNT: (ValueError, "targets: expected the sum of target_lengths, of which none is negative"),
    TARGET: (IndexError, "targets: a label is out of range: expected 0 .. C-1"),
}


class _Words(threading.local):
    """This thread's word, and whether a kernel that may write it has been launched since it was read."""

    def __init__(self):
        self.array = None
        self.pending = False


_words = _Words()


def word():
    """The (1,) int32 array to hand to a kernel that may find something wrong."""
    if _words.array is None:
        _words.array = cuda.to_device(np.zeros(1, np.int32))
    _words.pending = True
    return _words.array


def expect():
    """Say that a kernel that may write the word has been launched again: a recorded one."""
    _words.pending = _words.array is not None


def raise_pending():
    """Raise what a kernel of this thread has found wrong since the last time, if anything."""
    if not _words.pending:
        return
    _words.pending = False
    code = int(_words.array.copy_to_host()[0])
    if code:
        _words.array.copy_to_device(np.zeros(1, np.int32))
        kind, message = PROBLEMS[code]
        raise kind(f"{message} (found by a CUDA kernel launched before this call)")
