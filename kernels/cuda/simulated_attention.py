"""The functions of ptx_attention.py where Numba's simulator runs device code."""

import functools

import numpy as np

from .half import BFLOAT16
from .ptx import load4, narrow, wide
from .simulated import exchange


@functools.cache
def shuffles(lanes):
    """A warp has as many lanes here as what multiplies is made for: all that it waits for is of one number of them."""

    def shuffle(value, lane):
        everyone, me = exchange(value, lanes)
        return everyone[me ^ lane]

    return shuffle


def exponential(x):
    return np.exp2(x)


@functools.cache
def maxima(places):
    def of(x, tops):
        tops = list(tops)
        for value, row in zip(x, places.along(0), strict=True):
            tops[row] = np.fmax(tops[row], value)
        return tuple(tops)

    return of


@functools.cache
def sums(places):
    def of(x, totals):
        totals = list(totals)
        for value, row in zip(x, places.along(0), strict=True):
            totals[row] = totals[row] + value
        return tuple(totals)

    return of


@functools.cache
def exponentials(places, axis):
    slots = places.along(axis)
    return lambda x, factor, bases: tuple(np.exp2(np.array(x) * factor - np.array(bases)[slots]))


@functools.cache
def times(places):
    rows = places.along(0)
    return lambda x, factors: tuple(np.array(x) * np.array(factors)[rows])


@functools.cache
def gradients(places, axis):
    slots = places.along(axis)
    return lambda x, slopes, deltas: tuple(np.array(x) * (np.array(slopes) - np.array(deltas)[slots]))


def scaled(x, factor):
    return tuple(np.array(x) * factor)


def added(x, other, factor):
    return tuple(np.array(x) + np.array(other) * factor)


def kept_only(x, flags):
    x = np.array(x)
    return tuple(np.where(flags, x, x.dtype.type(-np.inf)))


def _spots(places, row, column):
    """The rows and columns of a thread's numbers."""
    rows, columns = (np.array(offsets, np.int64) for offsets in (places.rows, places.columns))
    return row + rows[places.along(0)], column + columns[places.along(1)]


@functools.cache
def seen(places, turned):
    def of(x, row, column, queries, keys, causal):
        rows, columns = _spots(places, row, column)
        query, key = (columns, rows) if turned else (rows, columns)
        visible = (columns < (queries if turned else keys)) & ((key <= query) | (not causal))
        return kept_only(x, visible)

    return of


@functools.cache
def fetched(places):
    def of(array, begin, step_row, step_column, row, column, rows, columns):
        down, across = _spots(places, row, column)
        down, across = np.minimum(down, rows - 1), np.minimum(across, columns - 1)
        return tuple(wide(array[i]) for i in begin + down * step_row + across * step_column)

    return of


@functools.cache
def stored(places, count):
    def of(array, begin, step, row, column, rows, columns, tile):
        down, across = _spots(places, row, column)
        for i, value in enumerate(tile):
            first = i // count * count
            assert down[i] == down[first] and across[i] == across[first] + i - first
            if down[i] < rows and across[first] < columns:
                array[begin + down[i] * step + across[i]] = narrow(array, value)

    return of


@functools.cache
def dropped(count):
    def of(x, bits, factor):
        return tuple(value * factor if int(bits) >> i & 1 else type(value)(0) for i, value in enumerate(x))

    return of


@functools.cache
def column_values(places):
    return lambda shared, at: tuple(shared[at + n] for n in places.columns)


@functools.cache
def laid_down(places, pitch):
    def of(shared, at, tile):
        for value, (r, c) in zip(tile, places.at, strict=True):
            shared[at + places.rows[r] * pitch + places.columns[c]] = value

    return of


@functools.cache
def packed(kind, down, across, step):
    def of(x):
        out = []
        for m in range(down):
            if kind in ("bf16", "f16"):
                first = 4 * (m * 2 * across + 2 * step)
                halves = np.array(x[first : first + 8], np.float32).astype(BFLOAT16 if kind == "bf16" else np.float16)
                out += list(halves.view(np.uint32))
            else:
                first = 4 * (m * 2 * across + step)
                out += list(np.array([x[first + i] for i in (0, 2, 1, 3)], np.float32).view(np.uint32))
        return tuple(out)

    return of


@functools.cache
def step_products(left, right):
    def lines(shared, at, side):
        count, apart = side[:2]
        if len(side) == 2:
            return np.array([load4(shared, at + apart * i) for i in range(count)])
        groups = [[load4(shared, at + side[2] * k + apart * i) for k in range(4)] for i in range(count // 4)]
        return np.array(groups).transpose(0, 2, 1).reshape(count, 4)

    def multiply(total, shared, at_left, at_right):
        return tuple(np.array(total) + (lines(shared, at_left, left) @ lines(shared, at_right, right).T).ravel())

    return multiply
