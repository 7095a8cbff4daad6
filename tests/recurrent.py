"""Sequences for the tests of recurrent layers: shapes, lengths of every pattern, weights that keep states lively."""

import importlib

import numpy as np
import pytest
from helpers import absent, agree, close, finite_difference, poison, same
from hotloop.kernels.threads import get_num_threads, set_num_threads

# (T, N, D, H): nothing, a single sample, around a vector, several chunks of samples, several blocks of steps
SHAPES = [(0, 3, 2, 4), (3, 0, 2, 4), (3, 2, 0, 5), (1, 1, 2, 3), (20, 1, 3, 4), (6, 17, 9, 33), (12, 70, 3, 50)]
LENGTHS = {
    "all": lambda t, n: np.empty(0, np.int64),
    "equal": lambda t, n: np.full(n, t),
    "shorter": lambda t, n: np.full(n, t - 1),
    "descending": lambda t, n: np.sort(np.arange(n) % (t + 1))[::-1].copy(),
    "mixed": lambda t, n: (np.arange(n) * 7 + 3) % (t + 1),
    "none": lambda t, n: np.zeros(n, np.int64),
    "one": lambda t, n: np.ones(n, np.int64),
}


def weights(rng, dtype, *shapes):
    """Weights of layers whose states neither die nor saturate."""
    return [(rng.standard_normal(s) / np.sqrt(max(1, s[-1]))).astype(dtype) for s in shapes]


def normal(rng, dtype, *shapes):
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


def packed_pattern(torch, x, lengths):
    """torch's packed form of padded sequences."""
    return torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)


def no_lengths():
    return np.empty(0, np.int64)


class Case:
    """Arguments of both kernels of a layer: module "lstm", "gru" or "rnn".

    flag: the scalar that chooses between the two forms of the latter two. p: width of an LSTM's projection, 0 for none.
    """

    def __init__(
        self, module, rng, dtype, shape, lengths=None, reverse=False, states=True, bias=True, flag=False, p=0
    ):  # fmt: skip
        (t, n, d, h), width, parts = shape, p or shape[3], {"lstm": 4, "gru": 3, "rnn": 1}[module]
        self.module, self.dtype, self.reverse, self.lstm = module, dtype, reverse, module == "lstm"
        self.flags = () if self.lstm else (flag,)
        self.ref = importlib.import_module(f"hotloop.kernels.ref.{module}")
        self.lengths = no_lengths() if lengths is None else lengths
        self.x, self.h0, self.c0 = normal(rng, dtype, (t, n, d), (n, width), (n, h))
        self.w_ih, self.w_hh, self.w_hr = weights(rng, dtype, (parts * h, d), (parts * h, width), (p, h))
        self.b_ih, self.b_hh = normal(rng, dtype, (parts * h,), (parts * h,))
        if not states:
            self.h0 = self.c0 = absent(dtype)
        if not bias:
            self.b_ih = self.b_hh = absent(dtype)
        if not p:
            self.w_hr = absent(dtype)
        self.dy, self.dhn, self.dcn = normal(rng, dtype, (t, n, width), (n, width), (n, h))
        self.results = ("y", "hn", "cn") if self.lstm else ("y", "hn")
        gates = [(t, n, 4 * h)] if module != "rnn" else []
        self.shapes = [getattr(self, f"d{name}").shape for name in self.results] + gates
        self.shapes += [(t, n, h)] if self.lstm else []
        states, more = ("h0", "c0") if self.lstm else ("h0",), ("w_hr",) if self.lstm else ()
        self.parameter_names = "w_ih", "w_hh", "b_ih", "b_hh", *more
        self.names = "x", *states, *self.parameter_names

    @property
    def parameters(self):
        return [getattr(self, name) for name in self.parameter_names]

    @property
    def differentiable(self):
        return [getattr(self, name) for name in self.names]

    @property
    def inputs(self):
        return *self.differentiable, self.lengths, self.reverse, *self.flags

    def outputs(self):
        return [poison(s, self.dtype) for s in self.shapes]

    def done(self):
        """What the forward kernel writes, as ref leaves it."""
        outputs = self.outputs()
        getattr(self.ref, f"{self.module}_forward")(*outputs, *self.inputs)
        return outputs

    def gradients(self, rng, accumulate=False, wanted=None):
        """Where gradients go: poisoned, or what they are added to; wanted: the name of the only one."""
        fresh = [poison(a.shape, self.dtype) for a in self.differentiable]
        if accumulate:
            count = len(self.parameters)
            fresh[-count:] = normal(rng, self.dtype, *(a.shape for a in self.parameters))
        return [g if wanted in (None, name) else absent(self.dtype) for name, g in zip(self.names, fresh, strict=True)]

    def after(self, accumulate=False):
        """What follows the gradients in a call of the backward kernel."""
        outputs, count = self.done(), len(self.results)
        given = [getattr(self, f"d{name}") for name in self.results]
        used = [getattr(self, name) for name in self.names if not name.startswith("b_")]
        return *given, *used, outputs[0], *outputs[count:], self.lengths, self.reverse, *self.flags, accumulate

    def kernel(self, way):
        return f"{self.module}.{self.module}_{way}"

    def check_forward(self, backend, tol=None):
        agree(backend, self.kernel("forward"), *self.outputs(), *self.inputs, tol=tol)

    def check_backward(self, backend, gradients, accumulate=False, tol=None):
        agree(backend, self.kernel("backward"), *gradients, *self.after(accumulate), tol=tol)

    def run(self, backend, rng):
        """What both kernels of a backend write."""
        outputs, gradients = self.outputs(), self.gradients(rng)
        backend(self.kernel("forward"), *outputs, *self.inputs)
        backend(self.kernel("backward"), *gradients, *self.after())
        return outputs + gradients

    def check_lengths_are_refused(self, backend, rng, wrong):
        gradients, after = self.gradients(rng), self.after()
        good, self.lengths = self.lengths, wrong
        with pytest.raises(ValueError, match="lengths"):
            backend(self.kernel("backward"), *gradients, *(wrong if a is good else a for a in after))
        with pytest.raises(ValueError, match="lengths"):
            backend(self.kernel("forward"), *self.outputs(), *self.inputs)

    def only(self, result):
        """Nothing but one result, or "all", has a gradient that counts."""
        for name in self.results:
            if result not in (name, "all"):
                getattr(self, f"d{name}")[...] = 0

    def check_differences(self, rng):
        """ref's gradients against central differences."""

        def total():
            return sum(
                float((a * getattr(self, f"d{name}")).sum()) for name, a in zip(self.results, self.done(), strict=False)
            )

        got = self.gradients(rng)
        getattr(self.ref, f"{self.module}_backward")(*got, *self.after())
        for name, g, array in zip(self.names, got, self.inputs, strict=False):
            # central differences with a step of 1e-5 leave about 1e-10
            close(g, finite_difference(total, array), 1e-8, name)

    def check_torch(self, rng, torch, layer):
        """ref against a torch layer, of one direction or of two, the second of which is then the reverse one."""
        both = layer.bidirectional
        self.reverse, count, width = both, self.x.shape[0], self.h0.shape[1]
        kinds = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh", "w_hr": "weight_hr"}
        parameters = [name for name in self.parameter_names if getattr(self, name).size]
        theirs = [getattr(layer, kinds[name] + "_l0" + ("_reverse" if both else "")) for name in parameters]
        with torch.no_grad():
            for name, parameter in zip(parameters, theirs, strict=True):
                parameter.copy_(torch.tensor(getattr(self, name)))
        x, *states = (torch.tensor(getattr(self, n), requires_grad=True) for n in self.names if n in ("x", "h0", "c0"))
        given = packed_pattern(torch, x, self.lengths) if self.lengths.size else x
        start = [torch.stack((torch.zeros_like(s), s)) if both else s[None] for s in states]
        out, last = layer(given, tuple(start) if self.lstm else start[0])
        if self.lengths.size:
            out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=count)
        results = [out[..., -width:], *(s[-1] for s in (last if self.lstm else (last,)))]
        for got, want in zip(self.done(), results, strict=False):
            close(got, want.detach().numpy())
        sum(
            (r * torch.tensor(getattr(self, f"d{n}"))).sum() for n, r in zip(self.results, results, strict=True)
        ).backward()
        got = self.gradients(rng)
        getattr(self.ref, f"{self.module}_backward")(*got, *self.after())
        for name, g, want in zip(self.names, got, [x, *states, *theirs], strict=False):
            close(g, want.grad.numpy(), name=name)


# what may be enormous; products of two such numbers are none
ENORMOUS = [(("x", "h0"), 1e4), (("x", "h0"), 1e30), (("w_ih", "w_hh", "b_ih"), 1e4), (("w_ih", "w_hh", "b_ih"), 1e30)]


def check_extremes(backend, dtype, rng, module, names, scale, **options):
    """Enormous inputs, states or weights: gates are 0 or 1, and all stays finite, without a warning."""
    case = Case(module, rng, dtype, (5, 9, 4, 18), **options)
    for name in names:
        getattr(case, name)[...] *= scale
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        results = case.run(backend, rng)
    assert all(np.isfinite(a).all() for a in results)


def check_long(backend, dtype, rng, module):
    """Rounding errors meet again at each of many steps; so does a gradient that is a little wrong."""
    case = Case(module, rng, dtype, (2000, 2, 1, 5))
    case.check_forward(backend, 1e-5 if dtype == np.float32 else 1e-13)
    case.check_backward(backend, case.gradients(rng), tol=1e-4 if dtype == np.float32 else 1e-12)


def check_bits(backend, rng, module, **options):
    """Several chunks of samples give the same bits on any number of threads."""
    case, before = Case(module, rng, np.float32, (9, 70, 3, 50), LENGTHS["mixed"](9, 70), **options), get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            set_num_threads(count)
            results.append(case.run(backend, rng))
    finally:
        set_num_threads(before)
    for other in results[1:]:
        assert all(same(a, b) for a, b in zip(results[0], other, strict=True))
