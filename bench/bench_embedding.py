"""Tables of rows by id, forward and backward with the gradient of the whole table.

A forward brings the rows that are looked up and the result through memory once, a backward dy and every row of the
gradient, those that are zero too. "Of the ceiling" compares with a copy that moves as many bytes. Ids repeat as in
real text: the n-th most frequent of them has a share of 1 / n. Our kernels write into arrays that exist; the peers
have no such way, and the gradients of JAX and TensorFlow are rows that are then made whole, in the same compiled
function.
"""

import numpy as np
import pytest
from conftest import peer
from hotloop.kernels.cpu import embedding, embedding_bag
from hotloop.kernels.ref import embedding as ref
from hotloop.kernels.ref import embedding_bag as ref_bag

# rows, columns, shape of the ids: characters, words of a sentence model, words of a larger one
TABLES = [(65, 256, (64, 32)), (10_000, 256, (35, 20)), (50_000, 512, (64, 64))]
# of bags, ids in each
BAGS = [(50_000, 128, (512, 30))]
MEAN = 1
# times the best peer's speed, or how near to the ceiling
TARGETS = {"target": 1.5, "target, % of bandwidth": 85}


def inputs(V, D, shape, results):
    """A table, ids, and the gradient of the results."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, V + 1)
    ids = rng.choice(V, shape, p=share / share.sum())
    # frequent ids are not neighbours
    ids = rng.permutation(V)[ids]
    return rng.standard_normal((V, D), np.float32), ids, rng.standard_normal((*results, D), np.float32)


def rows_hotloop(w, ids, dy):
    y, dw = np.empty_like(dy), np.empty_like(w)
    flat, out, given = ids.reshape(-1), y.reshape(ids.size, -1), dy.reshape(ids.size, -1)

    def run():
        embedding.embedding_forward(out, w, flat)
        embedding.embedding_backward(dw, given, flat, -1, False, False)
        return y, dw

    return run


def rows_torch(w, ids, dy):
    torch = peer("torch")
    w, ids, dy = map(torch.from_numpy, (w, ids, dy))
    aten = torch.ops.aten

    def run():
        y = aten.embedding(w, ids, -1, False, False)
        return y, aten.embedding_dense_backward(dy, ids, len(w), -1, False)

    return torch.no_grad()(run)


def bags_hotloop(w, ids, dy):
    y, dw = np.empty_like(dy), np.empty_like(w)
    none, nothing, flat = np.empty(0, np.int64), w[:0, 0].copy(), ids.reshape(-1)

    def run():
        embedding_bag.embedding_bag_forward(y, none, w, flat, none, nothing, MEAN, -1)
        rest = flat, none, nothing, none, MEAN, -1, False, False
        embedding_bag.embedding_bag_backward(dw, nothing, dy, w, *rest)
        return y, dw

    return run


def bags_torch(w, ids, dy):
    torch = peer("torch")
    offsets = torch.arange(0, ids.size, ids.shape[1])
    w, ids, dy = map(torch.from_numpy, (w, ids.reshape(-1), dy))
    aten = torch.ops.aten

    def run():
        y, *kept = aten._embedding_bag(w, ids, offsets, False, MEAN, False, None)
        return y, aten._embedding_bag_dense_backward(dy, ids, *kept, len(w), False, MEAN, None, -1)

    return torch.no_grad()(run)


def with_jax(function, w, ids, dy):
    jax = peer("jax")

    def both(w, ids, dy):
        y, pull = jax.vjp(lambda w: function(w[ids]), w)
        return y, *pull(dy)

    compiled, given = jax.jit(both), [jax.numpy.asarray(v) for v in (w, ids, dy)]
    return lambda: jax.block_until_ready(compiled(*given))


def with_tensorflow(function, w, ids, dy):
    tensorflow = peer("tensorflow")
    w, ids, dy = map(tensorflow.constant, (w, ids, dy))

    @tensorflow.function
    def both(w, ids, dy):
        with tensorflow.GradientTape() as tape:
            tape.watch(w)
            y = function(tensorflow, tensorflow.gather(w, ids))
        return y, tensorflow.convert_to_tensor(tape.gradient(y, w, dy))

    return lambda: both(w, ids, dy)


ROWS = {
    "hotloop": rows_hotloop,
    "torch": rows_torch,
    "jax": lambda *given: with_jax(lambda rows: rows, *given),
    "tensorflow": lambda *given: with_tensorflow(lambda _, rows: rows, *given),
}
MEANS = {
    "hotloop": bags_hotloop,
    "torch": bags_torch,
    "jax": lambda *given: with_jax(lambda rows: rows.mean(1), *given),
    "tensorflow": lambda *given: with_tensorflow(lambda tensorflow, rows: tensorflow.reduce_mean(rows, 1), *given),
}


@pytest.mark.parametrize("V, D, shape", TABLES, ids=str)
@pytest.mark.parametrize("who", ROWS)
def bench_embedding(clock, benchmark, who, V, D, shape):
    w, ids, dy = inputs(V, D, shape, shape)
    dw = np.empty((V, D))
    ref.embedding_backward(dw, dy.reshape(-1, D).astype(np.float64), ids.reshape(-1), -1, False, False)
    benchmark.extra_info.update(TARGETS)
    group = f"embedding {V} x {D}, ids {shape}, forward + backward"
    clock(ROWS[who](w, ids, dy), group, (w[ids].astype(np.float64), dw), moved=4 * (3 * dy.size + w.size))


@pytest.mark.parametrize("V, D, shape", BAGS, ids=str)
@pytest.mark.parametrize("who", MEANS)
def bench_embedding_bag(clock, benchmark, who, V, D, shape):
    w, ids, dy = inputs(V, D, shape, shape[:1])
    none, nothing = np.empty(0, np.int64), np.empty(0)
    wide, flat, y, dw = w.astype(np.float64), ids.reshape(-1), np.empty(dy.shape), np.empty((V, D))
    ref_bag.embedding_bag_forward(y, none, wide, flat, none, nothing, MEAN, -1)
    rest = flat, none, nothing, none, MEAN, -1, False, False
    ref_bag.embedding_bag_backward(dw, nothing, dy.astype(np.float64), wide, *rest)
    benchmark.extra_info.update(TARGETS)
    group = f"embedding bag {V} x {D}, means of {shape}, forward + backward"
    clock(MEANS[who](w, ids, dy), group, (y, dw), moved=4 * (ids.size * D + 2 * dy.size + w.size))
