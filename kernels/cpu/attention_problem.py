"""What an attention is told: sizes, and where arrays lie. Shared functions (shared.py) read it from a table of numbers.

A kernel with a dozen arrays, each C-contiguous or strided, would be compiled anew for each combination of them. So the
public kernels only write addresses and strides into a table; what works on them is compiled once a dtype.
"""

from typing import NamedTuple

import numba
import numpy as np

from ..jit import compiled
from ..state import as_pointer, scratch_address
from .pack import address_of
from .random import threshold

TABLE = 7  # scratch slot of the table
# where in the table: seven sizes, options, two float64 (the options' scale and kept), masks of five words, heads of
# four, addresses of one
SIZES, CAUSAL, BELOW, STATE, NUMBERS = 0, 7, 8, 9, 10
BIAS, KEEP = 12, 17
Q, K, V, Y = 22, 26, 30, 34
LSE, P, DP = 38, 39, 40
DQ, DK, DV, DY = 41, 45, 49, 53
DSCORES = 57
WORDS = 58


class Heads(NamedTuple):
    """Rows of (sample n, head h) side by side in memory: row l at address + (n * sample + h * head + l * row) elements.
    Address 0: absent."""

    address: int
    sample: int
    head: int
    row: int


class Mask(NamedTuple):
    """An element for each score, any strides (elements), 0 for what is broadcast. Address 0: absent."""

    address: int
    sample: int
    head: int
    row: int
    column: int


class Sizes(NamedTuple):
    """Samples, heads of queries, heads of keys, queries, keys, elements of a key, elements of a value."""

    n: int
    h: int
    g: int
    l: int
    s: int
    d: int
    e: int


class Options(NamedTuple):
    """scale of the scores; below: words of dropout below it drop (0: none), kept: factor of what stays."""

    scale: float
    kept: float
    causal: bool
    below: int
    state: int  # address of the two words
    bias: Mask
    keep: Mask


@compiled
def row_at(heads, n, h, l, itemsize):
    """Address of a row."""
    return heads.address + (n * heads.sample + h * heads.head + l * heads.row) * itemsize


@compiled
def new_table():
    return numba.carray(as_pointer(scratch_address(TABLE, 8 * WORDS)), (WORDS,), np.int64)


@compiled
def _check_rows(x):
    if x.shape[3] > 1 and x.size and x.strides[3] != x.itemsize:
        raise ValueError("attention: rows of q, k, v, y and their gradients must be contiguous")


@compiled
def tell_heads(table, at, x):
    _check_rows(x)
    table[at] = address_of(x)
    for axis in range(3):
        table[at + 1 + axis] = x.strides[axis] // x.itemsize


@compiled
def tell_mask(table, at, x):
    table[at] = address_of(x) if x.size else 0
    for axis in range(4):
        table[at + 1 + axis] = x.strides[axis] // x.itemsize


@compiled
def tell_options(table, q, k, v, bias, keep, state, scale, causal, rate):
    """Sizes, options and masks; with the checks that shapes alone do not make."""
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError("attention: expected heads of q a multiple of those of k")
    if not 0 <= rate <= 1:
        raise ValueError("attention: rate: expected 0 .. 1")
    if rate > 0 and state.size == 0:
        raise ValueError("attention: dropout needs a state")
    table[SIZES], table[SIZES + 1], table[SIZES + 2] = q.shape[0], q.shape[1], k.shape[1]
    table[SIZES + 3], table[SIZES + 4] = q.shape[2], k.shape[2]
    table[SIZES + 5], table[SIZES + 6] = q.shape[3], v.shape[3]
    table[CAUSAL], table[BELOW], table[STATE] = np.intp(causal), np.intp(threshold(rate)), address_of(state)
    numbers = table[NUMBERS : NUMBERS + 2].view(np.float64)
    numbers[0], numbers[1] = scale, 1.0 / (1.0 - rate) if rate < 1 else 0.0
    tell_mask(table, BIAS, bias)
    tell_mask(table, KEEP, keep)


@compiled
def told_heads(t, at):
    return Heads(t[at], t[at + 1], t[at + 2], t[at + 3])


@compiled
def _told_mask(t, at):
    return Mask(t[at], t[at + 1], t[at + 2], t[at + 3], t[at + 4])


@compiled
def told_options(t):
    numbers, i = t[NUMBERS : NUMBERS + 2].view(np.float64), SIZES
    sizes = Sizes(t[i], t[i + 1], t[i + 2], t[i + 3], t[i + 4], t[i + 5], t[i + 6])
    masks = _told_mask(t, BIAS), _told_mask(t, KEEP)
    return sizes, Options(numbers[0], numbers[1], t[CAUSAL] != 0, t[BELOW], t[STATE], masks[0], masks[1])


@compiled
def table_at(address):
    return numba.carray(as_pointer(address), (WORDS,), np.int64)
