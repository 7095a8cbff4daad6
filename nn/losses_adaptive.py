"""AdaptiveLogSoftmaxWithLoss: a softmax over many classes whose rare ones are grouped in clusters."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from .containers import ModuleList, Sequential
from .creation import full, zeros
from .linear import Linear
from .losses_base import as_labels, one_dtype
from .losses_classes import cross_entropy
from .module import Module
from .ops.join import cat
from .softmax import log_softmax
from .tensor import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class AdaptiveOutput(NamedTuple):
    """output: the logarithm of the probability of each target; loss: minus their mean"""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax over n_classes in clusters: the head holds the first cutoffs[0] classes and one entry a cluster.

    Classes are to be ordered by frequency. Cluster i is a projection to in_features / div_value**(i + 1) and a layer
    from there; it is evaluated for those samples alone whose label is in it.

    Input (N, in_features) or (in_features,), target (N,) or a number; gives `output` of the target's shape and `loss`.
    Source: Grave et al. 2017, "Efficient softmax approximation for GPUs"; as torch.nn.AdaptiveLogSoftmaxWithLoss.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[4, 10])
    >>> output, loss = layer(np.ones((3, 8), np.float32), np.array([0, 5, 19]))
    >>> output.shape, loss.shape
    ((3,), ())
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        ordered = all(a < b for a, b in itertools.pairwise(cutoffs))
        whole = all(int(c) == c for c in cutoffs)
        if not cutoffs or not ordered or not whole or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1:
            raise ValueError(f"cutoffs: expected whole numbers 1 .. {n_classes - 1} in increasing order, got {cutoffs}")
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*map(int, cutoffs), n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            classes = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, device=device, dtype=dtype),
                    Linear(hidden, classes, bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for cluster in self.tail:
            for layer in cluster.children():
                layer.reset_parameters()

    def forward(self, input, target) -> AdaptiveOutput:
        (input,), target = one_dtype(input), as_labels("AdaptiveLogSoftmaxWithLoss", target)
        if len(target.shape) > 1 or input.shape[:-1] != target.shape:
            raise ValueError(
                "AdaptiveLogSoftmaxWithLoss: expected input (N, in_features) and target (N,), or (in_features,) and a "
                f"number, got {input.shape} and {target.shape}"
            )
        single = not target.shape
        if single:
            input, target = input.reshape(1, -1), target.reshape(1)
        rows, labels, losses = [], [], []
        for i, (low, high) in enumerate(zip([0, *self.cutoffs], self.cutoffs, strict=False)):
            here = ((target >= low) & (target < high)).nonzero().reshape(-1)
            if here.shape[0] == 0:
                continue
            rows.append(here)
            if i == 0:
                labels.append(target[here])
                losses.append(zeros(here.shape, dtype=input.dtype, device=input.device))
            else:
                labels.append(full(here.shape, self.shortlist_size + i - 1, dtype=target.dtype, device=input.device))
                logits = self.tail[i - 1](input[here])
                losses.append(cross_entropy(logits, target[here] - low, reduction="none"))
        if sum(r.shape[0] for r in rows) != target.shape[0]:
            raise IndexError(
                f"AdaptiveLogSoftmaxWithLoss: target: expected labels 0 .. {self.n_classes - 1}, "
                f"got {target.min().item()} .. {target.max().item()}"
            )
        head = self.head(input)
        if rows:
            # from the order of clusters back to that of the samples
            back = cat(rows).argsort()
            output = -(cross_entropy(head, cat(labels)[back], reduction="none") + cat(losses)[back])
        else:
            output = -cross_entropy(head, target, reduction="none")
        loss = -output.mean()
        return AdaptiveOutput(output.reshape(()) if single else output, loss)

    def _full_log_prob(self, input, head):
        logp = log_softmax(head, dim=1)
        shortlist = self.shortlist_size
        parts = [logp[:, :shortlist]]
        for i, cluster in enumerate(self.tail):
            parts.append(log_softmax(cluster(input), dim=1) + logp[:, shortlist + i : shortlist + i + 1])
        return cat(parts, dim=1)

    def log_prob(self, input):
        """Logarithms of the probabilities of all classes: (N, n_classes) for an input (N, in_features)."""
        (input,) = one_dtype(input)
        return self._full_log_prob(input, self.head(input))

    def predict(self, input):
        """The most probable class of each sample: (N,). Clusters are looked at only where the head points to one."""
        (input,) = one_dtype(input)
        head = self.head(input).detach()
        best = head.argmax(dim=1)
        rare = (best >= self.shortlist_size).nonzero().reshape(-1)
        if rare.shape[0] == 0:
            return best
        common = (best < self.shortlist_size).nonzero().reshape(-1)
        inside = self._full_log_prob(input[rare], head[rare]).argmax(dim=1)
        return cat([best[common], inside])[cat([common, rare]).argsort()]
