"""CTC: the definition against every path there is, slopes and PyTorch; other backends against the definition."""

import itertools

import numpy as np
import pytest
from helpers import TOLERANCE, Backend, absent, agree, close, error, finite_difference, poison
from losses import REDUCTIONS, upstream

PATH = "ctc.ctc_forward"
# products of many steps: each step rounds twice
MANY_STEPS = 3


def log_softmax(x):
    return x - np.logaddexp.reduce(x, 2, keepdims=True)


class Problem:
    """Arguments of the kernel. labels: a list for each sample; `step` pads them with what is no label."""

    def __init__(self, x, labels, input_lengths=None, blank=0, step=0, zero_infinity=False):
        self.x, self.zero_infinity = np.ascontiguousarray(x), zero_infinity
        self.labels = [list(some) for some in labels]
        steps, samples, _ = self.x.shape
        lengths = [steps] * samples if input_lengths is None else input_lengths
        self.input_lengths = np.array(lengths, np.int64)
        self.target_lengths = np.array([len(some) for some in labels], np.int64)
        self.step, self.blank = step, blank
        targets = [some + [-7] * (step - len(some)) if step else some for some in self.labels]
        self.targets = np.array(list(itertools.chain(*targets)), np.int64)

    def arguments(self, reduction):
        inputs = self.x, self.targets, self.input_lengths, self.target_lengths
        return *inputs, self.step, self.blank, self.zero_infinity, REDUCTIONS.index(reduction)

    def loss(self, reduction):
        return poison(self.x.shape[1] if reduction == "none" else 1, self.x.dtype)

    def run(self, backend, reduction="none", gradient=True):
        loss = self.loss(reduction)
        dx = poison(self.x.shape, self.x.dtype) if gradient else absent(self.x.dtype)
        backend(PATH, loss, dx, *self.arguments(reduction))
        return loss, dx


def draw(rng, steps, samples, classes, most, dtype=np.float64, blank=0, **options):
    """Every length of steps and labels, the first sample all; labels repeat often."""
    x = log_softmax(2 * rng.standard_normal((steps, samples, classes))).astype(dtype)
    others = [c for c in range(classes) if c != blank] or [blank]
    counts = [most, *rng.integers(0, most + 1, max(0, samples - 1))][:samples]
    lengths = [steps, *rng.integers(0, steps + 1, max(0, samples - 1))][:samples]
    return Problem(x, [rng.choice(others, n).tolist() for n in counts], lengths, blank, **options)


def collapsed(path, blank):
    return [c for c, _ in itertools.groupby(path) if c != blank]


def by_enumeration(x, labels, blank):
    """The loss of one sample, x (T, C), and its gradient: every path, one by one."""
    steps, classes = x.shape
    total, share = 0.0, np.zeros_like(x)
    for path in itertools.product(range(classes), repeat=steps):
        if collapsed(path, blank) == labels:
            p = np.exp(x[range(steps), path].sum())
            total += p
            share[range(steps), path] += p
    return (-np.log(total), -share / total) if total else (np.inf, np.full_like(x, np.nan))


@pytest.mark.parametrize("blank", [0, 1, 2])
def test_sums_over_every_path(rng, blank):
    others = [c for c in range(3) if c != blank]
    for steps in range(5):
        for count in range(4):
            for labels in itertools.product(others, repeat=count):
                x = rng.standard_normal((steps, 1, 3))
                loss, dx = Problem(x, [labels], blank=blank).run(Backend("ref"))
                value, slope = by_enumeration(x[:, 0], list(labels), blank)
                np.testing.assert_allclose(loss[0], value, rtol=1e-12, atol=1e-12)
                np.testing.assert_allclose(dx[:, 0], slope, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("step", [0, 4])
def test_gradient_is_the_slope(rng, reduction, step):
    """Of numbers that are no logarithms of probabilities, too."""
    problem = draw(rng, 6, 4, 4, 3, step=step, zero_infinity=True)
    problem.x *= 1.5
    loss, dx = problem.run(Backend("ref"), reduction)
    dloss = rng.standard_normal(loss.shape)
    want = finite_difference(lambda: float(problem.run(Backend("ref"), reduction, False)[0] @ dloss), problem.x)
    got = dx * dloss[:, None] if reduction == "none" else upstream(Backend("ref"), dx, dloss)
    # central differences at 1e-5 of functions of order one
    close(got, want, 1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_agrees_with_torch(rng, reduction):
    torch = pytest.importorskip("torch")
    problem = draw(rng, 12, 7, 5, 4)
    loss, dx = problem.run(Backend("ref"), reduction)
    x = torch.from_numpy(problem.x.copy()).requires_grad_()
    arrays = map(torch.from_numpy, (problem.targets, problem.input_lengths, problem.target_lengths))
    want = torch.nn.functional.ctc_loss(x, *arrays, reduction=reduction)
    close(np.nan_to_num(loss), np.nan_to_num(want.detach().numpy().reshape(loss.shape)), 1e-12)
    want.sum().backward()
    # torch's gradient has exp(x) besides
    there = np.arange(12)[:, None] < problem.input_lengths
    share = 1 / (7 * np.maximum(problem.target_lengths, 1)) if reduction == "mean" else 1
    close(np.nan_to_num(dx), np.nan_to_num(x.grad.numpy() - np.exp(problem.x) * (there * share)[..., None]), 1e-11)


SIZES = [(1, 1, 1, 0), (1, 1, 2, 1), (5, 3, 3, 2), (40, 4, 30, 16), (40, 3, 7, 15), (37, 5, 4, 17), (70, 3, 40, 33)]


# every size once, and one of them with every reduction
CASES = [*((size, "none") for size in SIZES), *((SIZES[4], reduction) for reduction in REDUCTIONS[1:])]


@pytest.mark.parametrize(("size", "reduction"), CASES, ids=str)
def test_agrees_with_ref(backend, dtype, rng, size, reduction):
    for padded in (False, True):
        step = size[3] + 2 if padded else 0
        problem = draw(rng, *size, dtype, blank=size[2] // 2, step=step, zero_infinity=True)
        for gradient in (problem.x, absent(dtype)):
            loss, tol = problem.loss(reduction), MANY_STEPS * TOLERANCE[dtype]
            # logarithms of ref's, near -100, lose more in float64 than is lost here
            tol = max(tol, 2e-13)
            agree(backend, PATH, loss, gradient, *problem.arguments(reduction), tol=tol)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_targets_that_do_not_fit(backend, dtype, rng, zero_infinity):
    x = log_softmax(rng.standard_normal((4, 6, 3))).astype(dtype)
    # no steps; too many labels; a repeated label that wants a blank between; the same with room; none; none of none
    labels, lengths = [[1], [1, 2, 1], [1, 1], [1, 1], [], []], [0, 2, 2, 3, 4, 0]
    bad, value = np.array([True, True, True, False, False, False]), 0 if zero_infinity else np.inf
    problem = Problem(x, labels, lengths, zero_infinity=zero_infinity)
    loss, dx = problem.run(backend)
    assert (loss[bad] == value).all() and loss[5] == 0 and np.isfinite(loss).sum() == (6 if zero_infinity else 3)
    np.testing.assert_array_equal(dx[:2, 1:3], 0 if zero_infinity else np.nan)
    there = np.arange(4)[:, None] < problem.input_lengths
    assert not dx[~there].any() and not np.isnan(dx[:, ~bad]).any()
    np.testing.assert_allclose(dx[:, 3:5].sum(2), -there[:, 3:5].astype(dtype), rtol=1e-5)
    mean, _ = problem.run(backend, "mean")
    np.testing.assert_allclose(mean, (loss / np.maximum(1, problem.target_lengths)).mean(), rtol=1e-6)


def test_probabilities_of_zero(backend, dtype, rng):
    """-inf is no probability: of a class that is not wanted it changes nothing, of one that is it leaves no path."""
    x = rng.standard_normal((6, 2, 4)).astype(dtype)
    x[:, :, 3] = -np.inf
    x[2, 0, 1] = -np.inf
    loss, dx = Problem(x, [[1, 2], [3]]).run(backend)
    want, slope = by_enumeration(x[:, 0].astype(np.float64), [1, 2], 0)
    np.testing.assert_allclose(loss, [want, np.inf], rtol=1e-6)
    close(dx[:, 0], slope)
    assert dx[2, 0, 1] == 0 and not dx[:, 0, 3].any()


@pytest.mark.parametrize("shift", [-3000.0, -50.0, 300.0])
def test_scores_of_any_size(backend, dtype, rng, shift):
    """exp overflows, or leaves nothing, on each single step; the shares of the paths are what they are."""
    x = np.round(20 * rng.standard_normal((30, 2, 6))).astype(dtype)
    labels = [[1, 2, 2, 5], [3]]
    near, slope = Problem(x, labels).run(backend)
    far, dx = Problem(x + dtype.type(shift), labels).run(backend)
    np.testing.assert_allclose(far, near - 30 * shift, rtol=1e-6)
    # sums of whole numbers: the scores are exactly as far apart. Logarithms near -90000, ref's, tell 1e-11
    tol = max(TOLERANCE[dtype], 1e-10)
    close(dx, slope, tol)
    close(dx, Problem((x + shift).astype(np.float64), labels).run(Backend("ref"))[1], tol)


def test_masks(backend, dtype, rng):
    """-1e30 is as good as -inf for a class that paths may avoid; where they may not, it is what they cost."""
    x = log_softmax(rng.standard_normal((5, 1, 4))).astype(dtype)
    x[:, :, 2] = -np.inf
    want, slope = Problem(x, [[1, 3]]).run(backend)
    x[:, :, 2] = -1e30
    loss, dx = Problem(x, [[1, 3]]).run(backend)
    np.testing.assert_array_equal(loss, want)
    np.testing.assert_array_equal(dx, slope)
    x[1] = -1e30
    loss, dx = Problem(x, [[1, 3]]).run(backend)
    np.testing.assert_allclose(loss, [1e30], rtol=1e-6)
    assert np.isfinite(dx).all()


def test_nan_stays_in_its_sample(backend, dtype, rng):
    x = log_softmax(rng.standard_normal((5, 2, 3))).astype(dtype)
    x[2, 0, 1] = np.nan
    loss, dx = Problem(x, [[1, 2], [1, 2]], zero_infinity=True).run(backend)
    assert np.isnan(loss[0]) and np.isfinite(loss[1])
    assert np.isnan(dx[:, 0, :]).any() and np.isfinite(dx[:, 1]).all()


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_long_sequences_of_improbable_steps(dtype, rng, shift):
    """The exponent of a path is beyond the whole numbers that float32 tells apart."""
    backend = Backend("cpu")
    # exact beside 1e4
    x = (np.round(64 * rng.standard_normal((2000, 1, 4))) / 64).astype(dtype)
    near, slope = Problem(x, [[1, 1, 3]]).run(backend)
    far, dx = Problem(x + dtype.type(shift), [[1, 1, 3]]).run(backend)
    np.testing.assert_allclose(far, near - 2000 * shift, rtol=1e-6)
    # each step rounds
    close(dx, slope, 1e-5)


def test_long_sequences_keep_their_digits(rng):
    """Logarithms near -1500 would tell 1e-4 in float32."""
    problem = draw(rng, 500, 1, 20, 40, np.float32)
    loss, dx = problem.run(Backend("cpu"))
    wide = Problem(problem.x.astype(np.float64), problem.labels)
    want, slope = wide.run(Backend("ref"))
    assert error(loss, want) < 1e-6
    assert error(dx, slope) < 1e-5


def test_a_label_that_is_the_blank(backend, dtype, rng):
    """It is a class to be seen, as torch has it."""
    torch = pytest.importorskip("torch")
    problem = draw(rng, 9, 1, 4, 0, dtype)
    problem = Problem(problem.x, [[1, 0, 0, 3]])
    loss, _ = problem.run(backend)
    x, targets = torch.from_numpy(problem.x), torch.from_numpy(problem.targets)
    want = torch.nn.functional.ctc_loss(x, targets, (9,), (4,), reduction="none")
    np.testing.assert_allclose(loss, want.numpy(), rtol=1e-5)


def test_no_samples(backend, dtype):
    for reduction, want in (("none", []), ("mean", [np.nan]), ("sum", [0])):
        loss, _ = Problem(np.zeros((3, 0, 2), dtype), []).run(backend, reduction)
        np.testing.assert_array_equal(loss, want)
    loss, _ = Problem(np.zeros((0, 2, 2), dtype), [[], [1]]).run(backend)
    np.testing.assert_array_equal(loss, [0, np.inf])


BAD = [
    (ValueError, "input_lengths: expected 0 .. 4, got 5 for sample 1", dict(input_lengths=[4, 5])),
    (ValueError, "input_lengths: expected 0 .. 4, got -1 for sample 0", dict(input_lengths=[-1, 4])),
    (ValueError, "target_lengths: expected 0 .. 3, got 4 for sample 1", dict(target_lengths=[3, 4])),
    (ValueError, "target_lengths: expected 0 .. 3, got -2 for sample 0", dict(target_lengths=[-2, 3])),
    (ValueError, "targets: expected the sum of target_lengths, 5, got 6", dict(step=0, target_lengths=[2, 3])),
    (ValueError, "blank: expected a class", dict(blank=4)),
    (ValueError, "blank: expected a class", dict(blank=-1)),
    (ValueError, "step", dict(step=2)),
    (ValueError, "step", dict(step=-1)),
    (IndexError, "label 4 is out of range: expected 0 .. 3", dict(targets=[1, 2, 3, 1, 4, 0])),
    (IndexError, "label -1 is out of range: expected 0 .. 3", dict(targets=[1, -1, 3, 1, 1, 0])),
    (ValueError, "reduction", dict(reduction=3)),
]


@pytest.mark.parametrize("kind, match, change", BAD, ids=[str(change) for _, _, change in BAD])
def test_refusals(backend, dtype, kind, match, change):
    if backend.name == "cuda":
        # what only the data shows is told by the device, in its own words
        match = match.split(":")[0].split(" 4 ")[0].split(" -1 ")[0]
    given = dict(step=3, blank=0, zero_infinity=False, reduction=0)
    lengths = dict(targets=[1, 2, 3, 1, 1, 0], input_lengths=[4, 4], target_lengths=[3, 2])
    given, lengths = ({k: change.get(k, v) for k, v in d.items()} for d in (given, lengths))
    arrays = (np.array(v, np.int64) for v in lengths.values())
    loss, dx = poison(2, dtype), poison((4, 2, 4), dtype)
    with pytest.raises(kind, match=match):
        backend(PATH, loss, dx, np.zeros((4, 2, 4), dtype), *arrays, *given.values())
    if backend.name != "cuda":
        assert np.isnan(loss).all() and np.isnan(dx).all(), "refused before any work"
