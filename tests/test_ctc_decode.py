"""Decoding: the search against all paths there are and against the loss; best paths by hand."""

import itertools

import numpy as np
import pytest
from hotloop import nn

F = nn.functional


def log_softmax(x):
    return x - np.logaddexp.reduce(x, -1, keepdims=True)


def by_enumeration(x, blank):
    """The logarithm of the probability of every sequence of labels, x (T, C)."""
    found = {}
    for path in itertools.product(range(x.shape[1]), repeat=len(x)):
        labels = tuple(c for c, _ in itertools.groupby(path) if c != blank)
        found[labels] = np.logaddexp(found.get(labels, -np.inf), x[range(len(x)), path].sum())
    return found


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("steps", range(6))
def test_a_wide_beam_finds_everything(rng, steps, blank):
    x = log_softmax(rng.standard_normal((steps, 2, 3)))
    for n, found in enumerate(F.ctc_decode(x, blank=blank, strategy="beam_search", beam_width=500, top_paths=500)):
        want = by_enumeration(x[:, n], blank)
        assert len(found) == len(want)
        np.testing.assert_allclose([score for _, score in found], sorted(want.values(), reverse=True), rtol=1e-12)
        for labels, score in found:
            assert labels.dtype == np.int64
            np.testing.assert_allclose(score, want[tuple(labels.tolist())], rtol=1e-12)


def test_scores_are_losses(rng):
    x, lengths = log_softmax(3 * rng.standard_normal((9, 3, 4))), [9, 0, 6]
    found = F.ctc_decode(x, lengths, strategy="beam_search", beam_width=1000, top_paths=5)
    assert [len(some) for some in found] == [5, 1, 5]
    for n, some in enumerate(found):
        for labels, score in some:
            loss = F.ctc_loss(x[:, n], labels, lengths[n], len(labels), reduction="sum")
            np.testing.assert_allclose(score, -loss.item(), rtol=1e-12, atol=1e-12)


def test_a_narrow_beam(rng):
    """Never finds more than there is, and of one step all of what is best."""
    x = log_softmax(rng.standard_normal((20, 1, 6)))
    (wide,) = F.ctc_decode(x, strategy="beam_search", beam_width=200, top_paths=10)
    for width in (1, 3, 10):
        (found,) = F.ctc_decode(x, strategy="beam_search", beam_width=width, top_paths=1)
        loss = F.ctc_loss(x[:, 0], found[0].labels, 20, len(found[0].labels), reduction="sum").item()
        assert found[0].score <= wide[0].score + 1e-12
        assert found[0].score <= -loss + 1e-12
    (first,) = F.ctc_decode(x[:1], strategy="beam_search", beam_width=3, top_paths=3)
    np.testing.assert_allclose([score for _, score in first], np.sort(x[0, 0])[:-4:-1])


def test_best_path(rng):
    path = np.array([[1, 1, 0, 1, 2, 2, 0], [0, 0, 0, 3, 3, 3, 3]]).T
    x = np.log(np.where(np.arange(4) == path[..., None], 0.7, 0.1))
    found = F.ctc_decode(x, (7, 5))
    assert [some[0].labels.tolist() for some in found] == [[1, 1, 2], [3]]
    np.testing.assert_allclose([some[0].score for some in found], np.log(0.7) * np.array([7, 5]))
    assert [some[0].labels.tolist() for some in F.ctc_decode(x, blank=1)] == [[0, 2, 0], [0, 3]]


def test_no_steps_no_samples_and_one_sample(rng):
    x = log_softmax(rng.standard_normal((5, 2, 3)).astype(np.float32))
    for strategy in ("greedy", "beam_search"):
        assert F.ctc_decode(np.zeros((4, 0, 3)), strategy=strategy) == []
        ((labels, score),) = F.ctc_decode(np.zeros((0, 3)), strategy=strategy)
        assert (labels.tolist(), score) == ([], 0.0)
        whole = F.ctc_decode(nn.Tensor(x, requires_grad=True), [4, 5], strategy=strategy)
        alone = F.ctc_decode(x[:, 0], 4, strategy=strategy)
        assert alone[0].score == whole[0][0].score and np.array_equal(alone[0].labels, whole[0][0].labels)


def test_probabilities_of_zero():
    """Only what can be is found."""
    x = np.full((3, 1, 3), -np.inf)
    x[:, 0, 1] = 0
    (found,) = F.ctc_decode(x, strategy="beam_search", top_paths=10)
    assert [(labels.tolist(), score) for labels, score in found] == [([1], 0.0)]
    x[1] = -np.inf
    assert F.ctc_decode(x, strategy="beam_search") == [[]]


BAD = [
    (ValueError, "strategy: expected 'greedy' or 'beam_search', got 'beam'", dict(strategy="beam")),
    (ValueError, "1 <= top_paths <= beam_width, got top_paths 3, beam_width 2", dict(top_paths=3, beam_width=2)),
    (ValueError, r"log_probs: expected shape \(T, N, C\) or \(T, C\), got \(2,\)", dict(log_probs=np.zeros(2))),
    (ValueError, r"input_lengths: expected 0 .. 4, got \[4, 5\]", dict(input_lengths=(4, 5))),
    (ValueError, r"input_lengths: expected shape \(2,\)", dict(input_lengths=(4,))),
    (ValueError, "ctc_decode: blank: expected a class, 0 .. 2, got 3", dict(blank=3)),
    (TypeError, r"ctc_decode: blank: expected an integer, got 0\.5", dict(blank=0.5)),
]


@pytest.mark.parametrize("kind, match, change", BAD, ids=[match[:30] for _, match, _ in BAD])
def test_refusals(kind, match, change):
    with pytest.raises(kind, match=match):
        F.ctc_decode(**{"log_probs": np.zeros((4, 2, 3)), **change})
