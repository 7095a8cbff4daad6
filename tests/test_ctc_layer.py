"""CTCLoss and ctc_loss as people call them: beside PyTorch's behind log_softmax, and what is refused."""

import inspect
import itertools

import numpy as np
import pytest
from helpers import close, finite_difference
from hotloop import nn
from losses import REDUCTIONS

F = nn.functional
T, N, C, S = 11, 4, 6, 3


def problem(rng, blank=0):
    """(logits, targets, input lengths, target lengths): labels repeat, one sample has none, one does not fit."""
    logits = rng.standard_normal((T, N, C))
    targets = (blank + rng.integers(1, C, (N, S))) % C
    targets[1] = targets[1, 0]
    return logits, targets, np.array([T, 9, 5, 2]), np.array([2, 3, 0, 3])


def run(library, functional, logits, arguments, dloss=None, **options):
    """(loss, gradient of the logits): both libraries have the same names."""
    loss = functional.ctc_loss(functional.log_softmax(logits, dim=-1), *arguments, **options)
    loss.backward(library(np.ones(tuple(loss.shape)) if dloss is None else dloss))
    return loss


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("blank", [0, 2, C - 1])
@pytest.mark.parametrize("padded", [True, False])
def test_agrees_with_torch(rng, reduction, blank, padded):
    torch = pytest.importorskip("torch")
    x, targets, *lengths = problem(rng, blank)
    if not padded:
        targets = np.concatenate([row[:n] for row, n in zip(targets, lengths[1], strict=True)])
    options = dict(blank=blank, reduction=reduction, zero_infinity=True)
    dloss = rng.standard_normal(N) if reduction == "none" else np.array(0.7)
    ours, theirs = nn.Tensor(x.copy(), requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
    loss = run(nn.Tensor, F, ours, (targets, *lengths), dloss, **options)
    arrays = [torch.from_numpy(a) for a in (targets, *lengths)]
    want = run(torch.from_numpy, torch.nn.functional, theirs, arrays, dloss, **options)
    close(loss.data, want.detach().numpy(), 1e-13)
    close(ours.grad, theirs.grad.numpy(), 1e-12)
    layer = nn.CTCLoss(**options)(F.log_softmax(x, dim=2), targets, *lengths)
    np.testing.assert_array_equal(layer.data, loss.data)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_one_sample_without_a_batch(rng, reduction):
    torch = pytest.importorskip("torch")
    x, targets = problem(rng)[0][:, 0], np.array([1, 1, 4])
    for lengths in ((9, 3), ((9,), (3,)), (np.array(9), np.array([3]))):
        ours, theirs = nn.Tensor(x.copy(), requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
        loss = run(nn.Tensor, F, ours, (targets, *lengths), reduction=reduction)
        arrays = torch.from_numpy(targets), torch.tensor(9), torch.tensor(3)
        want = run(torch.from_numpy, torch.nn.functional, theirs, arrays, reduction=reduction)
        assert loss.shape == tuple(want.shape) == ()
        close(loss.data, want.detach().numpy(), 1e-13)
        close(ours.grad, theirs.grad.numpy(), 1e-12)


def test_lengths_and_targets_of_any_kind(rng):
    x, targets, *lengths = problem(rng)
    log_probs = F.log_softmax(x, dim=2)
    want = F.ctc_loss(log_probs, targets, *lengths, zero_infinity=True).item()
    kinds = np.ndarray.tolist, tuple, nn.Tensor, lambda a: a.astype(np.int32), lambda a: np.repeat(a, 2)[::2]
    for first, second in itertools.product(kinds, repeat=2):
        got = F.ctc_loss(log_probs, targets, first(lengths[0]), second(lengths[1]), zero_infinity=True)
        assert got.item() == want
    for kind in (nn.Tensor, np.asfortranarray, lambda a: a.astype(np.uint8), lambda a: a.tolist()):
        assert F.ctc_loss(log_probs, kind(targets), *lengths, zero_infinity=True).item() == want
    # padding is not looked at
    wide = np.concatenate([targets, np.full((N, 2), -1)], 1)
    assert F.ctc_loss(log_probs, wide, *lengths, zero_infinity=True).item() == want


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradient_of_log_probs(rng, reduction):
    """The slope itself, as no torch has it; scaled, and from one, and twice."""
    x, targets, *lengths = problem(rng)
    options = dict(reduction=reduction, zero_infinity=True)
    log_probs = nn.Tensor(x.copy(), requires_grad=True)
    loss = F.ctc_loss(log_probs, targets, *lengths, **options)
    dloss = rng.standard_normal(loss.shape)
    want = finite_difference(lambda: float((F.ctc_loss(x, targets, *lengths, **options).data * dloss).sum()), x)
    loss.backward(dloss, retain_graph=True)
    # central differences at 1e-5 of functions of order one
    close(log_probs.grad, want, 1e-6)
    loss.backward(dloss)
    close(log_probs.grad, 2 * want, 1e-6)
    assert not log_probs.grad[np.arange(T)[:, None] >= lengths[0]].any()


def test_infinite_losses(rng):
    x, targets, *lengths = problem(rng)
    log_probs = nn.Tensor(x, requires_grad=True)
    loss = F.ctc_loss(log_probs, targets, *lengths, reduction="none")
    assert np.isinf(loss.data).tolist() == [False, False, False, True]
    loss.backward(np.ones(N))
    assert np.isnan(log_probs.grad[:2, 3]).all() and np.isfinite(log_probs.grad[:, :3]).all()
    assert np.isinf(F.ctc_loss(x, targets, *lengths).item())


def test_no_samples():
    x = nn.Tensor(np.zeros((3, 0, 2)), requires_grad=True)
    for reduction, want in (("none", []), ("mean", np.nan), ("sum", 0)):
        loss = F.ctc_loss(x, np.zeros((0, 4), np.int64), (), (), reduction=reduction)
        np.testing.assert_array_equal(loss.data, want)
        loss.backward(np.ones_like(loss.data))
        assert x.grad.shape == (3, 0, 2)


def test_float32_and_training(rng):
    """Logits of steps learn to spell."""
    logits = nn.Tensor(rng.standard_normal((8, 2, 4)).astype(np.float32), requires_grad=True)
    criterion, losses = nn.CTCLoss(), []
    for _ in range(20):
        logits.grad = None
        loss = criterion(F.log_softmax(logits, dim=2), np.array([[1, 2, 3], [3, 3, 1]]), (8, 7), (3, 3))
        loss.backward()
        logits.data -= 2 * logits.grad
        losses.append(loss.item())
    assert loss.dtype == np.float32
    assert losses[-1] < 0.4 * losses[0]


def test_signatures_are_torchs():
    torch = pytest.importorskip("torch")
    pairs = ((F.ctc_loss, torch.nn.functional.ctc_loss), (nn.CTCLoss.__init__, torch.nn.CTCLoss.__init__))
    for ours, theirs in pairs:
        ours, theirs = (inspect.signature(f).parameters for f in (ours, theirs))
        assert list(ours) == list(theirs)
        for name, parameter in theirs.items():
            assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind), name
    assert repr(nn.CTCLoss()) == repr(torch.nn.CTCLoss())


BAD = [
    (ValueError, r"log_probs: expected shape \(T, N, C\) or \(T, C\), got \(11,\)", dict(log_probs=np.zeros(11))),
    (ValueError, r"targets: expected shape \(4, S\) or .*, got \(3, 3\)", dict(targets=np.ones((3, 3), np.int64))),
    (TypeError, "targets: expected whole numbers, got float64", dict(targets=np.ones((4, 3)))),
    (TypeError, "input_lengths: expected whole numbers", dict(input_lengths=np.full(4, 5.0))),
    (ValueError, r"input_lengths: expected shape \(4,\), .*, got \(3,\)", dict(input_lengths=(5, 5, 5))),
    (ValueError, r"target_lengths: expected shape \(4,\), .*, got \(\)", dict(target_lengths=3)),
    (ValueError, "input_lengths: expected 0 .. 11, got 12 for sample 2", dict(input_lengths=(5, 5, 12, 5))),
    (ValueError, "target_lengths: expected 0 .. 3, got 4 for sample 3", dict(target_lengths=(1, 1, 1, 4))),
    (ValueError, "targets: expected the sum of target_lengths, 8, got 9", dict(targets=np.ones(9, np.int64))),
    (IndexError, "label 6 is out of range: expected 0 .. 5", dict(targets=np.full((4, 3), 6))),
    (ValueError, "blank: expected a class, 0 .. 5, got 6", dict(blank=6)),
    (TypeError, r"blank: expected an integer, got 0\.5", dict(blank=0.5)),
    (ValueError, "reduction: expected 'none', 'mean' or 'sum', got 'batch'", dict(reduction="batch")),
]


@pytest.mark.parametrize("kind, match, change", BAD, ids=[match[:30] for _, match, _ in BAD])
def test_refusals(rng, kind, match, change):
    names = ("log_probs", "targets", "input_lengths", "target_lengths")
    arguments = dict(zip(names, problem(rng), strict=True)) | change
    with pytest.raises(kind, match=match):
        F.ctc_loss(**arguments)
