"""The gradients of attention, compiled once a dtype: see attention.py for the kernel that calls it.

    in parallel: a head of keys (with all heads of queries that share it), or a part of its keys
      for each block of keys                        V^T in panels, rows of K, K^T where the softmax is made again
        for each block of queries                   Q and dY copied
          weights = softmax(Q K^T)                  or read, where forward kept them
          slopes = dY V^T
          a row at a time: slopes to the gradient of the scores, dropout
          dV += weights^T dY    dK += slopes^T Q    dQ += slopes K

A part of the keys has a dQ of its own; these are added in order.
"""

import numpy as np

from ..jit import compiled, parallel_for, scratch, standalone
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
from .attention_problem import Heads, row_at, table_at, told_heads, told_options
from .attention_rows import finish_scores, score_gradient, softmax_from
from .attention_tiles import ahead, forget, remember
from .attention_vectors import row_copy, row_copy_dot, row_dot, row_gradient
from .pack import address_of

KEYS = 512  # in a block
UNITS = 16  # pieces of work there should be
PARTIAL = 3  # scratch slot: dQ of parts


@compiled
def _deltas(deltas, place, dy, y, p, dp, sizes):
    """sum(dy y) + sum(dp p) of each row of a block of queries."""
    n, h, first_query, queries = place
    zero = deltas.dtype.type(0)
    for i in range(queries):
        l, item = first_query + i, deltas.itemsize
        total = row_dot(zero, row_at(dy, n, h, l, item), row_at(y, n, h, l, item), sizes.e)
        if dp:
            first = ((n * sizes.h + h) * sizes.l + l) * sizes.s * item
            total += row_dot(zero, dp + first, p + first, sizes.s)
        deltas[i] = total


@compiled
def _weights_and_slopes(like, weights, slopes, size, place, block, saved, sizes, options, deltas):
    """From scores (or nothing, where p was kept) and dY V^T to dropped weights and the gradient of the scores."""
    n, h, first_query, queries = place
    first_key, columns = block
    lse, p, dp, dscores = saved
    one = like.dtype.type(1)
    plain = p and not dp and not options.below and sizes.s <= KEYS
    for i in range(queries):
        l = first_query + i
        seen = min(columns, max(0, l + 1 - first_key)) if options.causal else columns
        number = (n * sizes.h + h) * sizes.l + l
        first = number * sizes.s + first_key
        whole = line(weights + i * size * like.itemsize, columns, like)
        whole_slopes = line(slopes + i * size * like.itemsize, columns, like)
        row, slope = whole[:seen], whole_slopes[:seen]
        whole[seen:] = 0
        whole_slopes[seen:] = 0
        if plain:
            delta = row_copy_dot(one, address_of(row), p + first * like.itemsize, address_of(slope), seen)
            row_gradient(delta, address_of(row), address_of(slope), seen)
        else:
            if p:
                row_copy(one, address_of(row), p + first * like.itemsize, seen)
            else:
                finish_scores(row, options, n, h, l, first_key)
                softmax_from(row, lse[number])
            of_p = line(dp + first * like.itemsize, seen if dp else 0, like)
            score_gradient(row, slope, deltas[i], sizes.s <= KEYS, of_p, options, first)
        if dscores:
            row_copy(one, dscores + first * like.itemsize, address_of(slope), seen)


@compiled
def _clear(like, heads, n, h, first, rows, columns):
    for l in range(first, first + rows):
        line(row_at(heads, n, h, l, like.itemsize), columns, like)[:] = 0


@compiled
def _look_ahead(like, regions, unit, units, parts, grain, at, l, first_key, end, arrays, p, sizes):
    """What comes after a block of queries, rows `at` of the unit: the next block, and some of the next keys."""
    dq, dk, dv, dy, y, q, k, v = arrays
    item, share, tall = like.itemsize, sizes.h // sizes.g, block_rows(sizes.l)
    rows = share * sizes.l
    forget(regions)
    key, follower = first_key + KEYS, unit
    if key >= end:
        key, follower = (unit + 1) % parts * grain, unit + 1
    count = min(tall, sizes.l - l)
    block, block_key, following = unit, first_key, at + count
    if following >= rows:
        block, block_key, following = follower, key, 0
    if block < units:
        n, g = block // parts // sizes.g, block // parts % sizes.g
        h, l = g * share + following // sizes.l, following % sizes.l
        count = min(tall, sizes.l - l)
        if p:
            first = p + (((n * sizes.h + h) * sizes.l + l) * sizes.s + block_key) * item
            remember(regions, first, sizes.s * item, count, min(KEYS, sizes.s - block_key) * item)
        remember(regions, row_at(q, n, h, l, item), q.row * item, count, sizes.d * item)
        remember(regions, row_at(dy, n, h, l, item), dy.row * item, count, sizes.e * item)
        remember(regions, row_at(dq, n, h, l, item), dq.row * item, count, sizes.d * item)
        if sizes.s > KEYS:
            remember(regions, row_at(y, n, h, l, item), y.row * item, count, sizes.e * item)
    if follower < units:
        n, g = follower // parts // sizes.g, follower // parts % sizes.g
        count = min(KEYS, sizes.s - key)
        # each block of queries brings its share of them
        low, high = count * at // rows, count * min(at + tall, rows) // rows
        for heads, columns in ((k, sizes.d), (v, sizes.e), (dk, sizes.d), (dv, sizes.e)):
            remember(regions, row_at(heads, n, g, key + low, item), heads.row * item, high - low, columns * item)


@compiled
def _unit(like, unit, units, parts, grain, arrays, saved, sizes, options):
    """Some keys of one head, and what they bring to dq."""
    dq, dk, dv, dy, y, q, k, v = arrays
    _, p, dp, _ = saved
    regions = ahead()
    item, share = like.itemsize, sizes.h // sizes.g
    n, g = unit // parts // sizes.g, unit // parts % sizes.g
    begin = unit % parts * grain
    end = min(sizes.s, begin + grain)
    rows = share * sizes.l
    one, scale = like.dtype.type(1), like.dtype.type(options.scale)
    d_size, e_size = row_size(sizes.d, like), row_size(sizes.e, like)
    most, tall = min(KEYS, end - begin), block_rows(sizes.l)
    score_size = row_size(most, like)
    block = rows_size(tall, most, like)
    sections = (
        0 if p else panels_size(most, sizes.d, like),
        panels_size(most, sizes.e, like),
        rows_size(most, sizes.d, like),
        0 if p else lying_size(tall, sizes.d, like),
        lying_size(tall, sizes.e, like),
        rows_size(tall, sizes.d, like),
        rows_size(tall, sizes.e, like),
        block,
        block,
    )
    total = rows
    for section in sections:
        total += section
    turned_keys = workspace(total, like)
    turned_values = turned_keys + sections[0] * item
    keys = turned_values + sections[1] * item
    turned_queries = keys + sections[2] * item
    turned_dy = turned_queries + sections[3] * item
    queries_copy = turned_dy + sections[4] * item
    dy_copy = queries_copy + sections[5] * item
    weights = dy_copy + sections[6] * item
    slopes = weights + block * item
    deltas = line(slopes + block * item, rows, like)
    # what no block of keys and queries reaches
    if begin > 0 or sizes.s == 0:
        for h in range(g * share, (g + 1) * share):
            _clear(like, dq, n, h, 0, sizes.l, sizes.d)
    for first_key in range(begin, end, KEYS):
        columns = min(KEYS, end - first_key)
        if not p:
            turn_columns(like, turned_keys, row_at(k, n, g, first_key, item), k.row, columns, sizes.d)
        turn_columns(like, turned_values, row_at(v, n, g, first_key, item), v.row, columns, sizes.e)
        copy_rows(like, keys, row_at(k, n, g, first_key, item), k.row, columns, sizes.d, scale)
        add = options.causal or rows == 0
        if add:
            _clear(like, dk, n, g, first_key, columns, sizes.d)
            _clear(like, dv, n, g, first_key, columns, sizes.e)
        at = 0
        while at < rows:
            h, l = g * share + at // sizes.l, at % sizes.l
            count = min(tall, sizes.l - l)
            place, rest = (n, h, l, count), deltas[at : at + count]
            at += count
            if sizes.s > KEYS and first_key == begin:
                _deltas(rest, place, dy, y, p, dp, sizes)
            seen = min(columns, l + count - first_key) if options.causal else columns
            if seen <= 0:
                continue
            _look_ahead(like, regions, unit, units, parts, grain, at - count, l, first_key, end, arrays, p, sizes)
            row, slope = row_at(q, n, h, l, item), row_at(dy, n, h, l, item)
            copy_rows(like, queries_copy, row, q.row, count, sizes.d, scale)
            copy_rows(like, dy_copy, slope, dy.row, count, sizes.e, one)
            if not p:
                turn_rows(like, turned_queries, row, q.row, count, sizes.d, scale)
                operand = turned(like, turned_keys, sizes.d)
                product(like, count, seen, sizes.d, turned_queries, 0, 0, operand, weights, score_size, False, regions)
            turn_rows(like, turned_dy, slope, dy.row, count, sizes.e, one)
            operand = turned(like, turned_values, sizes.e)
            product(like, count, seen, sizes.e, turned_dy, 0, 0, operand, slopes, score_size, False, regions)
            _weights_and_slopes(
                like, weights, slopes, score_size, place, (first_key, seen), saved, sizes, options, rest
            )
            operand, out = by_row(like, dy_copy, e_size), row_at(dv, n, g, first_key, item)
            product(like, seen, sizes.e, count, weights, 1, score_size, operand, out, dv.row, add, regions)
            operand, out = by_row(like, queries_copy, d_size), row_at(dk, n, g, first_key, item)
            product(like, seen, sizes.d, count, slopes, 1, score_size, operand, out, dk.row, add, regions)
            operand, out = by_row(like, keys, d_size), row_at(dq, n, h, l, item)
            into = begin > 0 or first_key > begin
            product(like, count, sizes.d, seen, slopes, score_size, 1, operand, out, dq.row, into, regions)
            add = True


@compiled
def _units(begin, end, like, units, parts, grain, partial, arrays, saved, sizes, options):
    dq, dk, dv, dy, y, q, k, v = arrays
    for unit in range(begin, end):
        own = dq
        if parts > 1:
            count = sizes.n * sizes.h * sizes.l * sizes.d * like.itemsize
            address = partial + unit % parts * count
            own = Heads(address, sizes.h * sizes.l * sizes.d, sizes.l * sizes.d, sizes.d)
        _unit(like, unit, units, parts, grain, (own, dk, dv, dy, y, q, k, v), saved, sizes, options)


@compiled
def _add_parts(begin, end, like, parts, dq, partial, sizes):
    """Rows begin .. end of dq from those of the parts."""
    count = sizes.n * sizes.h * sizes.l
    for number in range(begin, end):
        h, l = number // sizes.l, number % sizes.l
        out = line(row_at(dq, h // sizes.h, h % sizes.h, l, like.itemsize), sizes.d, like)
        for part in range(parts):
            row = line(partial + (part * count + number) * sizes.d * like.itemsize, sizes.d, like)
            for j in range(sizes.d):
                out[j] = row[j] if part == 0 else out[j] + row[j]


@compiled
def _gradient(like, address):
    t = table_at(address)
    sizes, options = told_options(t)
    heads = told_heads(t, where.Q), told_heads(t, where.K), told_heads(t, where.V)
    y, dq, dk, dv, dy = (
        told_heads(t, where.Y),
        told_heads(t, where.DQ),
        told_heads(t, where.DK),
        told_heads(t, where.DV),
        told_heads(t, where.DY),
    )
    rows, pairs = sizes.n * sizes.h * sizes.l, sizes.n * sizes.g
    if pairs == 0:
        return
    prepare_products(like)
    saved = line(t[where.LSE], rows, like), t[where.P], t[where.DP], t[where.DSCORES]
    if t[where.DSCORES]:
        # columns beyond the last that a block of queries sees stay as they are
        scores = line(t[where.DSCORES], rows * sizes.s if options.causal else 0, like)
        scores[:] = 0
    blocks = max(1, (sizes.s + KEYS - 1) // KEYS)
    grain = (blocks + min(blocks, (UNITS + pairs - 1) // pairs) - 1) // min(blocks, (UNITS + pairs - 1) // pairs) * KEYS
    parts = max(1, (sizes.s + grain - 1) // grain)
    partial = address_of(scratch(PARTIAL, parts * rows * sizes.d if parts > 1 else 0, like))
    arrays, units = (dq, dk, dv, dy, y, *heads), pairs * parts
    parallel_for(_units, units, 1, (like, units, parts, grain, partial, arrays, saved, sizes, options))
    if parts > 1:
        parallel_for(_add_parts, rows, max(1, 16384 // max(1, sizes.d)), (like, parts, dq, partial, sizes))


@standalone
def attention_gradient_32(address):
    _gradient(np.empty(0, np.float32), address)


@standalone
def attention_gradient_64(address):
    _gradient(np.empty(0, np.float64), address)
