"""The loss of sequences of labels without times: CTCLoss and its function."""

from __future__ import annotations

from .dtypes import int64
from .losses_base import FusedLoss, Loss, one_dtype, reduction_code
from .ops.binary import binary
from .tensor import Tensor, as_tensor

__all__ = ["CTCLoss", "ctc_loss"]


class ClassificationInTime(FusedLoss):
    """FusedLoss of samples that lie along the middle dimension."""

    @staticmethod
    def backward(ctx, dloss):
        if dloss.size == 1:
            return FusedLoss.backward(ctx, dloss)
        (saved,) = ctx.gradients
        dx = binary("mul", saved, dloss.reshape(1, -1, 1), saved.dtype, ctx.device)
        if not ctx.retained:
            ctx.gradients = None
        return None, dx, None, None, None


def _whole(name: str, value, device: str) -> Tensor:
    """Whole numbers as int64, on the device of log_probs."""
    value = as_tensor(value)
    # no numbers at all are of no type
    if value._data.dtype.kind not in "iu" and value._data.size:
        raise TypeError(f"{name}: expected whole numbers, got {value._data.dtype}")
    return value.to(device=device, dtype=int64)


def as_lengths(name: str, value, samples: int, device: str) -> Tensor:
    """A length for each sample; of one sample it may be a number."""
    lengths = _whole(name, value, device)
    if lengths._data.shape == () and samples == 1:
        return lengths.reshape(1)
    if lengths._data.shape != (samples,):
        raise ValueError(f"{name}: expected shape ({samples},), a length for each sample, got {lengths._data.shape}")
    return lengths


def as_samples(function: str, shape) -> tuple[int, int, int]:
    """(T, N, C) of log_probs that may be of one sample."""
    if len(shape) not in (2, 3):
        raise ValueError(f"{function}: log_probs: expected shape (T, N, C) or (T, C), got {shape}")
    return tuple(shape) if len(shape) == 3 else (shape[0], 1, shape[1])


def class_number(function: str, blank, classes: int) -> int:
    if isinstance(blank, bool) or not hasattr(blank, "__index__"):
        raise TypeError(f"{function}: blank: expected an integer, got {blank!r}")
    if not 0 <= blank < classes:
        raise ValueError(f"{function}: blank: expected a class, 0 .. {classes - 1}, got {blank}")
    return int(blank)


def ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
):
    """-log(the probability that a sequence of classes, one a step, stands for the target): connectionist temporal
    classification.

    log_probs       (T, N, C) or (T, C)   logarithms of probabilities, commonly of `log_softmax`
    targets         (N, S), or (sum(target_lengths),) one sample behind the other; of one sample (S,) too
                                          labels, classes other than `blank` as a rule; padding is not looked at
    input_lengths   (N,), or a number for (T, C)     how many of the T steps a sample has
    target_lengths  (N,), or a number for (T, C)     how many labels
    blank           the class that stands for no label
    zero_infinity   a target that does not fit its input has the loss inf and the gradient NaN; with this 0, both

    A mean divides each loss by its number of labels (at least 1), and their sum by the number of samples. A label that
    equals `blank` is not refused: it is a class to be seen, as any other label (as in torch).

    The gradient is the derivative with respect to log_probs whatever they hold: finite differences agree with it.
    PyTorch's is larger by exp(log_probs), at the steps that a sample has and times what the reduction makes of it.
    Behind log_softmax the two are the same, as its own derivative takes that part away; elsewhere they are not.
    """
    (log_probs,) = one_dtype(log_probs)
    code, given = reduction_code(reduction), log_probs._data.shape
    shape = as_samples("ctc_loss", given)
    samples, blank = shape[1], class_number("ctc_loss", blank, shape[2])
    device = log_probs.device
    input_lengths = as_lengths("ctc_loss: input_lengths", input_lengths, samples, device)
    target_lengths = as_lengths("ctc_loss: target_lengths", target_lengths, samples, device)
    targets = _whole("ctc_loss: targets", targets, device)
    labels = targets._data.shape
    if len(labels) not in (1, 2) or (len(labels) == 2 and labels[0] != samples):
        raise ValueError(f"ctc_loss: targets: expected shape ({samples}, S) or (sum(target_lengths),), got {labels}")
    # labels for each sample; 0: one sample behind the other
    step = labels[1] if len(labels) == 2 else 0
    layout = (shape, (-1,), None, None)
    scalars = step, blank, bool(zero_infinity)
    plan = "ctc.ctc_forward", 1, (samples,) if len(given) == 3 else (), layout, scalars, code
    return ClassificationInTime.apply(plan, log_probs, targets, input_lengths, target_lengths)


class CTCLoss(Loss):
    """The loss of sequences of labels without times, as of speech or handwriting; see `functional.ctc_loss`.

    Input: log_probs (T, N, C) or (T, C), targets (N, S) or one sample behind the other, input_lengths and
    target_lengths (N,).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> log_probs = nn.functional.log_softmax(np.zeros((3, 1, 2), np.float32), dim=2)
    >>> print(f"{nn.CTCLoss(reduction='sum')(log_probs, np.array([[1]]), (3,), (1,)).exp().item():.4f}")
    1.3333
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs, targets, input_lengths, target_lengths):
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )
