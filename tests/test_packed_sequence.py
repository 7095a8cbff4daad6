"""nn.utils.rnn: padding and packing as torch's, their gradients, and recurrent layers of packed sequences."""

import copy
import pickle

import numpy as np
import pytest
from helpers import agree, close, poison
from hotloop import nn, optim, tensor, train
from hotloop.nn.utils import rnn
from recurrent_pairs import LAYERS, D, H, compare, draw_states, pair

# steps of the samples, in descending order, with equals among them, out of order, and a single sample
LENGTHS = {"sorted": [5, 3, 3, 1], "equal": [4, 4, 4], "mixed": [2, 5, 1, 3, 5], "single": [6]}


@pytest.fixture
def theirs():
    return pytest.importorskip("torch").nn.utils.rnn


def mine_and_torch(array):
    torch = pytest.importorskip("torch")
    x, z = nn.Tensor(array.copy()), torch.from_numpy(array.copy())
    if array.dtype.kind == "f":
        return x.requires_grad_(), z.requires_grad_()
    return x, z


def same(got, want):
    """A tensor, a packed sequence or several: the same shapes, dtypes and elements."""
    if isinstance(want, (tuple, list)):
        for g, w in zip(got, want, strict=True):
            same(g, w)
    elif want is None:
        assert got is None
    else:
        want = want.detach().numpy()
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got.numpy(), want)


def batch(rng, lengths, batch_first, rest, dtype):
    """A padded batch that is longer than its longest sample."""
    places = (max(lengths) + 1, len(lengths))
    return rng.integers(0, 100, (places[::-1] if batch_first else places) + rest).astype(dtype)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
@pytest.mark.parametrize(
    "rest, kind", [((), np.int64), ((3,), np.float32), ((2, 3), np.float64)], ids=["int64", "float32", "float64"]
)
def test_as_torch(rng, theirs, lengths, batch_first, rest, kind):
    x, z = mine_and_torch(batch(rng, lengths, batch_first, rest, kind))
    for enforce_sorted in {sorted(lengths, reverse=True) == lengths, False}:
        p = rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted)
        q = theirs.pack_padded_sequence(z, lengths, batch_first, enforce_sorted)
        same(p, q)
        same(rnn.pad_packed_sequence(p), theirs.pad_packed_sequence(q))
        more = dict(batch_first=not batch_first, padding_value=7, total_length=max(lengths) + 2)
        same(rnn.pad_packed_sequence(p, **more), theirs.pad_packed_sequence(q, **more))
        ours, others = rnn.unpack_sequence(p), theirs.unpack_sequence(q)
        same(ours, others)
        same(rnn.pack_sequence(ours, enforce_sorted), theirs.pack_sequence(others, enforce_sorted))
    for side in "left", "right":
        same(rnn.pad_sequence(ours, batch_first, 5, side), theirs.pad_sequence(others, batch_first, 5, side))
    padded, apart = rnn.pad_sequence(ours, batch_first), theirs.pad_sequence(others, batch_first)
    # torch turns its argument around
    same(
        rnn.unpad_sequence(padded, tensor(lengths), batch_first),
        theirs.unpad_sequence(apart.clone(), pytest.importorskip("torch").tensor(lengths), batch_first),
    )


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("batch_first", [False, True], ids=["", "batch-first"])
def test_gradients_as_torch(rng, dtype, theirs, lengths, batch_first):
    """Of the packed data, of the padded batch, of one sequence alone and of all padded on the left."""
    torch = pytest.importorskip("torch")
    array = batch(rng, lengths, batch_first, (3,), dtype)
    x, z = mine_and_torch(array)
    # twice: the second time into gradients that are there
    for _ in range(2):
        totals = []
        state = rng.bit_generator.state
        for lib, given, library in (rnn, x, nn.Tensor), (theirs, z, torch.from_numpy):
            rng.bit_generator.state = state
            packed = lib.pack_padded_sequence(given, lengths, batch_first, enforce_sorted=False)
            padded, _ = lib.pad_packed_sequence(packed, padding_value=3.0)
            sequences = lib.unpack_sequence(packed)
            results = packed.data, padded, sequences[-1], lib.pad_sequence(sequences, padding_side="left")
            totals.append(sum((r * library(rng.standard_normal(tuple(r.shape)).astype(dtype))).sum() for r in results))
        for total in totals:
            total.backward()
    close(x.grad, z.grad.numpy())


def test_a_packed_sequence_is_a_named_tuple():
    p = rnn.pack_sequence([tensor([[1.0, 2.0]]), tensor([[3.0, 4.0], [5.0, 6.0]])], enforce_sorted=False)
    data, batch_sizes, order, places = p
    assert data is p.data and p.data.tolist() == [[3, 4], [1, 2], [5, 6]]
    assert [i.tolist() for i in (batch_sizes, order, places)] == [[2, 1], [1, 0], [1, 0]]
    doubled = p._replace(data=p.data * 2)
    assert isinstance(doubled, rnn.PackedSequence) and doubled.data.tolist() == [[6, 8], [2, 4], [10, 12]]
    assert rnn.PackedSequence((data, batch_sizes)).batch_sizes is batch_sizes
    assert rnn.PackedSequence(data, batch_sizes, order).unsorted_indices.tolist() == [1, 0]
    for other in copy.deepcopy(p), pickle.loads(pickle.dumps(p)):
        assert isinstance(other, rnn.PackedSequence) and other.data.tolist() == data.tolist()
    assert p.to("cpu") is p and p.float() is p and not p.is_cuda
    assert [q.data.dtype for q in (p.double(), p.long(), p.int())] == [np.float64, np.int64, np.int32]
    assert p.double().sorted_indices is order


def test_invert_permutation():
    assert rnn.invert_permutation(tensor([2, 0, 3, 1])).tolist() == [1, 3, 0, 2]
    assert rnn.invert_permutation(None) is None


# ---- recurrent layers


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("states", [False, True], ids=["", "states"])
def test_layers_of_packed_sequences(rng, name, lengths, states):
    """The same packed results, states in the order of the samples as they came, and all gradients."""
    torch, ours, theirs = pair(name, num_layers=2, bidirectional=True, batch_first=True)
    samples = len(lengths)
    inputs = [rng.standard_normal((samples, max(lengths), D))]
    inputs += draw_states(rng, name, 4, float, (samples,)) if states else []

    def run(layer, given):
        lib = rnn if layer is ours else torch.nn.utils.rnn
        x, *before = given
        packed = lib.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        before = (tuple(before) if "LSTM" in name else before[0]) if before else None
        y, after = layer(packed, before)
        assert isinstance(y, lib.PackedSequence)
        assert y.sorted_indices.tolist() == packed.sorted_indices.tolist()
        assert y.batch_sizes.tolist() == packed.batch_sizes.tolist()
        return y, after

    compare(torch, rng, ours, theirs, inputs, run)


@pytest.mark.parametrize("name", LAYERS)
def test_packed_sequences_as_lengths(rng, name):
    """What `lengths` gives, whichever way the samples are ordered."""
    layer, x = pair(name, np.float32, bidirectional=True)[1], rng.standard_normal((5, 4, D)).astype(np.float32)
    lengths = [2, 5, 1, 3]
    want, states = layer(x, lengths=lengths)
    y, after = layer(rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
    close(rnn.pad_packed_sequence(y)[0].numpy(), want.numpy())
    for a, b in zip(after, states, strict=True):
        close(a.numpy(), b.numpy())


def test_padding_does_not_count(rng):
    """What stands past the end of a sample reaches neither results nor gradients, were it NaN."""
    layer, lengths = nn.LSTM(D, H), [2, 4]
    x = rng.standard_normal((4, 2, D)).astype(np.float32)
    x[2:, 0] = np.nan
    y, _ = layer(rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
    y.data.sum().backward()
    assert all(np.isfinite(p.grad).all() for p in layer.parameters())


def test_hooks_keep_a_packed_sequence():
    class Doubled(nn.Module):
        def forward(self, packed):
            return packed._replace(data=packed.data * 2)

    seen, layer = [], Doubled()
    layer.register_full_backward_hook(lambda module, inputs, outputs: seen.append(outputs[0]))
    packed = rnn.pack_sequence([tensor([[1.0]]).requires_grad_(), tensor([[3.0]])])
    out = layer(packed)
    assert isinstance(out, rnn.PackedSequence) and out.data.tolist() == [[2], [6]]
    out.data.sum().backward()
    assert seen[0].tolist() == [[1], [1]]


def test_batches_of_packed_sequences():
    """A collate_fn packs samples of several lengths."""

    class Samples:
        def __len__(self):
            return 5

        def __getitem__(self, i):
            return np.full((i + 1, 2), i, np.float32), i

    def collate(samples):
        sequences, labels = zip(*samples, strict=True)
        return rnn.pack_sequence(sequences, enforce_sorted=False), np.array(labels)

    for packed, labels in train.DataLoader(Samples(), 2, collate_fn=collate):
        assert isinstance(packed, rnn.PackedSequence) and isinstance(labels, nn.Tensor)
        assert [x.tolist() for x in rnn.unpack_sequence(packed)] == [[[i] * 2] * (i + 1) for i in labels.tolist()]

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.GRU(2, 5)

        def forward(self, packed):
            return self.layer(packed)[1][-1]

    model, loader = Last(), train.DataLoader(Samples(), 2, collate_fn=collate)
    history = train.fit(
        model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), 0.1), loader, epochs=5, verbose=False
    )
    assert history["loss"][-1] < history["loss"][0]


# ---- what they say


X = np.zeros((4, 3, 2), np.float32)
WRONG = {
    "order": ("descending order, got .*enforce_sorted=False", lambda: rnn.pack_padded_sequence(X, [2, 3, 1])),
    "too-short": ("from 1 to 4, got 0", lambda: rnn.pack_padded_sequence(X, [4, 3, 0])),
    "too-long": ("from 1 to 4, got 5", lambda: rnn.pack_padded_sequence(X, [5, 3, 1])),
    "count": ("3 integers", lambda: rnn.pack_padded_sequence(X, [4, 3])),
    "fractions": ("3 integers", lambda: rnn.pack_padded_sequence(X, [4.0, 3.0, 1.0])),
    "no-samples": ("one sample or more", lambda: rnn.pack_padded_sequence(X[:, :0], [])),
    "no-batch": (r"expected a batch \(T, N, ...\)", lambda: rnn.pack_padded_sequence(X[0, 0], [2])),
    "total": ("total_length of 2", lambda: rnn.pad_packed_sequence(rnn.pack_sequence([X[:2, 0]]), total_length=1)),
    "nothing": ("at least one", lambda: rnn.pad_sequence([])),
    "side": ("padding_side", lambda: rnn.pad_sequence([X], padding_side="top")),
    "shapes": (r"\(L, 3, 2\) of float32, got \(3, 2\)", lambda: rnn.pad_sequence([X, X[0]])),
    "dtypes": ("of float64", lambda: rnn.pad_sequence([X, X.astype(float)])),
    "unpad": ("from 0 to 4", lambda: rnn.unpad_sequence(X, [1, 2, 5])),
    "features": (r"packed data \(M, 3\), got shape \(4, 2\)", lambda: nn.LSTM(3, H)(rnn.pack_sequence([X[:, 0]]))),
    "lengths": ("has its lengths", lambda: nn.LSTM(2, H)(rnn.pack_sequence([X[:, 0]]), lengths=[4])),
    "state": (
        r"state of shape \(1, 1, 7\)",
        lambda: nn.GRU(2, H)(rnn.pack_sequence([X[:, 0]]), np.zeros((1, 3, H), np.float32)),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(case):
    message, run = WRONG[case]
    with pytest.raises(ValueError, match=message):
        run()


def test_wrong_types():
    for run in lambda: rnn.pad_sequence(3), lambda: rnn.pad_packed_sequence(X), lambda: rnn.PackedSequence(tensor([1])):
        with pytest.raises(TypeError, match="expected"):
            run()


# ---- kernels


@pytest.mark.parametrize("lengths", [*LENGTHS.values(), [0, 3, 0], []], ids=str)
def test_counts(backend, lengths):
    x, steps = np.array(lengths, np.int64), max(lengths, default=0)
    sizes = agree(backend, "sequence.counts_forward", poison(steps, np.int64), x)[0]
    again = agree(backend, "sequence.counts_forward", poison(x.size, np.int64), sizes)[0]
    assert again.tolist() == sorted(lengths, reverse=True)


@pytest.mark.parametrize("counts", [[3, 3, 1], [1], [2, 0, 3], [0], []], ids=str)
@pytest.mark.parametrize("order", [[], [2, 0, 1]], ids=str)
def test_rows(backend, counts, order):
    y, counts, order = poison(sum(counts), np.int64), np.array(counts, np.int64), np.array(order, np.int64)
    agree(backend, "sequence.rows_forward", y, counts, order, 3, 1)
    agree(backend, "sequence.rows_forward", y, counts, order, 1, 5)


@pytest.mark.parametrize("counts, order, rows", [([2, 4], [0, 1, 2], 6), ([2, -1], [], 1), ([2, 1], [], 4)], ids=str)
def test_rows_that_cannot_be(backend, counts, order, rows):
    with pytest.raises(ValueError, match="expected"):
        backend("sequence.rows_forward", np.zeros(rows, np.int64), np.array(counts), np.array(order, np.int64), 3, 1)
