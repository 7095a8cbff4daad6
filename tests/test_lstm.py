"""kernels/*/lstm.py: whole sequences forward and back, every option, each gradient alone, against torch."""

import numpy as np
import pytest
from helpers import absent, close
from recurrent import ENORMOUS, LENGTHS, SHAPES, Case, check_bits, check_extremes, check_long

OPTIONS = {
    "plain": {},
    "reverse": dict(reverse=True),
    "zero-state": dict(states=False),
    "no-bias": dict(bias=False, states=False, reverse=True),
    "projection": dict(p=3),
    "reverse-projection": dict(p=19, reverse=True),
}
# every shape in either direction; every option on one shape with edges
CASES = [(shape, name) for shape in SHAPES for name in ("plain", "reverse-projection")]
CASES += [((6, 17, 9, 33), name) for name in OPTIONS if name not in ("plain", "reverse-projection")]
everything = pytest.mark.parametrize("shape, option", CASES, ids=[f"{s}-{o}" for s, o in CASES])


@everything
def test_forward(backend, dtype, rng, shape, option):
    Case("lstm", rng, dtype, shape, **OPTIONS[option]).check_forward(backend)


@everything
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, shape, option, accumulate):
    case = Case("lstm", rng, dtype, shape, **OPTIONS[option])
    case.check_backward(backend, case.gradients(rng, accumulate), accumulate)


@pytest.mark.parametrize("pattern", LENGTHS)
@pytest.mark.parametrize("option", ["plain", "reverse-projection"])
def test_lengths(backend, dtype, rng, pattern, option):
    case = Case("lstm", rng, dtype, (5, 19, 4, 18), lengths=LENGTHS[pattern](5, 19), **OPTIONS[option])
    case.check_forward(backend)
    case.check_backward(backend, case.gradients(rng))


def test_what_is_not_kept_changes_nothing(backend, dtype, rng):
    case = Case("lstm", rng, dtype, (6, 17, 9, 33), p=5, lengths=LENGTHS["mixed"](6, 17))
    outputs = case.outputs()
    none = absent(dtype)
    backend("lstm.lstm_forward", *outputs[:3], none, none, *case.inputs)
    for got, want in zip(outputs[:3], case.done(), strict=False):
        close(got, want)


@pytest.mark.parametrize("wanted", ["x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr"])
def test_each_gradient_alone(backend, dtype, rng, wanted):
    case = Case("lstm", rng, dtype, (5, 9, 4, 18), p=7, lengths=LENGTHS["mixed"](5, 9), reverse=True)
    case.check_backward(backend, case.gradients(rng, wanted=wanted))


@pytest.mark.parametrize("given", ["dy", "dhn", "dcn"])
def test_each_result_alone(backend, dtype, rng, given):
    """The gradient of one result, those of the others absent."""
    case = Case("lstm", rng, dtype, (5, 9, 4, 18), lengths=LENGTHS["mixed"](5, 9))
    for name in {"dy", "dhn", "dcn"} - {given}:
        setattr(case, name, absent(dtype))
    case.check_backward(backend, case.gradients(rng))


@pytest.mark.parametrize("given", ["y", "hn", "cn", "all"])
@pytest.mark.parametrize("option", ["plain", "reverse-projection"])
def test_ref_against_finite_differences(rng, option, given):
    case = Case("lstm", rng, np.float64, (4, 3, 2, 3), lengths=np.array([4, 2, 0]), **OPTIONS[option])
    case.only(given)
    case.check_differences(rng)


@pytest.mark.parametrize("p", [0, 3], ids=["", "projection"])
@pytest.mark.parametrize("pattern", ["all", "mixed"])
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_against_torch(rng, p, pattern, reverse):
    torch = pytest.importorskip("torch")
    # torch has no samples without steps
    case = Case("lstm", rng, np.float64, (6, 5, 4, 7), p=p, lengths=np.maximum(LENGTHS[pattern](6, 5), 1))
    case.check_torch(rng, torch, torch.nn.LSTM(4, 7, proj_size=p, bidirectional=reverse, dtype=torch.float64))


@pytest.mark.parametrize("names, scale", ENORMOUS)
def test_extremes(backend, dtype, rng, names, scale):
    check_extremes(backend, dtype, rng, "lstm", names, scale)


def test_long_sequences(backend, dtype, rng):
    check_long(backend, dtype, rng, "lstm")


@pytest.mark.parametrize("p", [0, 5], ids=["", "projection"])
def test_bits_do_not_depend_on_threads(backend, rng, p):
    check_bits(backend, rng, "lstm", p=p)


@pytest.mark.parametrize("length", [-1, 6])
def test_impossible_lengths_are_refused(backend, rng, length):
    Case("lstm", rng, np.float32, (5, 2, 3, 4)).check_lengths_are_refused(backend, rng, np.array([5, length]))


def test_states_of_another_width_need_a_projection(backend, rng):
    case = Case("lstm", rng, np.float32, (5, 2, 3, 4), p=3)
    case.w_hr = absent()
    with pytest.raises(ValueError, match="w_hr"):
        backend("lstm.lstm_forward", *case.outputs(), *case.inputs)
