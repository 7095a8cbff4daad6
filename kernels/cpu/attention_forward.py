"""The forward pass of attention, compiled once a dtype: see attention.py for the kernel that calls it.

    in parallel: a head of keys (with all heads of queries that share it), or a part of its queries
      for each block of keys                        turned and copied once: K^T in panels, rows of V
        for each block of queries                   copied, scaled
          scores = Q K^T                            the register tile; they stay in the second cache
          a row at a time: bias, masks, largest, exponentials and their sum, dropout
          y (+)= weights V                          the register tile

With one block of keys, most often, the softmax is the plain one. With more, a row's largest score may grow from block
to block; what the row has so far is then scaled down. The sum divides y at the end, E numbers and not S.
"""

import math

import numpy as np

from ..jit import compiled, parallel_for, scratch, standalone
from .attention_blocks import (
    by_row,
    copy_rows,
    line,
    panels_size,
    prepare_products,
    product,
    row_size,
    rows_size,
    turn_rows,
    turned,
)
from .attention_problem import table_at, told_heads, told_options
from .attention_rows import drawn, drop, exponentials, finish_scores, largest, softmax_from
from .pack import address_of
from .vecmath import exp_below, log

KEYS = 512  # in a block
QUERIES = 56  # in a block
UNITS = 32  # pieces of work there should be
_ZERO = np.uint64(0)


@compiled
def _at(heads, n, h, l, itemsize):
    return heads.address + (n * heads.sample + h * heads.head + l * heads.row) * itemsize


@compiled
def _weigh(like, scores, size, place, block, arrays, sizes, options, totals):
    """Scores of a block of queries to weights that lack their division; totals and maxima of the rows so far."""
    n, h, first_query, queries = place
    first_key, columns = block
    y, lse, p = arrays
    several = sizes.s > KEYS
    one = like.dtype.type(1)
    for i in range(queries):
        l = first_query + i
        seen = min(columns, max(0, l + 1 - first_key)) if options.causal else columns
        number = (n * sizes.h + h) * sizes.l + l
        whole = line(scores + i * size * like.itemsize, columns, like)
        row = whole[:seen]
        whole[seen:] = 0
        finish_scores(row, options, n, h, l, first_key)
        if several and p:
            kept = line(p + (number * sizes.s + first_key) * like.itemsize, seen, like)
            for j in range(seen):
                kept[j] = row[j]
        before = lse[number] if first_key else like.dtype.type(-math.inf)
        top = largest(row)
        top = before if before > top else top
        shift = like.dtype.type(0) if top == -math.inf else top
        total = exponentials(row, shift)
        if first_key:
            factor = exp_below(before - shift)
            total += factor * totals[i]
            out = line(_at(y, n, h, l, like.itemsize), sizes.e, like)
            for j in range(sizes.e):
                out[j] *= factor
        lse[number], totals[i] = top, total
        if p and not several:
            kept = line(p + number * sizes.s * like.itemsize, sizes.s, like)
            inverse = like.dtype.type(0) if total == 0 else one / total
            for j in range(seen):
                kept[j] = inverse * row[j]
            kept[seen:] = 0
        if options.below:
            words = drawn(options, number * sizes.s + first_key, seen)
            drop(row, words, np.uint64(options.below), one)


@compiled
def _finish(like, place, arrays, sizes, options, totals):
    """Divide by the sums: rows that no further block of keys will touch."""
    n, h, first_query, queries = place
    y, lse, p = arrays
    for i in range(queries):
        l = first_query + i
        number = (n * sizes.h + h) * sizes.l + l
        total = totals[i]
        inverse = like.dtype.type(0) if total == 0 else like.dtype.type(options.kept) / total
        out = line(_at(y, n, h, l, like.itemsize), sizes.e, like)
        for j in range(sizes.e):
            out[j] *= inverse
        lse[number] += log(total)
        if p and sizes.s > KEYS:
            kept = line(p + number * sizes.s * like.itemsize, sizes.s, like)
            seen = min(sizes.s, l + 1) if options.causal else sizes.s
            softmax_from(kept[:seen], lse[number])
            kept[seen:] = 0


@compiled
def _queries(begin, end, like, n, g, arrays, heads, sizes, options):
    """Rows begin .. end of the queries of one head of keys: heads of queries one after the other."""
    q, k, v = heads
    y = arrays[0]
    item, share = like.itemsize, sizes.h // sizes.g
    d_size, e_size = row_size(sizes.d, like), row_size(sizes.e, like)
    most = min(KEYS, sizes.s)
    score_size = row_size(most, like)
    parts = (
        panels_size(most, sizes.d, like),
        rows_size(most, sizes.e, like),
        rows_size(QUERIES, sizes.d, like),
        rows_size(QUERIES, most, like),
    )
    memory = scratch(0, parts[0] + parts[1] + parts[2] + parts[3] + end - begin, like)
    keys = address_of(memory)
    values = keys + parts[0] * item
    copy = values + parts[1] * item
    scores = copy + parts[2] * item
    totals = line(scores + parts[3] * item, end - begin, like)
    for first_key in range(0, max(1, sizes.s), KEYS):
        columns = min(KEYS, sizes.s - first_key)
        turn_rows(like, keys, _at(k, n, g, first_key, item), k.row, columns, sizes.d)
        copy_rows(like, values, _at(v, n, g, first_key, item), v.row, columns, sizes.e, like.dtype.type(1))
        at = begin
        while at < end:
            h, l = g * share + at // sizes.l, at % sizes.l
            queries = min(QUERIES, sizes.l - l, end - at)
            # keys that some query of the block may see
            seen = min(columns, l + queries - first_key) if options.causal else columns
            if seen > 0 or first_key == 0:
                place, rest = (n, h, l, queries), totals[at - begin : at - begin + queries]
                copy_rows(like, copy, _at(q, n, h, l, item), q.row, queries, sizes.d, like.dtype.type(options.scale))
                operand = turned(like, keys, sizes.d)
                product(like, queries, seen, sizes.d, copy, d_size, 1, operand, scores, score_size, False)
                _weigh(like, scores, score_size, place, (first_key, seen), arrays, sizes, options, rest)
                out, weighted = _at(y, n, h, l, item), by_row(like, values, e_size)
                product(like, queries, sizes.e, seen, scores, score_size, 1, weighted, out, y.row, first_key > 0)
                following = first_key + KEYS
                if following >= sizes.s or (options.causal and l + queries <= following):
                    _finish(like, place, arrays, sizes, options, rest)
            at += queries


@compiled
def _units(begin, end, like, parts, grain, arrays, heads, sizes, options):
    rows = sizes.h // sizes.g * sizes.l
    for unit in range(begin, end):
        pair, part = unit // parts, unit % parts
        first = part * grain
        _queries(first, min(rows, first + grain), like, pair // sizes.g, pair % sizes.g, arrays, heads, sizes, options)


@compiled
def _attention(like, address):
    t = table_at(address)
    sizes, options = told_options(t)
    heads = told_heads(t, 22), told_heads(t, 26), told_heads(t, 30)
    y = told_heads(t, 34)
    lse = line(t[38], sizes.n * sizes.h * sizes.l, like)
    rows, pairs = sizes.h // sizes.g * sizes.l, sizes.n * sizes.g
    if rows == 0 or pairs == 0:
        return
    prepare_products(like)
    parts = min((UNITS + pairs - 1) // pairs, (rows + QUERIES - 1) // QUERIES)
    blocks = (rows + QUERIES - 1) // QUERIES
    grain = (blocks + parts - 1) // parts * QUERIES
    parts = (rows + grain - 1) // grain
    parallel_for(_units, pairs * parts, 1, (like, parts, grain, (y, lse, t[39]), heads, sizes, options))


@standalone
def attention_32(address):
    _attention(np.empty(0, np.float32), address)


@standalone
def attention_64(address):
    _attention(np.empty(0, np.float64), address)
