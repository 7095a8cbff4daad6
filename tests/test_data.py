"""train/data.py and train/metrics.py: batches of arrays, their order, and numbers that are exact over a whole set."""

import itertools
import math

import hotloop
import numpy as np
import pytest
from helpers import close, same
from hotloop.train import MAE, MSE, R2, RMSE, Accuracy, DataLoader, TensorDataset, TopK
from hotloop.train.metrics import as_metrics


def arrays(n=10):
    return np.arange(3 * n, dtype=np.float32).reshape(n, 3), np.arange(n)


def epoch(loader):
    return [tuple(np.asarray(a) for a in batch) for batch in loader]


# ---- loader


@pytest.mark.parametrize("n, size, drop_last, sizes", [
    (10, 4, False, [4, 4, 2]),
    (10, 4, True, [4, 4]),
    (10, 5, True, [5, 5]),
    (10, 1, False, [1] * 10),
    (10, None, False, [10]),
    (10, 99, False, [10]),
    (10, 99, True, []),
    (0, 4, False, []),
    (0, None, False, []),
])  # fmt: skip
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches(n, size, drop_last, sizes, shuffle):
    x, y = arrays(n)
    loader = DataLoader((x, y), size, shuffle, drop_last=drop_last, seed=0 if shuffle else None)
    got = epoch(loader)
    assert [len(yb) for _, yb in got] == sizes and len(loader) == len(sizes)
    for xb, yb in got:
        assert xb.dtype == np.float32 and yb.dtype == np.int64
        assert same(xb, x[yb])
    seen = [i for _, yb in got for i in yb]
    assert len(set(seen)) == len(seen)
    if not shuffle:
        assert seen == sorted(seen)


def test_a_new_order_every_epoch_and_the_same_for_a_seed():
    def orders(loader):
        return [np.concatenate([yb for _, yb in epoch(loader)]).tolist() for _ in range(3)]

    first = orders(DataLoader(arrays(100), 7, True, seed=5))
    assert len({tuple(order) for order in first}) == 3
    assert first == orders(DataLoader(arrays(100), 7, True, seed=5))
    assert first == orders(DataLoader(arrays(100), 7, True, generator=np.random.Generator(np.random.PCG64(5))))
    assert first != orders(DataLoader(arrays(100), 7, True, seed=6))


def test_without_a_seed_manual_seed_decides():
    def order():
        return np.concatenate([yb for _, yb in epoch(DataLoader(arrays(100), 7, True))]).tolist()

    hotloop.manual_seed(3)
    first, second = order(), order()
    hotloop.manual_seed(3)
    assert order() == first and order() == second and first != second


@pytest.mark.parametrize("seed", [5, None])
def test_state_leads_to_the_same_next_epochs(seed):
    loader = DataLoader(arrays(50), 8, True, seed=seed)
    epoch(loader)
    state, library = loader.state_dict(), hotloop.get_rng_state()
    assert state["rng"] == ("hotloop" if seed is None else "numpy PCG64")
    expected = epoch(loader)
    other = DataLoader(arrays(50), 8, True, seed=None if seed is None else 77)
    other.load_state_dict(state)
    hotloop.set_rng_state(library)
    assert all(same(a[1], b[1]) for a, b in zip(expected, epoch(other), strict=True))
    with pytest.raises(ValueError, match="expected one of the generator"):
        other.load_state_dict({"rng": "dice"})


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_the_reader_s_own(shuffle):
    x, y = arrays()
    kept = list(DataLoader((x, y), 4, shuffle, seed=0))
    copies = [np.array(xb.numpy()) for xb, _ in kept]
    for xb, copy in zip(kept, copies, strict=True):
        assert same(np.asarray(xb[0]), copy)
        np.asarray(xb[0])[...] = -1
    assert same(x, arrays()[0])


def test_every_dtype_and_layout(rng):
    numbers = rng.integers(0, 100, (3, 4, 9))
    for dtype in ("bool", "int8", "uint8", "int16", "float16", "int32", "float32", "float64", "int64", ">f4"):
        for x in (numbers.astype(dtype), numbers.astype(dtype).T, numbers[:, 0, 0].astype(dtype), numbers[..., :0]):
            for xb, rows in epoch(DataLoader((x, np.arange(len(x))), 2, True, seed=0)):
                assert np.array_equal(xb, x[rows]) and xb.dtype == x.dtype.newbyteorder("=")
    frozen = numbers.astype(np.float32)
    frozen.flags.writeable = False
    assert len(epoch(DataLoader(frozen, 2, True, seed=0))) == 2


def test_buffers_are_used_again_where_asked():
    loader = DataLoader(arrays(), 4, True, seed=0)
    first, second, _ = (batch[0].__array_interface__["data"] for batch in loader.batches(reuse=True))
    assert first == second


def test_samples_that_are_objects():
    class Squares:
        def __len__(self):
            return 5

        def __getitem__(self, i):
            return np.full(2, i, np.float32), i, i / 2

    x, i, half = epoch(DataLoader(Squares(), 3))[1]
    assert same(x, np.array([[3, 3], [4, 4]], np.float32)) and i.tolist() == [3, 4]
    assert same(half, np.array([1.5, 2], np.float32))
    assert list(DataLoader(Squares(), 5, collate_fn=len)) == [5]


def test_dataset():
    x, y = arrays()
    data = TensorDataset(x, y)
    assert len(data) == 10
    assert data[2][1].item() == 2 and data[2:5][0].shape == (3, 3) and data[[1, 1]][0].shape == (2, 3)
    assert data.tensors[0].shape == (10, 3)
    assert TensorDataset([[1.0], [2.0]]).arrays[0].dtype == np.float32
    assert [len(batch) for batch in DataLoader(x, 5)] == [1, 1]


def test_refuses():
    x, y = arrays()
    with pytest.raises(ValueError, match="array 1: expected 10 samples as in array 0, got 9"):
        TensorDataset(x, y[:9])
    with pytest.raises(ValueError, match="at least one array"):
        TensorDataset()
    with pytest.raises(ValueError, match="first dimension"):
        TensorDataset(np.float32(1))
    with pytest.raises(TypeError, match="numbers"):
        TensorDataset(np.array(["a", "b"]))
    for size in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="batch_size"):
            DataLoader((x, y), size)
    with pytest.raises(ValueError, match="got both"):
        DataLoader((x, y), 1, seed=1, generator=np.random.default_rng())
    with pytest.raises(TypeError, match="Generator"):
        DataLoader((x, y), 1, generator=3)
    with pytest.raises(TypeError, match="dataset"):
        DataLoader(7)


# ---- metrics


def parts(output, target, cuts=(0, 1, 8, 8, 50)):
    edges = [*cuts, len(output)]
    return [(output[a:b], target[a:b]) for a, b in itertools.pairwise(edges)]


def over_parts(metric, output, target):
    metric.reset()
    for part in parts(output, target):
        metric.update(*part)
    return metric.compute()


def test_classification_is_counted(rng):
    output, target = rng.standard_normal((103, 7)).astype(np.float32), rng.integers(0, 7, 103)
    wanted = np.mean(output.argmax(1) == target)
    assert over_parts(Accuracy(), output, target) == wanted == Accuracy()(output, target)
    rank = (output > output[np.arange(103), target][:, None]).sum(1)
    for k in (1, 3, 5, 7, 9):
        assert over_parts(TopK(k), output, target) == np.mean(rank < k)
    target[:50] = -100
    assert Accuracy()(output, target) == np.mean(output[50:].argmax(1) == target[50:])
    assert Accuracy()(output[50:], np.eye(7)[target[50:]]) == Accuracy()(output[50:], target[50:])
    images, labels = rng.standard_normal((5, 3, 4, 2)), rng.integers(0, 3, (5, 4, 2))
    assert Accuracy()(images, labels) == np.mean(images.argmax(1) == labels)


def test_ties_and_nan():
    scores = np.array([[1.0, 1, 0], [np.nan, 2, 1], [0, np.nan, 0]])
    assert TopK(1)(scores[:1], np.array([0])) == 1 and TopK(1)(scores[:1], np.array([1])) == 0
    assert TopK(1)(scores[1:2], np.array([1])) == 0 and TopK(2)(scores[1:2], np.array([1])) == 1
    assert TopK(2)(scores[2:], np.array([1])) == 0


def test_two_classes_by_threshold(rng):
    output, target = rng.standard_normal((103, 1)), rng.integers(0, 2, 103)
    assert over_parts(Accuracy(0), output, target) == np.mean((output[:, 0] > 0) == target)


def test_regression_is_summed(rng):
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    # an offset that would cancel in sums of squares
    target = (rng.standard_normal((103, 2)) + 1e4).astype(np.float32)
    output = (target + rng.standard_normal((103, 2)) * 0.1).astype(np.float32)
    wide = target.astype(np.float64), output.astype(np.float64)
    for metric, wanted in (
        (MAE(), sklearn.mean_absolute_error(*wide)),
        (MSE(), sklearn.mean_squared_error(*wide)),
        (RMSE(), math.sqrt(sklearn.mean_squared_error(*wide))),
        (R2(), sklearn.r2_score(*wide)),
    ):
        close(np.float64(over_parts(metric, output, target)), np.float64(wanted), 1e-12, metric.name)
    constant = np.ones((4, 1))
    assert R2()(constant, constant) == 1 and R2()(constant * 2, constant) == 0


def test_metrics_by_name_and_function(rng):
    metrics = as_metrics(["accuracy", "top5", "top2", "mae", "rmse", "r2", MSE, MAE(), lambda o, t: (o == t).mean()])
    assert [m.name for m in metrics] == ["accuracy", "top5", "top2", "mae", "rmse", "r2", "mse", "mae", "<lambda>"]
    values = rng.integers(0, 2, 60)
    assert over_parts(metrics[-1], values, np.ones(60)) == values.mean()
    with pytest.raises(ValueError, match="expected one of accuracy"):
        as_metrics("acuracy")
    with pytest.raises(TypeError, match="got int"):
        as_metrics([3])


def test_metrics_refuse():
    with pytest.raises(ValueError, match=r"one shape, got \(4, 1\) and \(4,\)"):
        MAE()(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(ValueError, match="threshold"):
        Accuracy()(np.zeros((4, 1)), np.zeros(4, int))
    with pytest.raises(ValueError, match=r"classes 0 \.\. 2, got 0 \.\. 3"):
        Accuracy()(np.zeros((4, 3)), np.arange(4))
    with pytest.raises(TypeError, match="integer"):
        Accuracy()(np.zeros((4, 3)), np.zeros(4))
    assert math.isnan(Accuracy()(np.zeros((0, 3)), np.zeros(0, int))) and math.isnan(R2()(np.zeros(0), np.zeros(0)))
