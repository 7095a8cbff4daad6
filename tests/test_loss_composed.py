"""Losses that hold layers: LinearCrossEntropyLoss and AdaptiveLogSoftmaxWithLoss, against PyTorch."""

import numpy as np
import pytest
from helpers import close
from hotloop import nn

torch = pytest.importorskip("torch")


def twins(ours, theirs):
    """Both with torch's parameters, in float64."""
    theirs = theirs.double()
    ours = ours.double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def compare(ours, theirs, got, want, dy, inputs):
    close(got.data, want.detach().numpy(), 1e-12)
    got.backward(dy)
    want.backward(torch.from_numpy(dy))
    close(inputs[0].grad, inputs[1].grad.numpy(), 1e-11)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(a.grad, b.grad.numpy(), 1e-11, name)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize(
    "batch, out, options",
    [
        ((), (), {}),
        ((6,), (), {}),
        ((), (), {"bias": True, "label_smoothing": 0.1}),
        ((6,), (), {"bias": True, "label_smoothing": 0.1}),
        ((6,), (4, 3), {"bias": True}),
    ],
    ids=str,
)
def test_linear_cross_entropy(rng, batch, out, options, probabilities, reduction):
    options = {**options, "out_features": out, "reduction": reduction}
    ours, theirs = twins(nn.LinearCrossEntropyLoss(5, 7, **options), torch.nn.LinearCrossEntropyLoss(5, 7, **options))
    x = rng.standard_normal((*batch, 5))
    target = rng.uniform(0, 1, (*batch, 7, *out)) if probabilities else np.asarray(rng.integers(0, 7, (*batch, *out)))
    a, b = nn.Tensor(x.copy(), requires_grad=True), torch.from_numpy(x).requires_grad_()
    got, want = ours(a, target), theirs(b, torch.from_numpy(target))
    compare(ours, theirs, got, want, np.asarray(rng.standard_normal(got.shape)), (a, b))


def test_linear_cross_entropy_arguments(rng):
    weight = np.linspace(0.5, 2, 7)
    options = {"ignore_index": 2}
    ours = nn.LinearCrossEntropyLoss(5, 7, weight=weight, **options)
    theirs = torch.nn.LinearCrossEntropyLoss(5, 7, weight=torch.from_numpy(weight), **options)
    ours, theirs = twins(ours, theirs)
    x, target = rng.standard_normal((6, 5)), np.array([0, 1, 2, 3, 2, 6])
    close(ours(x, target).data, theirs(torch.from_numpy(x), torch.from_numpy(target)).detach().numpy(), 1e-12)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    with pytest.raises(ValueError, match="ignore_index"):
        ours(x, np.ones((6, 7)))
    with pytest.raises(ValueError, match="linear_weight"):
        ours(x[:, :4], target)
    with pytest.raises(ValueError, match="weight"):
        nn.LinearCrossEntropyLoss(5, 7, weight=weight[:3])
    with pytest.raises(ValueError, match="label_smoothing"):
        nn.LinearCrossEntropyLoss(5, 7, label_smoothing=2.0)


def adaptive(**options):
    arguments = (16, 20, [4, 10, 15])
    return twins(
        nn.AdaptiveLogSoftmaxWithLoss(*arguments, div_value=2.0, **options),
        torch.nn.AdaptiveLogSoftmaxWithLoss(*arguments, div_value=2.0, **options),
    )


@pytest.mark.parametrize("target", [[0, 5, 19, 3, 12, 4, 9, 10], [0, 1, 2], [17], [11, 11]], ids=str)
@pytest.mark.parametrize("head_bias", [False, True])
def test_adaptive(rng, head_bias, target):
    ours, theirs = adaptive(head_bias=head_bias)
    x, target = rng.standard_normal((len(target), 16)), np.array(target)
    a, b = nn.Tensor(x.copy(), requires_grad=True), torch.from_numpy(x).requires_grad_()
    got, want = ours(a, target), theirs(b, torch.from_numpy(target))
    close(got.output.data, want.output.detach().numpy(), 1e-12)
    close(got.loss.data, want.loss.detach().numpy(), 1e-12)
    got.loss.backward()
    want.loss.backward()
    close(a.grad, b.grad.numpy(), 1e-11)
    for (name, p), q in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == q[0]
        # torch gives no gradient to a cluster that no label is in
        if q[1].grad is None:
            assert p.grad is None or not p.grad.any()
        else:
            close(p.grad, q[1].grad.numpy(), 1e-11, name)


def test_adaptive_probabilities(rng):
    ours, theirs = adaptive(head_bias=True)
    x = rng.standard_normal((50, 16)) * 3
    close(ours.log_prob(x).data, theirs.log_prob(torch.from_numpy(x)).detach().numpy(), 1e-12)
    np.testing.assert_array_equal(ours.predict(x).data, theirs.predict(torch.from_numpy(x)).numpy())
    np.testing.assert_allclose(np.exp(ours.log_prob(x).data).sum(1), 1)


def test_adaptive_single_and_empty(rng):
    ours, theirs = adaptive()
    x = rng.standard_normal(16)
    for label in (2, 18):
        got, want = ours(x, np.asarray(label)), theirs(torch.from_numpy(x), torch.tensor(label))
        assert got.output.shape == ()
        close(got.output.data, want.output.detach().numpy(), 1e-12)
    got = ours(np.zeros((0, 16)), np.zeros(0, np.int64))
    assert got.output.shape == (0,) and np.isnan(got.loss.item())


def test_adaptive_bad_input(rng):
    for cutoffs in ([], [0, 3], [3, 3], [5, 4], [20], [2.5]):
        with pytest.raises(ValueError, match="cutoffs"):
            nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs)
    ours, _ = adaptive()
    x = rng.standard_normal((2, 16))
    for bad in ([0, 20], [-1, 0]):
        with pytest.raises(IndexError, match=r"0 .. 19"):
            ours(x, np.array(bad))
    with pytest.raises(ValueError, match="expected input"):
        ours(x, np.zeros(3, np.int64))
