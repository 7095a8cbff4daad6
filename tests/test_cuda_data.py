"""What hangs on the numbers themselves on CUDA: what is found wrong in them, NaN, and results whose length they decide.

Kernels cannot raise: what they find wrong is raised by the next call that waits, once, and nothing outside an array has
been touched. Runs on a device, or in the simulator (see test_cuda.py).
"""

import numpy as np
import pytest
from helpers import Backend, absent, agree, poison, require_cuda

F, I = np.float32, np.int64


def zeros(*shape, dtype=F):
    return np.zeros(shape, dtype)


def ids(*values):
    return np.array(values, I)


NONE, NO_IDS = absent(F), absent(I)
IDS, INDEX, OFFSETS = (IndexError, "an id is out"), (IndexError, "an index is out"), (ValueError, "offsets")
# (kernel, its arguments, what is raised): each has something wrong with its data
WRONG = [
    (
        "loss_binary.bce_forward",
        (zeros(1), NONE, NONE, zeros(3) + 2, zeros(3), NONE, 1),
        (ValueError, "between 0 and 1"),
    ),
    ("loss_binary.bce_forward", (zeros(1), NONE, NONE, zeros(3), zeros(3) * np.nan, NONE, 2), (ValueError, "between")),
    (
        "loss_regression.gaussian_nll_forward",
        (zeros(1), NONE, NONE, NONE, zeros(3), zeros(3), zeros(3) - 1, False, 0.1, 1),
        (ValueError, "var: expected 0"),
    ),
    (
        "loss_multiclass.multi_margin_forward",
        (zeros(1), zeros(2, 3), zeros(2, 3), ids(1, 3), NONE, 1, 1.0, 1),
        (IndexError, "label"),
    ),
    (
        "loss_multiclass.multilabel_margin_forward",
        (zeros(1), zeros(1, 3), zeros(1, 3), ids(1, -2, 0)[None], 1),
        (IndexError, "label"),
    ),
    ("extreme.max_backward", (zeros(2, 3, 1), zeros(2, 1), ids(1, 3)[:, None]), INDEX),
    ("index.gather_rows_forward", (zeros(2, 4), zeros(3, 4), ids(1, 3)), INDEX),
    ("index.gather_rows_forward", (zeros(2, 3), zeros(3, 3), ids(1, -4)), INDEX),
    ("index.select_forward", (zeros(2, 2, 4), zeros(2, 3, 4), ids(1, 3)), INDEX),
    ("index.select_backward", (zeros(2, 3, 4), zeros(2, 2, 4), ids(1, 3), True), INDEX),
    ("index.put_forward", (zeros(2, 3, 4), zeros(2, 2, 4), ids(1, -4), False), INDEX),
    ("index.gather_forward", (zeros(1, 2, 1), zeros(1, 3, 1), ids(2, 3)[None, :, None]), INDEX),
    ("index.gather_backward", (zeros(1, 3, 1), zeros(1, 5, 1), ids(2, 3, 1, 1, -9)[None, :, None], True), INDEX),
    ("index.scatter_forward", (zeros(1, 3, 1), zeros(1, 2, 1), ids(2, 3)[None, :, None], False), INDEX),
    ("index.offsets_forward", (ids(1, 1), ids(4, 0), 4, 2), INDEX),
    ("index.nonzero_forward", (ids(1, 1), np.array([True, False, False])), (ValueError, "nonzero")),
    ("index.nonzero_forward", (ids(1), np.array([True, True, False])), (ValueError, "nonzero")),
    ("index.one_hot_forward", (zeros(2, 3), ids(0, 3)), (IndexError, "one_hot")),
    ("embedding.embedding_forward", (zeros(2, 4), zeros(3, 4), ids(3, -1)), IDS),
    ("embedding.embedding_forward", (zeros(1, 4), zeros(0, 4), ids(0)), IDS),
    ("embedding.embedding_backward", (zeros(3, 4), zeros(2, 4), ids(0, -1), -1, False, False), IDS),
    ("embedding.embedding_rows_backward", (ids(0, 0), zeros(2, 3), ids(0), zeros(2, 3), ids(3, 1), 3, -1), IDS),
    ("embedding.embedding_renorm_update", (zeros(3, 4), ids(0, 3), 1.0, 2.0), IDS),
    (
        "embedding_bag.embedding_bag_forward",
        (zeros(2, 4), NO_IDS.reshape(0, 0), zeros(3, 4), ids(0, 3), ids(0, 1), NONE, 0, -1),
        IDS,
    ),
    (
        "embedding_bag.embedding_bag_forward",
        (zeros(2, 4), NO_IDS.reshape(0, 0), zeros(3, 4), ids(0, 2), ids(0, 3), NONE, 2, -1),
        OFFSETS,
    ),
    (
        "embedding_bag.embedding_bag_backward",
        (zeros(3, 4), NONE, zeros(2, 4), zeros(3, 4), ids(0, 2), ids(1, 0), NONE, NO_IDS, 0, -1, False, False),
        OFFSETS,
    ),
    (
        "embedding_bag.embedding_bag_rows_backward",
        (ids(0, 0), zeros(2, 4), ids(0), zeros(2, 4), ids(0, 9), ids(0, 1), NONE, 3, 1, -1),
        IDS,
    ),
    ("sequence.rows_forward", (ids(0, 0), ids(2, 1), ids(0, 1), 1, 1), (ValueError, "as many rows")),
    ("sequence.rows_forward", (ids(0, 0), ids(3, -1), ids(0, 1), 1, 1), (ValueError, "counts")),
]


@pytest.mark.parametrize("path, args, error", WRONG, ids=[f"{path}-{n}" for n, (path, *_) in enumerate(WRONG)])
def test_what_is_wrong_is_told_once(path, args, error):
    require_cuda()
    from hotloop.kernels import cuda

    kernel = Backend("cuda").kernel(path)
    moved = [cuda.to_device(a) if isinstance(a, np.ndarray) else a for a in args]
    kernel(*moved)
    with pytest.raises(error[0], match=error[1]):
        cuda.synchronize()
    cuda.synchronize()


@pytest.mark.parametrize("R", [1, 5, 70])
@pytest.mark.parametrize("I", [1, 3])
@pytest.mark.parametrize("name", ["max", "min"])
def test_nan_beats_everything(rng, name, R, I):
    """The first NaN wins."""
    require_cuda()
    x = rng.standard_normal((2, R, I)).astype(F)
    x[0, R // 2 :: 2, 0] = np.nan
    y, indices = poison((2, I), F), poison((2, I), np.int64)
    Backend("cuda")(f"extreme.{name}_forward", y, indices, x)
    assert np.array_equal(y, getattr(x, name)(1), equal_nan=True)
    assert np.array_equal(indices, getattr(x, f"arg{name}")(1))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_order_of_special_numbers(dtype, descending):
    """NaN counts as the largest, zeros of either sign are equals."""
    require_cuda()
    x = np.array([[0.0, np.nan, -np.inf, -0.0, np.inf, -1.0, np.nan, 1e-40, 0.0, -1e-40, 3e38]], dtype)
    y, indices = poison(x.shape, dtype), poison(x.shape, np.int64)
    want = y.copy(), indices.copy()
    Backend("ref")("sort.sort_forward", *want, x, descending)
    Backend("cuda")("sort.sort_forward", y, indices, x, descending)
    assert np.array_equal(indices, want[1])
    assert np.array_equal(y, want[0], equal_nan=True)


@pytest.mark.parametrize("padding_idx", [-1, 2])
@pytest.mark.parametrize("mode", [None, 0, 1], ids=["rows", "sums", "means"])
def test_rows_that_repeat(rng, mode, padding_idx):
    """Of a gradient's rows the first `count` are written."""
    require_cuda()
    dy, indices = rng.standard_normal((12, 5)).astype(F), np.array([3, 2, 3, 9, 0, 3, 3, 3, 3, 3, 9, 2])
    path, given = "embedding.embedding_rows_backward", (dy, indices, 10)
    if mode is not None:
        path = "embedding_bag.embedding_bag_rows_backward"
        given = (dy[:3], indices, ids(0, 5, 7), NONE, 10, mode)
    found = []
    for backend in ("ref", "cuda"):
        out = poison(12, np.int64), poison((12, 5), F), poison(1, np.int64)
        Backend(backend)(path, *out, *given, padding_idx)
        found.append(out)
    (rows, values, count), (got_rows, got_values, got_count) = found
    n = count[0]
    assert got_count[0] == n == (3 if padding_idx == 2 else 4)
    assert np.array_equal(got_rows[:n], rows[:n])
    assert np.allclose(got_values[:n], values[:n], rtol=1e-5, atol=1e-6)


def test_loss_backward_in_place(rng):
    """Nothing is done where the upstream gradient is one."""
    require_cuda()
    dx = rng.standard_normal((3, 5, 2)).astype(F)
    for dloss in (np.ones(1, F), np.full(1, 3, F), rng.standard_normal(6).astype(F)):
        agree(Backend("cuda"), "loss.loss_backward", dx, dloss, absent(F).reshape(0, 0, 0))


def test_chunks_cover_what_they_cut(rng):
    """None is empty, whatever the sizes: an empty one has no largest element."""
    require_cuda()
    from hotloop.kernels.cuda.reduce import column_plan, row_plan

    for R, columns in zip(10 ** rng.uniform(0, 8, 500), 10 ** rng.uniform(0, 6, 500), strict=True):
        for chunk, chunks, *_ in (row_plan(int(columns), int(R)), column_plan(int(columns), int(R))):
            assert (chunks - 1) * chunk < int(R) <= chunks * chunk


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_rows_that_begin_anywhere(rng, dtype):
    """Rows of whole words are copied as such only where they lie as words do."""
    require_cuda()
    from hotloop.kernels import cuda

    flat, indices = rng.integers(0, 99, 30).astype(dtype), ids(2, 0, -1, 1)
    for begin in range(5):
        x, y = cuda.to_device(flat)[begin : begin + 24].reshape(3, 8), cuda.empty((4, 8), dtype)
        Backend("cuda").kernel("index.gather_rows_forward")(y, x, cuda.to_device(indices))
        assert np.array_equal(cuda.to_host(y), flat[begin : begin + 24].reshape(3, 8)[indices])


def test_running_statistics_of_a_batch_with_nan():
    """No variance is made of it: the model is lost, and says so."""
    require_cuda()
    nan, running = np.full((1, 3), np.nan), np.ones((2, 3), F)
    Backend("cuda")("norm_batch.running_update", *running, ids(0), nan, nan, 4, 0.1, 1e-5)
    assert np.isnan(running).all()


def test_copies_of_more_than_indices_count(rng, monkeypatch):
    """They go in parts, along whichever axis is long."""
    require_cuda()
    from hotloop.kernels import cuda

    monkeypatch.setattr(cuda.strided, "MOST", 40)
    host = rng.standard_normal((5, 3, 14)).astype(F)
    x = cuda.to_device(host)
    for view in (
        lambda a: a.T,
        lambda a: a.transpose(0, 2, 1),
        lambda a: a[:, 1:, ::3],
        lambda a: a.reshape(-1)[::2],
        lambda a: a[::-1, :, ::-1],
    ):
        assert np.array_equal(cuda.to_host(view(x)), view(host))
