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

from ..jit import compiled, parallel_for, standalone
from . import attention_problem as where
from .attention_blocks import (
    block_rows,
    by_row,
    copy_rows,
    line,
    lying_size,
    panels_size,
    prepare_products,
    product,
    row_size,
    rows_size,
    turn_columns,
    turn_rows,
    turned,
    workspace,
)
from .attention_problem import row_at, table_at, told_heads, told_options
from .attention_rows import drawn, drop, finish_scores, softmax_from
from .attention_tiles import ahead, forget, remember
from .attention_vectors import row_copy, row_exp, row_max
from .pack import address_of
from .vecmath import exp_below, log

KEYS = 512  # in a block
UNITS = 32  # pieces of work there should be


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
            row_copy(one, p + (number * sizes.s + first_key) * like.itemsize, address_of(row), seen)
        before = lse[number] if first_key else like.dtype.type(-math.inf)
        top = row_max(one, address_of(row), seen)
        top = before if before > top else top
        shift = like.dtype.type(0) if top == -math.inf else top
        total = row_exp(shift, address_of(row), seen)
        if first_key:
            factor = exp_below(before - shift)
            total += factor * totals[i]
            out = row_at(y, n, h, l, like.itemsize)
            row_copy(factor, out, out, sizes.e)
        lse[number], totals[i] = top, total
        if p and not several:
            kept = line(p + number * sizes.s * like.itemsize, sizes.s, like)
            inverse = like.dtype.type(0) if total == 0 else one / total
            row_copy(inverse, address_of(kept), address_of(row), seen)
            kept[seen:] = 0
        if options.below:
            words = drawn(options, number * sizes.s + first_key, seen)
            drop(row, words, np.uint64(options.below), one)


@compiled
def _finish(like, place, arrays, sizes, options, totals):
    """Divide by the sums: rows that no further block of keys will touch."""
    n, h, first_query, queries = place
    y, lse, p = arrays
    first, zero, kept = (n * sizes.h + h) * sizes.l + first_query, like.dtype.type(0), like.dtype.type(options.kept)
    sums = lse[first : first + queries]
    for i in range(queries):
        sums[i] += log(totals[i])
        totals[i] = zero if totals[i] == 0 else kept / totals[i]
    for i in range(queries):
        l = first_query + i
        number = first + i
        out = row_at(y, n, h, l, like.itemsize)
        row_copy(totals[i], out, out, sizes.e)
        if p and sizes.s > KEYS:
            kept = line(p + number * sizes.s * like.itemsize, sizes.s, like)
            seen = min(sizes.s, l + 1) if options.causal else sizes.s
            softmax_from(kept[:seen], lse[number])
            kept[seen:] = 0


@compiled
def _look_ahead(like, regions, unit, units, parts, grain, at, end, first_key, heads, arrays, sizes):
    """What comes after the block of queries at `at`: the next block, and some of the next keys and values."""
    q, k, v = heads
    y, _, p = arrays
    tall = block_rows(sizes.l)
    item, share = like.itemsize, sizes.h // sizes.g
    forget(regions)
    # the keys that come next, and the block of queries that does: of this unit, or of the one that follows
    key, follower, following = first_key + KEYS, unit, at + tall
    if key >= sizes.s:
        key, follower = 0, unit + 1
    block, begin = unit, unit % parts * grain
    if following >= end:
        block, following = follower, follower % parts * grain
    if block < units:
        n, g = block // parts // sizes.g, block // parts % sizes.g
        h, l = g * share + following // sizes.l, following % sizes.l
        count = min(tall, sizes.l - l)
        remember(regions, row_at(q, n, h, l, item), q.row * item, count, sizes.d * item)
        remember(regions, row_at(y, n, h, l, item), y.row * item, count, sizes.e * item)
        if p and sizes.s <= KEYS:
            size = sizes.s * item
            remember(regions, p + ((n * sizes.h + h) * sizes.l + l) * size, size, count, size)
    if follower < units:
        n, g = follower // parts // sizes.g, follower // parts % sizes.g
        count = min(KEYS, sizes.s - key)
        # each block of queries brings its share of them
        low = count * (at - begin) // (end - begin)
        high = count * (min(at + tall, end) - begin) // (end - begin)
        remember(regions, row_at(k, n, g, key + low, item), k.row * item, high - low, sizes.d * item)
        remember(regions, row_at(v, n, g, key + low, item), v.row * item, high - low, sizes.e * item)


@compiled
def _unit(like, unit, units, parts, grain, arrays, heads, sizes, options):
    """Some queries of one head of keys: heads of queries one after the other."""
    q, k, v = heads
    y, regions = arrays[0], ahead()
    item, share = like.itemsize, sizes.h // sizes.g
    n, g = unit // parts // sizes.g, unit // parts % sizes.g
    begin = unit % parts * grain
    end = min(share * sizes.l, begin + grain)
    e_size, tall = row_size(sizes.e, like), block_rows(sizes.l)
    most = min(KEYS, sizes.s)
    score_size = row_size(most, like)
    sections = (
        panels_size(most, sizes.d, like),
        rows_size(most, sizes.e, like),
        lying_size(tall, sizes.d, like),
        rows_size(tall, most, like),
    )
    keys = workspace(sections[0] + sections[1] + sections[2] + sections[3] + end - begin, like)
    values = keys + sections[0] * item
    queries = values + sections[1] * item
    scores = queries + sections[2] * item
    totals = line(scores + sections[3] * item, end - begin, like)
    for first_key in range(0, max(1, sizes.s), KEYS):
        columns = min(KEYS, sizes.s - first_key)
        turn_columns(like, keys, row_at(k, n, g, first_key, item), k.row, columns, sizes.d)
        copy_rows(like, values, row_at(v, n, g, first_key, item), v.row, columns, sizes.e, like.dtype.type(1))
        at = begin
        while at < end:
            h, l = g * share + at // sizes.l, at % sizes.l
            count = min(tall, sizes.l - l, end - at)
            # keys that some query of the block may see
            seen = min(columns, l + count - first_key) if options.causal else columns
            if seen > 0 or first_key == 0:
                place, rest = (n, h, l, count), totals[at - begin : at - begin + count]
                _look_ahead(like, regions, unit, units, parts, grain, at, end, first_key, heads, arrays, sizes)
                turn_rows(
                    like, queries, row_at(q, n, h, l, item), q.row, count, sizes.d, like.dtype.type(options.scale)
                )
                operand = turned(like, keys, sizes.d)
                product(like, count, seen, sizes.d, queries, 0, 0, operand, scores, score_size, False, regions)
                _weigh(like, scores, score_size, place, (first_key, seen), arrays, sizes, options, rest)
                out, operand = row_at(y, n, h, l, item), by_row(like, values, e_size)
                add = first_key > 0
                product(like, count, sizes.e, seen, scores, score_size, 1, operand, out, y.row, add, regions)
                following = first_key + KEYS
                if following >= sizes.s or (options.causal and l + count <= following):
                    _finish(like, place, arrays, sizes, options, rest)
            at += count


@compiled
def _units(begin, end, like, units, parts, grain, arrays, heads, sizes, options):
    for unit in range(begin, end):
        _unit(like, unit, units, parts, grain, arrays, heads, sizes, options)


@compiled
def _attention(like, address):
    t = table_at(address)
    sizes, options = told_options(t)
    heads = told_heads(t, where.Q), told_heads(t, where.K), told_heads(t, where.V)
    y = told_heads(t, where.Y)
    lse = line(t[where.LSE], sizes.n * sizes.h * sizes.l, like)
    rows, pairs = sizes.h // sizes.g * sizes.l, sizes.n * sizes.g
    if rows == 0 or pairs == 0:
        return
    prepare_products(like)
    tall = block_rows(sizes.l)
    blocks = rows // sizes.l * ((sizes.l + tall - 1) // tall)
    parts = min((UNITS + pairs - 1) // pairs, blocks)
    grain = (blocks + parts - 1) // parts * tall
    parts = (rows + grain - 1) // grain
    units = pairs * parts
    parallel_for(_units, units, 1, (like, units, parts, grain, (y, lse, t[where.P]), heads, sizes, options))


@standalone
def attention_32(address):
    _attention(np.empty(0, np.float32), address)


@standalone
def attention_64(address):
    _attention(np.empty(0, np.float64), address)
