"""kernels/*/recurrent_cells.py: one step, forward and back, with and without states and biases, and in a loop."""

import numba
import numpy as np
import pytest
from helpers import Backend, absent, agree, close, poison
from hotloop.kernels.cpu.recurrent_cells import lstm_cell_forward
from recurrent import normal, weights

# (N, D, H)
SHAPES = [(0, 2, 3), (3, 0, 5), (1, 4, 6), (17, 9, 33), (70, 5, 40)]
# kernel, gates of the weights, states, width of what is kept (in states), what chooses the form
CELLS = {
    "lstm": ("lstm_cell", 4, 2, 4, ()),
    "gru": ("gru_cell", 3, 1, 4, (True,)),
    "gru-reset-before": ("gru_cell", 3, 1, 4, (False,)),
    "rnn": ("rnn_cell", 1, 1, 0, (False,)),
    "rnn-relu": ("rnn_cell", 1, 1, 0, (True,)),
}
FORMS = {"": {}, "no-state": dict(state=False), "no-bias": dict(bias=False)}
every_cell = pytest.mark.parametrize("cell", CELLS)


class Case:
    def __init__(self, rng, dtype, cell, shape, state=True, bias=True):
        self.kernel, parts, states, kept, self.flags = CELLS[cell]
        self.dtype, (n, d, h) = dtype, shape
        self.x, *self.states = normal(rng, dtype, (n, d), *[(n, h)] * states)
        self.parameters = weights(rng, dtype, (parts * h, d), (parts * h, h))
        self.parameters += normal(rng, dtype, (parts * h,), (parts * h,))
        if not state:
            self.states = [absent(dtype) for _ in self.states]
        if not bias:
            self.parameters[2:] = absent(dtype), absent(dtype)
        self.shapes = [(n, h)] * states + ([(n, kept * h)] if kept else [])
        self.upstream = normal(rng, dtype, *self.shapes[:states])

    @property
    def inputs(self):
        return self.x, *self.states, *self.parameters, *self.flags

    def path(self, half):
        return f"recurrent_cells.{self.kernel}_{half}"

    def outputs(self):
        return [poison(s, self.dtype) for s in self.shapes]

    def done(self, backend):
        outputs = self.outputs()
        backend(self.path("forward"), *outputs, *self.inputs)
        return outputs

    def gradients(self, rng, accumulate):
        fresh = [poison(a.shape, self.dtype) for a in (self.x, *self.states)]
        if accumulate:
            return fresh + normal(rng, self.dtype, *(a.shape for a in self.parameters))
        return fresh + [poison(a.shape, self.dtype) for a in self.parameters]

    def after(self, backend, accumulate=False):
        done = self.done(backend)
        # what backward needs: gates and cells, gates, or the state itself
        saved = {"lstm_cell": done[:0:-1], "gru_cell": done[1:], "rnn_cell": done}[self.kernel]
        return *self.upstream, self.x, *self.states, *self.parameters[:2], *saved, *self.flags, accumulate


@every_cell
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_forward(backend, dtype, rng, cell, shape, form):
    case = Case(rng, dtype, cell, shape, **FORMS[form])
    agree(backend, case.path("forward"), *case.outputs(), *case.inputs)


@every_cell
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, cell, shape, form, accumulate):
    case = Case(rng, dtype, cell, shape, **FORMS[form])
    after = case.after(backend, accumulate)
    agree(backend, case.path("backward"), *case.gradients(rng, accumulate), *after)


@every_cell
def test_each_gradient_alone(backend, dtype, rng, cell):
    case = Case(rng, dtype, cell, (9, 4, 18))
    after = case.after(backend)
    for wanted in range(len(case.gradients(rng, False))):
        gradients = [g if i == wanted else absent(dtype) for i, g in enumerate(case.gradients(rng, False))]
        agree(backend, case.path("backward"), *gradients, *after)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gates_that_are_not_kept_change_nothing(backend, dtype, rng, cell):
    case = Case(rng, dtype, cell, (9, 4, 18))
    *want, _ = case.done(backend)
    got = case.outputs()[:-1]
    backend(case.path("forward"), *got, absent(dtype), *case.inputs)
    for g, w in zip(got, want, strict=True):
        close(g, w)


def test_steps_in_a_loop_are_the_sequence(backend, dtype, rng):
    from hotloop.kernels.ref import lstm

    x, h, c = normal(rng, dtype, (6, 5, 4), (5, 7), (5, 7))
    w_ih, w_hh = weights(rng, dtype, (28, 4), (28, 7))
    none, lengths = absent(dtype), np.empty(0, np.int64)
    y, hn, cn = poison((6, 5, 7), dtype), poison((5, 7), dtype), poison((5, 7), dtype)
    lstm.lstm_forward(y, hn, cn, none, none, x, h, c, w_ih, w_hh, none, none, none, lengths, False)
    for t in range(6):
        new_h, new_c = poison((5, 7), dtype), poison((5, 7), dtype)
        backend("recurrent_cells.lstm_cell_forward", new_h, new_c, none, x[t], h, c, w_ih, w_hh, none, none)
        h, c = new_h, new_c
        close(h, y[t])
    close(c, cn)


@numba.njit
def _unroll(h, c, new_h, new_c, x, w_ih, w_hh, none, no_gates):
    for t in range(x.shape[0]):
        lstm_cell_forward(new_h, new_c, no_gates, x[t], h, c, w_ih, w_hh, none, none)
        h[:], c[:] = new_h, new_c


def test_a_loop_of_ones_own(rng):
    """The step is a part of a user's compiled function."""
    x, h, c = normal(rng, np.float32, (6, 5, 4), (5, 7), (5, 7))
    w_ih, w_hh = weights(rng, np.float32, (28, 4), (28, 7))
    none = absent(np.float32)
    want_h, want_c = h, c
    cell = Backend("ref").kernel("recurrent_cells.lstm_cell_forward")
    for t in range(6):
        before, want_h, want_c = (want_h, want_c), np.empty_like(h), np.empty_like(c)
        cell(want_h, want_c, none, x[t], *before, w_ih, w_hh, none, none)
    _unroll(h, c, np.empty_like(h), np.empty_like(c), x, w_ih, w_hh, none, none.reshape(0, 0))
    close(h, want_h)
    close(c, want_c)
