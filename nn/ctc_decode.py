"""What labels a CTC model means: the best path, or a search over prefixes. On the host, in NumPy, after training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .losses_ctc import as_lengths, as_samples, class_number
from .tensor import as_tensor

__all__ = ["CTCHypothesis", "ctc_decode"]


class CTCHypothesis(NamedTuple):
    """Labels, without blanks, and the logarithm of their probability."""

    labels: np.ndarray
    score: float


def ctc_decode(
    log_probs, input_lengths=None, blank: int = 0, strategy: str = "greedy", beam_width: int = 100, top_paths: int = 1
):
    """The most probable labels of each sample: a list for each of CTCHypothesis(labels, score), the best first.

    log_probs      (T, N, C), or (T, C): then the list of that sample alone     of `log_softmax`
    input_lengths  (N,), or a number for (T, C)     how many of the T steps a sample has; None: all
    blank          the class that stands for no label
    strategy       "greedy": the labels of the best path, scored by that path. "beam_search": of the labels that the
                   best paths together make, scored by the sum over all paths that were followed; with a beam wide
                   enough, score is -ctc_loss of the labels
    beam_width     how many beginnings of labels a search follows from step to step
    top_paths      how many hypotheses a search gives; fewer where no more have a probability

    Names of the strategies as in keras.ops.ctc_decode, hypotheses as in torchaudio. Source: Graves 2012, "Sequence
    Transduction", and Hannun et al. 2014, "First-Pass Large Vocabulary Continuous Speech Recognition".

    >>> import numpy as np
    >>> from hotloop import nn
    >>> log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> for strategy in ("greedy", "beam_search"):
    ...     labels, score = nn.functional.ctc_decode(log_probs, strategy=strategy)[0]
    ...     print(labels, round(np.exp(score), 2))
    [] 0.36
    [1] 0.64
    """
    if strategy not in ("greedy", "beam_search"):
        raise ValueError(f"ctc_decode: strategy: expected 'greedy' or 'beam_search', got {strategy!r}")
    if not 1 <= top_paths <= beam_width:
        raise ValueError(
            f"ctc_decode: expected 1 <= top_paths <= beam_width, got top_paths {top_paths}, beam_width {beam_width}"
        )
    given = as_tensor(log_probs).detach().cpu().numpy()
    steps, samples, classes = as_samples("ctc_decode", given.shape)
    blank = class_number("ctc_decode", blank, classes)
    x = given.reshape(steps, samples, classes).astype(np.float64)
    lengths = np.full(samples, steps)
    if input_lengths is not None:
        lengths = as_lengths("ctc_decode: input_lengths", input_lengths, samples, "cpu").numpy()
    if ((lengths < 0) | (lengths > steps)).any():
        raise ValueError(f"ctc_decode: input_lengths: expected 0 .. {steps}, got {lengths.tolist()}")
    if strategy == "greedy":
        found = [[_best_path(x[:length, n], blank)] for n, length in enumerate(lengths)]
    else:
        found = [_search(x[:length, n], blank, beam_width)[:top_paths] for n, length in enumerate(lengths)]
    return found if given.ndim == 3 else found[0]


def _best_path(x, blank):
    path = x.argmax(1)
    first = np.concatenate([np.ones(min(1, len(path)), bool), path[1:] != path[:-1]])
    return CTCHypothesis(path[first & (path != blank)], float(x.max(1).sum()))


def _search(x, blank, width):
    """Hypotheses of one sample, x its steps (T, C): the beginnings that are left of `width` after each step."""
    beam = [()]
    # logarithms of all paths that make a beginning: of those that end in a blank, and in its last label
    in_blank, in_label = np.zeros(1), np.full(1, -np.inf)
    for row in x:
        last = np.array([prefix[-1] if prefix else blank for prefix in beam], np.int64)
        both = np.logaddexp(in_blank, in_label)
        longer = both[:, None] + row
        # a label repeats only behind a blank: without one, it is still the same
        every = np.arange(len(beam))
        longer[every, last] = in_blank + row[last]
        longer[:, blank] = -np.inf
        in_blank, in_label = both + row[blank], in_label + row[last]
        # what has grown into another beginning of the beam is counted there
        place = {prefix: i for i, prefix in enumerate(beam)}
        for i, prefix in enumerate(beam):
            parent = place.get(prefix[:-1]) if prefix else None
            if parent is not None:
                in_label[i] = np.logaddexp(in_label[i], longer[parent, prefix[-1]])
                longer[parent, prefix[-1]] = -np.inf
        scores = np.concatenate([np.logaddexp(in_blank, in_label), longer.ravel()])
        best = np.argsort(-scores, kind="stable")[:width]
        best = best[scores[best] > -np.inf]
        kept, grown = best[best < len(beam)], best[best >= len(beam)] - len(beam)
        parents, added = np.divmod(grown, len(row))
        beam = [beam[i] for i in kept] + [(*beam[i], c) for i, c in zip(parents, added.tolist(), strict=True)]
        in_blank = np.concatenate([in_blank[kept], np.full(len(grown), -np.inf)])
        in_label = np.concatenate([in_label[kept], longer[parents, added]])
    scores = np.logaddexp(in_blank, in_label)
    best = np.argsort(-scores, kind="stable")
    return [CTCHypothesis(np.array(beam[i], np.int64), float(scores[i])) for i in best]
