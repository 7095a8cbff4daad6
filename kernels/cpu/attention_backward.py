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
from .attention_problem import Heads, table_at, told_heads, told_options
from .attention_rows import dot, finish_scores, score_gradient, softmax_from
from .pack import address_of

KEYS = 256  # in a block
QUERIES = 128  # in a block
UNITS = 16  # pieces of work there should be
PARTIAL = 3  # scratch slot: dQ of parts


@compiled
def _at(heads, n, h, l, itemsize):
    return heads.address + (n * heads.sample + h * heads.head + l * heads.row) * itemsize


@compiled
def _deltas(deltas, n, g, dy, y, p, dp, sizes):
    """sum(dy y) + sum(dp p) of each row of queries."""
    share, item = sizes.h // sizes.g, deltas.itemsize
    for at in range(deltas.size):
        h, l = g * share + at // sizes.l, at % sizes.l
        slopes, result = line(_at(dy, n, h, l, item), sizes.e, deltas), line(_at(y, n, h, l, item), sizes.e, deltas)
        total = dot(slopes, result)
        if dp:
            first = ((n * sizes.h + h) * sizes.l + l) * sizes.s * item
            total += dot(line(dp + first, sizes.s, deltas), line(p + first, sizes.s, deltas))
        deltas[at] = total


@compiled
def _weights_and_slopes(like, weights, slopes, size, place, block, saved, sizes, options, deltas):
    """From scores (or nothing, where p was kept) and dY V^T to dropped weights and the gradient of the scores."""
    n, h, first_query, queries = place
    first_key, columns = block
    lse, p, dp, dscores = saved
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
        if p:
            kept = line(p + first * like.itemsize, seen, like)
            for j in range(seen):
                row[j] = kept[j]
        else:
            finish_scores(row, options, n, h, l, first_key)
            softmax_from(row, lse[number])
        of_p = line(dp + first * like.itemsize, seen if dp else 0, like)
        score_gradient(row, slope, deltas[i], of_p, options, first)
        if dscores:
            out = line(dscores + first * like.itemsize, seen, like)
            for j in range(seen):
                out[j] = slope[j]


@compiled
def _clear(like, heads, n, h, first, rows, columns):
    for l in range(first, first + rows):
        line(_at(heads, n, h, l, like.itemsize), columns, like)[:] = 0


@compiled
def _keys(begin, end, like, n, g, dq, gradients, heads, saved, sizes, options):
    """Keys begin .. end of one head of keys, and what they bring to dq."""
    dk, dv, dy, y = gradients
    q, k, v = heads
    _, p, dp, _ = saved
    item, share = like.itemsize, sizes.h // sizes.g
    one, scale = like.dtype.type(1), like.dtype.type(options.scale)
    d_size, e_size = row_size(sizes.d, like), row_size(sizes.e, like)
    most, tall = min(KEYS, end - begin), min(QUERIES, sizes.l)
    score_size = row_size(most, like)
    block = rows_size(tall, most, like)
    parts = (
        0 if p else panels_size(most, sizes.d, like),
        panels_size(most, sizes.e, like),
        rows_size(most, sizes.d, like),
        rows_size(tall, sizes.d, like),
        rows_size(tall, sizes.e, like),
        share * sizes.l,
    )
    memory = scratch(0, parts[0] + parts[1] + parts[2] + parts[3] + parts[4] + parts[5] + 2 * block, like)
    turned_keys = address_of(memory)
    turned_values = turned_keys + parts[0] * item
    keys = turned_values + parts[1] * item
    queries_copy = keys + parts[2] * item
    dy_copy = queries_copy + parts[3] * item
    weights = dy_copy + parts[4] * item
    slopes = weights + block * item
    deltas = line(slopes + block * item, parts[5], like)
    _deltas(deltas, n, g, dy, y, p, dp, sizes)
    # what no block of keys and queries reaches
    if begin > 0 or sizes.s == 0:
        for h in range(g * share, (g + 1) * share):
            _clear(like, dq, n, h, 0, sizes.l, sizes.d)
    for first_key in range(begin, end, KEYS):
        columns = min(KEYS, end - first_key)
        if not p:
            turn_rows(like, turned_keys, _at(k, n, g, first_key, item), k.row, columns, sizes.d)
        turn_rows(like, turned_values, _at(v, n, g, first_key, item), v.row, columns, sizes.e)
        copy_rows(like, keys, _at(k, n, g, first_key, item), k.row, columns, sizes.d, scale)
        add = options.causal or share * sizes.l == 0
        if add:
            _clear(like, dk, n, g, first_key, columns, sizes.d)
            _clear(like, dv, n, g, first_key, columns, sizes.e)
        for h in range(g * share, (g + 1) * share):
            for l in range(0, sizes.l, QUERIES):
                queries = min(QUERIES, sizes.l - l)
                seen = min(columns, l + queries - first_key) if options.causal else columns
                if seen <= 0:
                    continue
                copy_rows(like, queries_copy, _at(q, n, h, l, item), q.row, queries, sizes.d, scale)
                copy_rows(like, dy_copy, _at(dy, n, h, l, item), dy.row, queries, sizes.e, one)
                if not p:
                    operand = turned(like, turned_keys, sizes.d)
                    product(like, queries, seen, sizes.d, queries_copy, d_size, 1, operand, weights, score_size, False)
                operand = turned(like, turned_values, sizes.e)
                product(like, queries, seen, sizes.e, dy_copy, e_size, 1, operand, slopes, score_size, False)
                first = (h - g * share) * sizes.l + l
                rest, place = deltas[first : first + queries], (n, h, l, queries)
                _weights_and_slopes(
                    like, weights, slopes, score_size, place, (first_key, seen), saved, sizes, options, rest
                )
                operand, out = by_row(like, dy_copy, e_size), _at(dv, n, g, first_key, item)
                product(like, seen, sizes.e, queries, weights, 1, score_size, operand, out, dv.row, add)
                operand, out = by_row(like, queries_copy, d_size), _at(dk, n, g, first_key, item)
                product(like, seen, sizes.d, queries, slopes, 1, score_size, operand, out, dk.row, add)
                operand, out = by_row(like, keys, d_size), _at(dq, n, h, l, item)
                into = begin > 0 or first_key > begin
                product(like, queries, sizes.d, seen, slopes, score_size, 1, operand, out, dq.row, into)
                add = True


@compiled
def _units(begin, end, like, parts, grain, dq, partial, gradients, heads, saved, sizes, options):
    for unit in range(begin, end):
        pair, part = unit // parts, unit % parts
        first = part * grain
        n, g = pair // sizes.g, pair % sizes.g
        own = dq
        if parts > 1:
            count = sizes.n * sizes.h * sizes.l * sizes.d * like.itemsize
            own = Heads(partial + part * count, sizes.h * sizes.l * sizes.d, sizes.l * sizes.d, sizes.d)
        _keys(first, min(sizes.s, first + grain), like, n, g, own, gradients, heads, saved, sizes, options)


@compiled
def _add_parts(begin, end, like, parts, dq, partial, sizes):
    """Rows begin .. end of dq from those of the parts."""
    count = sizes.n * sizes.h * sizes.l
    for number in range(begin, end):
        h, l = number // sizes.l, number % sizes.l
        out = line(_at(dq, h // sizes.h, h % sizes.h, l, like.itemsize), sizes.d, like)
        for part in range(parts):
            row = line(partial + (part * count + number) * sizes.d * like.itemsize, sizes.d, like)
            for j in range(sizes.d):
                out[j] = row[j] if part == 0 else out[j] + row[j]


@compiled
def _gradient(like, address):
    t = table_at(address)
    sizes, options = told_options(t)
    heads = told_heads(t, 22), told_heads(t, 26), told_heads(t, 30)
    y, dq, dk, dv, dy = told_heads(t, 34), told_heads(t, 41), told_heads(t, 45), told_heads(t, 49), told_heads(t, 53)
    rows, pairs = sizes.n * sizes.h * sizes.l, sizes.n * sizes.g
    if pairs == 0:
        return
    prepare_products(like)
    saved = line(t[38], rows, like), t[39], t[40], t[57]
    if t[57]:
        # columns beyond the last that a block of queries sees stay as they are
        scores = line(t[57], rows * sizes.s if options.causal else 0, like)
        scores[:] = 0
    blocks = max(1, (sizes.s + KEYS - 1) // KEYS)
    grain = (blocks + min(blocks, (UNITS + pairs - 1) // pairs) - 1) // min(blocks, (UNITS + pairs - 1) // pairs) * KEYS
    parts = max(1, (sizes.s + grain - 1) // grain)
    partial = address_of(scratch(PARTIAL, parts * rows * sizes.d if parts > 1 else 0, like))
    gradients = dk, dv, dy, y
    parallel_for(_units, pairs * parts, 1, (like, parts, grain, dq, partial, gradients, heads, saved, sizes, options))
    if parts > 1:
        parallel_for(_add_parts, rows, max(1, 16384 // max(1, sizes.d)), (like, parts, dq, partial, sizes))


@standalone
def attention_gradient_32(address):
    _gradient(np.empty(0, np.float32), address)


@standalone
def attention_gradient_64(address):
    _gradient(np.empty(0, np.float64), address)
