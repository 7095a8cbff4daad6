"""The kernels of attention: the source of attention_source.py, compiled, and the device functions it calls."""

import functools
import math

import numpy as np

from . import ptx_attention, ptx_attention_moves
from .attention_dropout import keeping
from .attention_source import Source
from .conv_geometry import divided
from .functions import log
from .ptx import rounded_product
from .ptx_tile import commit_copies, copy_chunk_if, copy_element_if, waiting
from .recurrent_tile import meet
from .target import cuda, device, jit

LOG2_E, LN_2 = math.log2(math.e), math.log(2)
CHUNK_BYTES = 16


def _bringing(rows, shape, itemsize, parts):
    """The function that brings some rows of an operand: their numbers skip .. skip + width, 0 where there is none."""
    vector = CHUNK_BYTES // itemsize
    chunks, pitch = shape.width // vector, shape.pitch(itemsize)
    step = shape.threads // chunks
    assert step and rows % step == 0, "threads copy whole rows"

    @device
    def bring(shared, to, array, begin, first, limit, stride, skip, extent, thread):
        c, line = thread % chunks * vector, thread // chunks
        for i in range(rows // step):
            inside = first + line + i * step < limit and skip + c < extent
            offset = (first + line + i * step) * stride + skip + c
            copy_chunk_if(shared, to + (line + i * step) * pitch + c, array, begin, offset, inside)

    @device
    def bring_part(shared, to, array, begin, first, limit, stride, skip, extent, thread):
        # not unrolled: in a loop over parts every row's place would be kept in registers
        c = thread % chunks * vector
        for line in range(thread // chunks, rows, step):
            inside = first + line < limit and skip + c < extent
            offset = (first + line) * stride + skip + c
            copy_chunk_if(shared, to + line * pitch + c, array, begin, offset, inside)

    return bring_part if parts else bring


def _numbers(columns, threads):
    @device
    def bring(numbers, to, array, begin, first, limit, thread):
        for i in range(thread, columns, threads):
            copy_element_if(numbers, to + i, array, begin, first + i, first + i < limit)

    return bring


def _joining(shape):
    """What two threads of one row make of their numbers: the larger one, and the sum."""
    shuffle = ptx_attention.shuffles(shape.lanes)

    @device
    def larger(value, lane):
        other = shuffle(value, lane)
        return other if other > value else value

    @device
    def plus(value, lane):
        return value + shuffle(value, lane)

    return {"larger": larger, "plus": plus}


@device
def usable(top):
    """What exponents are relative to: 0 where all are -inf."""
    return top if top > -type(top)(math.inf) else type(top)(0)


@device
def reciprocal(total):
    return type(total)(1) / total if total != 0 else type(total)(0)


@device
def logarithm(top, total):
    return top * type(top)(LN_2) + log(total) if total != 0 else -type(top)(math.inf)


@functools.cache
def kernel_of(version):
    """The kernel, and the bytes of shared memory it wants."""
    made = Source(version)
    shape, itemsize, real = version.shape, version.dtype.itemsize, made.sum.type
    places, results = shape.places, shape.sums
    axis = int(made.turned)
    scope = made.core.scope | {
        "jit": jit,
        "cuda": cuda,
        "np": np,
        "meet": meet,
        "divided": divided,
        "REAL": version.dtype.type,
        "SUM": real,
        "COLUMNS": shape.columns,
        "ZEROS": (real(0),) * len(places.at),
        "NOTHING": (real(0),) * len(results.at),
        "LOWEST": real(-math.inf),
        "ZERO": real(0),
        "ONE": real(1),
        "LOG2_E": real(LOG2_E),
        "commit_copies": commit_copies,
        "wait_copies": waiting(0),
        "bring_rows": _bringing(shape.rows, shape, itemsize, version.parts),
        "bring_columns": _bringing(shape.columns, shape, itemsize, version.parts),
        "bring_numbers": _numbers(shape.columns, shape.threads),
        "kept": keeping(shape, made.turned),
        **_joining(shape),
        "usable": usable,
        "rounded_product": rounded_product,
        "reciprocal": reciprocal,
        "logarithm": logarithm,
        "exponential": ptx_attention.exponential,
        "scaled": ptx_attention.scaled,
        "added": ptx_attention.added,
        "kept_only": ptx_attention.kept_only,
        "maxima": ptx_attention.maxima(places),
        "sums_of": ptx_attention.sums(places),
        "exponentials": ptx_attention.exponentials(places, axis),
        "gradients": ptx_attention.gradients(places, axis),
        "times": ptx_attention.times(results),
        "seen": ptx_attention.seen(places, made.turned),
        "fetched": ptx_attention_moves.fetched(places),
        "dropped": ptx_attention.dropped(len(places.at)),
        "column_values": ptx_attention_moves.column_values(places),
        "store_one": ptx_attention_moves.stored(places, 1),
        "store": ptx_attention_moves.stored(results, shape.neighbours),
    }
    name = f"attention_{version.form}"
    exec(compile(made.text(), f"<{name} {shape.kind} {shape.width}>", "exec"), scope)
    return scope[name], made.end_of_shared * itemsize
