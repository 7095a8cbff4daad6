"""Sequences for the tests of recurrent layers: shapes, lengths of every pattern, weights that keep states lively."""

import importlib

import numpy as np
from helpers import absent, agree, close, finite_difference, poison

# (T, N, D, H): nothing, a single sample, around a vector, several chunks of samples, several blocks of steps
SHAPES = [(0, 3, 2, 4), (3, 0, 2, 4), (3, 2, 0, 5), (1, 1, 2, 3), (20, 1, 3, 4), (6, 17, 9, 33), (12, 70, 3, 50)]
LENGTHS = {
    "all": lambda t, n: np.empty(0, np.int64),
    "equal": lambda t, n: np.full(n, t),
    "shorter": lambda t, n: np.full(n, t - 1),
    "descending": lambda t, n: np.sort(np.arange(n) % (t + 1))[::-1].copy(),
    "mixed": lambda t, n: (np.arange(n) * 7 + 3) % (t + 1),
    "none": lambda t, n: np.zeros(n, np.int64),
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


class OneState:
    """Arguments of both kernels of a layer whose only state is its output: module "gru" or "rnn".

    flag: the scalar that chooses between the two forms of either.
    """

    def __init__(self, module, rng, dtype, shape, lengths=None, reverse=False, states=True, bias=True, flag=False):
        t, n, d, h = shape
        self.module, self.dtype, self.reverse, self.flag = module, dtype, reverse, flag
        self.ref = importlib.import_module(f"hotloop.kernels.ref.{module}")
        self.lengths = no_lengths() if lengths is None else lengths
        parts = 3 if module == "gru" else 1
        self.x, self.h0 = normal(rng, dtype, (t, n, d), (n, h))
        self.w_ih, self.w_hh = weights(rng, dtype, (parts * h, d), (parts * h, h))
        self.b_ih, self.b_hh = normal(rng, dtype, (parts * h,), (parts * h,))
        if not states:
            self.h0 = absent(dtype)
        if not bias:
            self.b_ih = self.b_hh = absent(dtype)
        self.shapes = [(t, n, h), (n, h)] + ([(t, n, 4 * h)] if module == "gru" else [])
        self.dy, self.dhn = normal(rng, dtype, *self.shapes[:2])
        self.names = "dx", "dh0", "dw_ih", "dw_hh", "db_ih", "db_hh"

    @property
    def parameters(self):
        return self.w_ih, self.w_hh, self.b_ih, self.b_hh

    @property
    def inputs(self):
        return self.x, self.h0, *self.parameters, self.lengths, self.reverse, self.flag

    def outputs(self):
        return [poison(s, self.dtype) for s in self.shapes]

    def done(self):
        """What the forward kernel writes, as ref leaves it."""
        outputs = self.outputs()
        getattr(self.ref, f"{self.module}_forward")(*outputs, *self.inputs)
        return outputs

    def gradients(self, rng, accumulate=False):
        """Where gradients go: poisoned, or what they are added to."""
        fresh = [poison(a.shape, self.dtype) for a in (self.x, self.h0)]
        if accumulate:
            return fresh + normal(rng, self.dtype, *(a.shape for a in self.parameters))
        return fresh + [poison(a.shape, self.dtype) for a in self.parameters]

    def after(self, accumulate=False):
        """What follows the gradients in a call of the backward kernel."""
        y, _, *gates = self.done()
        given = self.dy, self.dhn, self.x, self.h0, self.w_ih, self.w_hh
        return *given, y, *gates, self.lengths, self.reverse, self.flag, accumulate

    def check_forward(self, backend, tol=None):
        agree(backend, f"{self.module}.{self.module}_forward", *self.outputs(), *self.inputs, tol=tol)

    def check_backward(self, backend, gradients, accumulate=False, tol=None):
        agree(backend, f"{self.module}.{self.module}_backward", *gradients, *self.after(accumulate), tol=tol)

    def check_differences(self, rng):
        """ref's gradients against central differences."""

        def total():
            y, hn = self.done()[:2]
            return float((y * self.dy).sum() + (hn * self.dhn).sum())

        got = self.gradients(rng)
        getattr(self.ref, f"{self.module}_backward")(*got, *self.after())
        for name, g, array in zip(self.names, got, self.inputs, strict=False):
            # central differences with a step of 1e-5 leave about 1e-10
            close(g, finite_difference(total, array), 1e-8, name)

    def check_torch(self, rng, torch, layer):
        """ref against a torch layer, of one direction or of two, the second of which is then the reverse one."""
        both = layer.bidirectional
        self.reverse, count, width = both, self.x.shape[0], self.h0.shape[1]
        names = [n + ("_reverse" if both else "") for n in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]
        with torch.no_grad():
            for name, value in zip(names, self.parameters, strict=True):
                getattr(layer, name).copy_(torch.tensor(value))
        x, h0 = (torch.tensor(a, requires_grad=True) for a in (self.x, self.h0))
        given = packed_pattern(torch, x, self.lengths) if self.lengths.size else x
        out, hn = layer(given, torch.stack((torch.zeros_like(h0), h0)) if both else h0[None])
        if self.lengths.size:
            out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=count)
        y, hn = out[..., -width:], hn[-1]
        for got, want in zip(self.done(), (y, hn), strict=False):
            close(got, want.detach().numpy())
        ((y * torch.tensor(self.dy)).sum() + (hn * torch.tensor(self.dhn)).sum()).backward()
        got = self.gradients(rng)
        getattr(self.ref, f"{self.module}_backward")(*got, *self.after())
        for name, g, want in zip(self.names, got, [x, h0, *(getattr(layer, n) for n in names)], strict=True):
            close(g, want.grad.numpy(), name=name)
