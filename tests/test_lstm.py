"""kernels/*/lstm.py: whole sequences forward and back, every option, each gradient alone, against torch."""

import numpy as np
import pytest
from helpers import absent, agree, close, finite_difference, poison
from hotloop.kernels.ref import lstm as ref
from recurrent import LENGTHS, SHAPES, no_lengths, normal, packed_pattern, weights


class Case:
    """Arguments of both kernels. p: width of a projection, 0 for none."""

    def __init__(self, rng, dtype, shape, p=0, lengths=None, reverse=False, states=True, bias=True):
        t, n, d, h = shape
        self.dtype, self.reverse, self.lengths = dtype, reverse, no_lengths() if lengths is None else lengths
        width = p or h
        self.x, self.h0, self.c0 = normal(rng, dtype, (t, n, d), (n, width), (n, h))
        self.w_ih, self.w_hh, self.w_hr = weights(rng, dtype, (4 * h, d), (4 * h, width), (p, h))
        self.b_ih, self.b_hh = normal(rng, dtype, (4 * h,), (4 * h,))
        if not states:
            self.h0 = self.c0 = absent(dtype)
        if not bias:
            self.b_ih = self.b_hh = absent(dtype)
        if not p:
            self.w_hr = absent(dtype)
        self.shapes = (t, n, width), (n, width), (n, h), (t, n, 4 * h), (t, n, h)
        self.dy, self.dhn, self.dcn = normal(rng, dtype, *self.shapes[:3])

    @property
    def inputs(self):
        states = self.x, self.h0, self.c0, self.w_ih, self.w_hh, self.b_ih, self.b_hh, self.w_hr
        return *states, self.lengths, self.reverse

    def outputs(self):
        return [poison(s, self.dtype) for s in self.shapes]

    def done(self):
        """y, hn, cn, gates, c as ref leaves them."""
        outputs = self.outputs()
        ref.lstm_forward(*outputs, *self.inputs)
        return outputs

    @property
    def parameters(self):
        return self.w_ih, self.w_hh, self.b_ih, self.b_hh, self.w_hr

    def gradients(self, rng, accumulate):
        """Where gradients go: poisoned, or what they are added to."""
        fresh = [poison(a.shape, self.dtype) for a in (self.x, self.h0, self.c0)]
        if accumulate:
            return fresh + normal(rng, self.dtype, *(a.shape for a in self.parameters))
        return fresh + [poison(a.shape, self.dtype) for a in self.parameters]

    def after(self, accumulate=False):
        """What follows the gradients in a call of lstm_backward."""
        y, _, _, gates, c = self.done()
        given = self.dy, self.dhn, self.dcn, self.x, self.h0, self.c0, self.w_ih, self.w_hh, self.w_hr
        return *given, y, gates, c, self.lengths, self.reverse, accumulate


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
    case = Case(rng, dtype, shape, **OPTIONS[option])
    agree(backend, "lstm.lstm_forward", *case.outputs(), *case.inputs)


@everything
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, shape, option, accumulate):
    case = Case(rng, dtype, shape, **OPTIONS[option])
    agree(backend, "lstm.lstm_backward", *case.gradients(rng, accumulate), *case.after(accumulate))


@pytest.mark.parametrize("pattern", LENGTHS)
@pytest.mark.parametrize("option", ["plain", "reverse-projection"])
def test_lengths(backend, dtype, rng, pattern, option):
    case = Case(rng, dtype, (5, 19, 4, 18), lengths=LENGTHS[pattern](5, 19), **OPTIONS[option])
    agree(backend, "lstm.lstm_forward", *case.outputs(), *case.inputs)
    agree(backend, "lstm.lstm_backward", *case.gradients(rng, False), *case.after())


def test_what_is_not_kept_changes_nothing(backend, dtype, rng):
    case = Case(rng, dtype, (6, 17, 9, 33), p=5, lengths=LENGTHS["mixed"](6, 17))
    outputs = case.outputs()
    none = absent(dtype)
    backend("lstm.lstm_forward", *outputs[:3], none, none, *case.inputs)
    for got, want in zip(outputs[:3], case.done(), strict=False):
        close(got, want)


GRADIENTS = "dx", "dh0", "dc0", "dw_ih", "dw_hh", "db_ih", "db_hh", "dw_hr"


@pytest.mark.parametrize("wanted", GRADIENTS)
def test_each_gradient_alone(backend, dtype, rng, wanted):
    case = Case(rng, dtype, (5, 9, 4, 18), p=7, lengths=LENGTHS["mixed"](5, 9), reverse=True)
    gradients = [
        g if name == wanted else absent(dtype) for name, g in zip(GRADIENTS, case.gradients(rng, False), strict=True)
    ]
    agree(backend, "lstm.lstm_backward", *gradients, *case.after())


@pytest.mark.parametrize("given", ["dy", "dhn", "dcn"])
def test_each_result_alone(backend, dtype, rng, given):
    """The gradient of one result, those of the others absent."""
    case = Case(rng, dtype, (5, 9, 4, 18), lengths=LENGTHS["mixed"](5, 9))
    for name in {"dy", "dhn", "dcn"} - {given}:
        setattr(case, name, absent(dtype))
    agree(backend, "lstm.lstm_backward", *case.gradients(rng, False), *case.after())


@pytest.mark.parametrize("given", ["y", "hn", "cn", "all"])
@pytest.mark.parametrize("option", ["plain", "reverse-projection"])
def test_ref_against_finite_differences(rng, option, given):
    case = Case(rng, np.float64, (4, 3, 2, 3), lengths=np.array([4, 2, 0]), **OPTIONS[option])
    for name in ("y", "hn", "cn"):
        if given not in (name, "all"):
            getattr(case, f"d{name}")[...] = 0

    def total():
        y, hn, cn = case.done()[:3]
        return float((y * case.dy).sum() + (hn * case.dhn).sum() + (cn * case.dcn).sum())

    got = case.gradients(rng, False)
    ref.lstm_backward(*got, *case.after())
    for name, g, array in zip(GRADIENTS, got, case.inputs, strict=False):
        # central differences with a step of 1e-5 leave about 1e-10
        close(g, finite_difference(total, array), 1e-8, name)


@pytest.mark.parametrize("p", [0, 3], ids=["", "projection"])
@pytest.mark.parametrize("pattern", ["all", "mixed"])
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_against_torch(rng, p, pattern, reverse):
    torch = pytest.importorskip("torch")
    # torch has no samples without steps
    lengths = np.maximum(LENGTHS[pattern](6, 5), 1)
    case = Case(rng, np.float64, (6, 5, 4, 7), p=p, lengths=lengths)
    layer = torch.nn.LSTM(4, 7, proj_size=p, bidirectional=reverse, dtype=torch.float64)
    # the second direction of a bidirectional layer is the reverse one; the first counts for nothing
    suffix = "_reverse" if reverse else ""
    names = [f"weight_ih_l0{suffix}", f"weight_hh_l0{suffix}", f"bias_ih_l0{suffix}", f"bias_hh_l0{suffix}"]
    names += [f"weight_hr_l0{suffix}"] if p else []
    with torch.no_grad():
        for name, value in zip(names, case.parameters, strict=False):
            getattr(layer, name).copy_(torch.tensor(value))
    x, h0, c0 = (torch.tensor(a, requires_grad=True) for a in (case.x, case.h0, case.c0))
    twice = (lambda s: torch.stack((torch.zeros_like(s), s))) if reverse else (lambda s: s[None])
    given = packed_pattern(torch, x, lengths) if lengths.size else x
    out, (hn, cn) = layer(given, (twice(h0), twice(c0)))
    if lengths.size:
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=6)
    y, hn, cn = out[..., -(p or 7) :], hn[-1], cn[-1]
    case.reverse = reverse
    for got, want in zip(case.done(), (y, hn, cn), strict=False):
        close(got, want.detach().numpy())
    results = zip((y, hn, cn), (case.dy, case.dhn, case.dcn), strict=True)
    sum((r * torch.tensor(d)).sum() for r, d in results).backward()
    got = case.gradients(rng, False)
    ref.lstm_backward(*got, *case.after())
    wants = [x, h0, c0, *(getattr(layer, name) for name in names)]
    for name, g, want in zip(GRADIENTS, got, wants, strict=False):
        close(g, want.grad.numpy(), name=name)


def test_extreme_inputs_neither_overflow_nor_vanish_into_nan(backend, dtype, rng):
    case = Case(rng, dtype, (5, 9, 4, 18))
    for array in (case.x, case.h0):
        array *= 1e4
    outputs = case.outputs()
    backend("lstm.lstm_forward", *outputs, *case.inputs)
    assert all(np.isfinite(o).all() for o in outputs)
    gradients = case.gradients(rng, False)
    backend("lstm.lstm_backward", *gradients, *case.after())
    assert all(np.isfinite(g).all() for g in gradients)


def test_long_sequences(backend, dtype, rng):
    case = Case(rng, dtype, (2000, 2, 1, 5))
    # rounding errors meet again at each step
    agree(backend, "lstm.lstm_forward", *case.outputs(), *case.inputs, tol=1e-5 if dtype == np.float32 else 1e-13)
    gradients = case.gradients(rng, False)
    tol = 1e-4 if dtype == np.float32 else 1e-12
    agree(backend, "lstm.lstm_backward", *gradients, *case.after(), tol=tol)


@pytest.mark.parametrize("length", [-1, 6])
def test_impossible_lengths_are_refused(backend, rng, length):
    case = Case(rng, np.float32, (5, 2, 3, 4), lengths=np.array([5, length]))
    with pytest.raises(ValueError, match="lengths"):
        backend("lstm.lstm_forward", *case.outputs(), *case.inputs)
    good = Case(rng, np.float32, (5, 2, 3, 4))
    *arguments, _, reverse, accumulate = good.after()
    with pytest.raises(ValueError, match="lengths"):
        backend("lstm.lstm_backward", *good.gradients(rng, False), *arguments, case.lengths, reverse, accumulate)


def test_states_of_another_width_need_a_projection(backend, rng):
    case = Case(rng, np.float32, (5, 2, 3, 4), p=3)
    case.w_hr = absent()
    with pytest.raises(ValueError, match="w_hr"):
        backend("lstm.lstm_forward", *case.outputs(), *case.inputs)
