"""kernels/*/gru.py: whole sequences forward and back, every option, each gradient alone, against torch."""

import numpy as np
import pytest
from helpers import absent, close
from recurrent import ENORMOUS, LENGTHS, SHAPES, Case, check_bits, check_extremes, check_long

OPTIONS = {
    "plain": {},
    "reverse": dict(reverse=True),
    "zero-state": dict(states=False),
    "no-bias": dict(bias=False, states=False, reverse=True),
}
# every shape in either direction; every option on one shape with edges
CASES = [(shape, name) for shape in SHAPES for name in ("plain", "reverse")]
CASES += [((6, 17, 9, 33), name) for name in OPTIONS if name not in ("plain", "reverse")]
everything = pytest.mark.parametrize("shape, option", CASES, ids=[f"{s}-{o}" for s, o in CASES])
forms = pytest.mark.parametrize("flag", [False, True], ids=["reset-before", "reset-after"])


@forms
@everything
def test_forward(backend, dtype, rng, shape, option, flag):
    Case("gru", rng, dtype, shape, flag=flag, **OPTIONS[option]).check_forward(backend)


@forms
@everything
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, shape, option, flag, accumulate):
    case = Case("gru", rng, dtype, shape, flag=flag, **OPTIONS[option])
    case.check_backward(backend, case.gradients(rng, accumulate), accumulate)


@forms
@pytest.mark.parametrize("pattern", LENGTHS)
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_lengths(backend, dtype, rng, pattern, reverse, flag):
    case = Case("gru", rng, dtype, (5, 19, 4, 18), LENGTHS[pattern](5, 19), reverse, flag=flag)
    case.check_forward(backend)
    case.check_backward(backend, case.gradients(rng))


@forms
@pytest.mark.parametrize("wanted", range(6))
def test_each_gradient_alone(backend, dtype, rng, wanted, flag):
    case = Case("gru", rng, dtype, (5, 9, 4, 18), LENGTHS["mixed"](5, 9), True, flag=flag)
    case.check_backward(backend, [g if i == wanted else absent(dtype) for i, g in enumerate(case.gradients(rng))])


@forms
@pytest.mark.parametrize("other", ["dy", "dhn"])
def test_each_result_alone(backend, dtype, rng, other, flag):
    """The gradient of one result, that of the other absent."""
    case = Case("gru", rng, dtype, (5, 9, 4, 18), LENGTHS["mixed"](5, 9), flag=flag)
    setattr(case, other, absent(dtype))
    case.check_backward(backend, case.gradients(rng))


@forms
@pytest.mark.parametrize("other", ["dy", "dhn", ""])
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_ref_against_finite_differences(rng, reverse, other, flag):
    case = Case("gru", rng, np.float64, (4, 3, 2, 3), np.array([4, 2, 0]), reverse, flag=flag)
    if other:
        getattr(case, other)[...] = 0
    case.check_differences(rng)


@pytest.mark.parametrize("flag", [True], ids=["reset-after"])
@pytest.mark.parametrize("pattern", ["all", "mixed"])
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_against_torch(rng, pattern, reverse, flag):
    torch = pytest.importorskip("torch")
    # torch has no samples without steps
    case = Case("gru", rng, np.float64, (6, 5, 4, 7), np.maximum(LENGTHS[pattern](6, 5), 1), flag=flag)
    case.check_torch(rng, torch, torch.nn.GRU(4, 7, bidirectional=reverse, dtype=torch.float64))


@forms
@pytest.mark.parametrize("names, scale", ENORMOUS)
def test_extremes(backend, dtype, rng, names, scale, flag):
    check_extremes(backend, dtype, rng, "gru", names, scale, flag=flag)


def test_long_sequences(backend, dtype, rng):
    check_long(backend, dtype, rng, "gru")


@forms
def test_bits_do_not_depend_on_threads(backend, rng, flag):
    check_bits(backend, rng, "gru", flag=flag)


@pytest.mark.parametrize("length", [-1, 6])
def test_impossible_lengths_are_refused(backend, rng, length):
    Case("gru", rng, np.float32, (5, 2, 3, 4)).check_lengths_are_refused(backend, rng, np.array([5, length]))


@forms
def test_gates_that_are_not_kept_change_nothing(backend, dtype, rng, flag):
    case = Case("gru", rng, dtype, (6, 17, 9, 33), LENGTHS["mixed"](6, 17), flag=flag)
    y, hn, _ = case.outputs()
    backend("gru.gru_forward", y, hn, absent(dtype), *case.inputs)
    for got, want in zip((y, hn), case.done(), strict=False):
        close(got, want)
