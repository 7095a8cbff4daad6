"""Arguments of the recurrent kernels with options, made by the names and shapes that ref documents."""

import importlib

import numpy as np
from helpers import absent, agree, arguments_of, close, finite_difference, poison
from recurrent import no_lengths

# what is there only with an option
OPTION_OF = {
    **dict.fromkeys(("norm_hh", "norm_c", "shift_c", "products"), "layer_norm"),
    **dict.fromkeys(("zone_h", "zone_c"), "zoneout"),
    **dict(peepholes="peepholes", mask="dropout", before="dropout", w_hr="projection", out="projection"),
}
ALL = {
    "lstm": ("layer_norm", "zoneout", "peepholes", "dropout", "projection"),
    "gru": ("layer_norm", "zoneout", "dropout"),
    "rnn": ("layer_norm", "zoneout", "dropout"),
}


class Case:
    """A call of both kernels of a kind. on: the options in use; flag: which of the two forms of a GRU or RNN."""

    def __init__(self, kind, rng, dtype, shape, on=(), lengths=None, reverse=False, flag=True):
        t, n, h = shape
        self.kind, self.rng, self.dtype, self.on = kind, rng, np.dtype(dtype), on
        self.ref = importlib.import_module(f"hotloop.kernels.ref.{kind}_options")
        self.sizes = dict(T=t, N=n, H=h, P=h // 2 if "projection" in on else h)
        self.given = dict(lengths=no_lengths() if lengths is None else lengths, reverse=reverse, eps=1e-5)
        self.given |= dict(reset_after=flag, relu=flag)
        for name, a in self.documented("forward").items():
            if a.is_array and not a.written and name != "lengths":
                self.given[name] = self.array(name, a)
        self.upstream = {f"d{name}": self.array(name, self.documented("forward")[name]) for name in self.results}

    @property
    def results(self):
        return ("y", "hn", "cn") if self.kind == "lstm" else ("y", "hn")

    def path(self, half):
        return f"{self.kind}_options.{self.kind}_options_{half}"

    def documented(self, half):
        return {a.name: a for a in arguments_of(self.path(half))}

    def there(self, name):
        if name == "made" and self.kind == "lstm":
            return "projection" in self.on
        return name not in OPTION_OF or OPTION_OF[name] in self.on

    def shape(self, a):
        return tuple(eval(d, {}, self.sizes) for d in a.dims)

    def array(self, name, a):
        """Values that keep states lively."""
        if not self.there(name):
            return absent(self.dtype)
        values = self.rng.standard_normal(self.shape(a))
        if name in ("w_hh", "w_hr"):
            values /= np.sqrt(max(1, values.shape[1]))
        elif name == "mask":
            values = (values > 0) * 2.0
        elif name.startswith("zone"):
            values = self.rng.uniform(0, 1, values.shape) * (values > 0)
        return values.astype(self.dtype)

    def empties(self, half):
        """What a kernel writes, poisoned."""
        written = {n: a for n, a in self.documented(half).items() if a.written}
        # a gradient is there when its argument is; those that may not be absent always are
        there = {n: self.there(n.removeprefix("d")) or not a.optional for n, a in written.items()}
        return {n: poison(self.shape(a), self.dtype) if there[n] else absent(self.dtype) for n, a in written.items()}

    def call(self, half, values):
        return [values[name] for name in self.documented(half)]

    def done(self):
        """What the forward kernel writes, as ref leaves it."""
        outputs = self.empties("forward")
        getattr(self.ref, f"{self.kind}_options_forward")(*self.call("forward", self.given | outputs))
        return outputs

    def gradients(self, accumulate=False):
        """Where gradients go: poisoned, or what they are added to."""
        fresh = self.empties("backward")
        if accumulate:
            for name, a in self.documented("backward").items():
                if a.role == "inout":
                    fresh[name] = self.rng.standard_normal(fresh[name].shape).astype(self.dtype)
        return fresh

    def backward(self, gradients, accumulate=False):
        return self.call("backward", self.given | self.done() | self.upstream | gradients | {"accumulate": accumulate})

    def check(self, backend, accumulate=False, tol=None):
        agree(backend, self.path("forward"), *self.call("forward", self.given | self.empties("forward")), tol=tol)
        agree(backend, self.path("backward"), *self.backward(self.gradients(accumulate), accumulate), tol=tol)

    def total(self):
        results = self.done()
        return sum(float((results[name] * self.upstream[f"d{name}"]).sum()) for name in self.results)

    def check_differences(self):
        """ref's gradients against central differences."""
        got = self.gradients()
        getattr(self.ref, f"{self.kind}_options_backward")(*self.backward(got))
        for name, gradient in got.items():
            of = name.removeprefix("d")
            if of in self.given and gradient.size:
                # central differences with a step of 1e-5 leave about 1e-10, beside gradients that masks make small;
                # what normalises a few numbers bends strongly
                close(gradient, finite_difference(self.total, self.given[of]), 1e-6, name)
