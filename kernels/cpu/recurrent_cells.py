"""One step of an LSTM, a GRU or a simple recurrent network: two products, and a loop over gates in cache.

Nothing is packed beforehand, since nothing is used again; the products decide for themselves. What a sample's step is,
is in lstm.py, gru.py and rnn.py.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from . import gru, lstm, rnn
from .amx_gemm import FEWEST
from .dots import two_dot_products
from .pack import address_of, matrix
from .product import activated_product, product
from .recurrent import (
    add_rows,
    begin_with,
    both_biases,
    copy,
    fill,
    flat,
    hand_over,
    padded,
    parts,
    row,
)

_lstm, _lstm_grad = lstm._cell, lstm._cell_grad
_reset, _gru, _gru_grad, _reset_grad, _gru_bias = gru._reset, gru._cell, gru._cell_grad, gru._reset_grad, gru._bias
_rnn, _rnn_grad = rnn._cell, rnn._cell_grad

UNITS = 4096  # of a chunk: some 8 us


@compiled
def _inputs(z, ldz, width, x, w, bias):
    """z = x @ w.T + bias"""
    n, d = x.shape
    left, right = matrix(flat(x), d, n, True), matrix(flat(w), d, width, True)
    activated_product(n, width, d, left, right, z, ldz, False, bias, z[:0], 0)


@compiled
def _states(z, ldz, state, lds, n, w, accumulate, bias):
    """z (+)= state @ w.T + bias"""
    width, h = w.shape
    left, right = matrix(state, lds, n, True), matrix(flat(w), h, width, True)
    activated_product(n, width, h, left, right, z, ldz, accumulate, bias, z[:0], 0)


@compiled
def _gates(z, ldz, width, x, w_ih, state, lds, w_hh, bias):
    """z = x @ w_ih.T + state @ w_hh.T + bias. A few samples take one pass over both weights, as they lie."""
    (n, d), h = x.shape, w_hh.shape[1]
    if n < FEWEST:
        inputs = (d, address_of(x), d, address_of(w_ih), d)
        states = (h if state.size else 0, address_of(state), lds, address_of(w_hh), h)
        two_dot_products(n, width, inputs, states, z, ldz, bias)
        return
    _inputs(z, ldz, width, x, w_ih, bias)
    if state.size:
        _states(z, ldz, state, lds, n, w_hh, True, z[:0])


@compiled
def _through(dx, dz, ldz, n, w, accumulate):
    """dx (+)= dz @ w"""
    width, d = w.shape
    product(n, d, width, matrix(dz, ldz, n, True), matrix(flat(w), d, d, False), dx, d, accumulate)


@compiled
def _weights(dw, dz, ldz, n, x, ldx, accumulate):
    """dw (+)= dz.T @ x, where it is wanted"""
    if dw.size:
        width, d = dw.shape
        product(width, d, n, matrix(dz, ldz, width, False), matrix(x, ldx, d, False), flat(dw), d, accumulate)


@compiled
def _parameters(dx, dw_ih, dz, ldz, x, w_ih, accumulate):
    """Of the input and its weights."""
    if dx.size:
        _through(flat(dx), dz, ldz, x.shape[0], w_ih, False)
    _weights(dw_ih, dz, ldz, x.shape[0], flat(x), x.shape[1], accumulate)


@compiled
def _state_weights(dw_hh, dz, ldz, n, h0, accumulate):
    if h0.size:
        _weights(dw_hh, dz, ldz, n, flat(h0), h0.shape[1], accumulate)
    elif not accumulate:
        fill(flat(dw_hh), dz.dtype.type(0))


@compiled
def _lstm_rows(begin, end, h, c, z, width):
    for i in range(begin, end):
        gate = row(z, i, 4 * width)
        parts_of = gate[:width], gate[width : 2 * width], gate[2 * width : 3 * width], gate[3 * width :]
        _lstm(*parts_of, row(c, i, width), row(h, i, width))


@kernel
def lstm_cell_forward(h, c, gates, x, h0, c0, w_ih, w_hh, b_ih, b_hh):
    """Gates are computed in place, on what the products have left in cache."""
    n, width = h.shape
    begin_with(flat(c), flat(c0))
    if h.size == 0:
        return
    z = flat(gates) if gates.size else scratch(3, n * 4 * width, x)
    bias = both_biases(scratch(6, 4 * width, x), b_ih, b_hh)
    _gates(z, 4 * width, 4 * width, x, w_ih, flat(h0), width, w_hh, bias)
    parallel_for(_lstm_rows, n, max(1, UNITS // width), (flat(h), flat(c), z, width))


@compiled
def _lstm_back(begin, end, dz, dstate, dcell, gates, c, c0, none):
    h = none.size
    ldz = padded(4 * h)
    for i in range(begin, end):
        before = row(c0, i, h) if c0.size else none
        _lstm_grad(
            dz[i * ldz : i * ldz + 4 * h],
            row(gates, i, 4 * h),
            row(dstate, i, h),
            row(dcell, i, h),
            row(c, i, h),
            before,
            h,
        )


@kernel
def lstm_cell_backward(
    dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dh, dc, x, h0, c0, w_ih, w_hh, gates, c, accumulate
):  # fmt: skip
    """One loop over gates, then products."""
    n, h = c.shape
    ldz = padded(4 * h)
    dz, total, none, dcell, dstate, _ = parts(3, (n * ldz, 4 * h, h, n * h, n * h, 0), c)
    dcell = flat(dc0) if dc0.size else dcell
    begin_with(dcell, flat(dc))
    begin_with(dstate, flat(dh))
    for array in (total, none):
        fill(array, c.dtype.type(0))
    parallel_for(_lstm_back, n, max(1, UNITS // max(1, h)), (dz, dstate, dcell, flat(gates), flat(c), flat(c0), none))
    if dh0.size:
        _through(flat(dh0), dz, ldz, n, w_hh, False)
    _parameters(dx, dw_ih, dz, ldz, x, w_ih, accumulate)
    _state_weights(dw_hh, dz, ldz, n, h0, accumulate)
    if db_ih.size or db_hh.size:
        add_rows(total, dz, ldz, n)
    hand_over(db_ih, total, accumulate)
    hand_over(db_hh, total, accumulate)


@compiled
def _reset_rows(begin, end, z, state, width):
    for i in range(begin, end):
        _reset(row(z, i, 4 * width), row(state, i, width), width)


@compiled
def _gru_rows(begin, end, z, state, width, reset_after):
    for i in range(begin, end):
        _gru(row(z, i, 4 * width), row(state, i, width), width, reset_after)


@kernel
def gru_cell_forward(h, gates, x, h0, w_ih, w_hh, b_ih, b_hh, reset_after):
    """Gates are computed in place, on what the products have left in cache."""
    n, width = h.shape
    begin_with(flat(h), flat(h0))
    if h.size == 0:
        return
    z, ldz, grain = flat(gates) if gates.size else scratch(3, n * 4 * width, x), 4 * width, max(1, UNITS // width)
    w_rz, w_n, none, b_n = w_hh[: 2 * width], w_hh[2 * width :], z[:0], b_hh[2 * width :]
    bias = _gru_bias(scratch(6, 3 * width, x), b_ih, b_hh, width, reset_after)
    _gates(z, ldz, 2 * width, x, w_ih[: 2 * width], flat(h), width, w_rz, bias[: 2 * width])
    _inputs(z[2 * width :], ldz, width, x, w_ih[2 * width :], bias[2 * width :])
    if reset_after:
        _states(z[3 * width :], ldz, flat(h), width, n, w_n, False, b_n)
    else:
        parallel_for(_reset_rows, n, grain, (z, flat(h), width))
        _states(z[2 * width :], ldz, z[3 * width :], ldz, n, w_n, True, none)
    parallel_for(_gru_rows, n, grain, (z, flat(h), width, reset_after))


@compiled
def _gru_back(begin, end, dz, dstate, gates, h0, none, reset_after):
    h = none.size
    ldz = padded(4 * h)
    for i in range(begin, end):
        before = row(h0, i, h) if h0.size else none
        _gru_grad(dz[i * ldz : i * ldz + 4 * h], row(gates, i, 4 * h), row(dstate, i, h), before, h, reset_after)


@compiled
def _reset_back(begin, end, dz, dstate, dproduct, gates, h0, none):
    h = none.size
    ldz = padded(4 * h)
    for i in range(begin, end):
        before = row(h0, i, h) if h0.size else none
        z = dz[i * ldz : i * ldz + 4 * h]
        _reset_grad(z, row(gates, i, 4 * h), row(dstate, i, h), row(dproduct, i, h), before, h)


@kernel
def gru_cell_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dh, x, h0, w_ih, w_hh, gates, reset_after, accumulate
):  # fmt: skip
    """One loop over gates, then products; with the reset before them one product in between."""
    n, h = dh.shape
    ldz, grain, zero = padded(4 * h), max(1, UNITS // max(1, h)), dh.dtype.type(0)
    dz, total, none, dstate, dproduct, _ = parts(3, (n * ldz, 4 * h, h, n * h, n * h, 0), dh)
    dstate = flat(dh0) if dh0.size else dstate
    copy(dstate, flat(dh))
    for array in (total, none):
        fill(array, zero)
    dw_rz, dw_n, da = dw_hh[: 2 * h], dw_hh[2 * h :], dz[3 * h :]
    parallel_for(_gru_back, n, grain, (dz, dstate, flat(gates), flat(h0), none, reset_after))
    if reset_after:
        _through(dstate, da, ldz, n, w_hh[2 * h :], True)
        _state_weights(dw_n, da, ldz, n, h0, accumulate)
    else:
        _through(dproduct, da, ldz, n, w_hh[2 * h :], False)
        parallel_for(_reset_back, n, grain, (dz, dstate, dproduct, flat(gates), flat(h0), none))
        _weights(dw_n, da, ldz, n, flat(gates)[3 * h :], 4 * h, accumulate)
    _through(dstate, dz, ldz, n, w_hh[: 2 * h], True)
    _parameters(dx, dw_ih, dz, ldz, x, w_ih, accumulate)
    _state_weights(dw_rz, dz, ldz, n, h0, accumulate)
    if db_ih.size or db_hh.size:
        add_rows(total, dz, ldz, n)
    hand_over(db_ih, total, accumulate)
    hand_over(db_hh[: 2 * h], total, accumulate)
    hand_over(db_hh[2 * h :], total[3 * h :], accumulate)


@compiled
def _rnn_rows(begin, end, z, width, relu):
    _rnn(z[begin * width : end * width], relu)


@kernel
def rnn_cell_forward(h, x, h0, w_ih, w_hh, b_ih, b_hh, relu):
    """The state is computed in place, on what the products have left in cache."""
    n, width = h.shape
    if h.size == 0:
        return
    z = flat(h)
    _gates(z, width, width, x, w_ih, flat(h0), width, w_hh, both_biases(scratch(6, width, x), b_ih, b_hh))
    parallel_for(_rnn_rows, n, max(1, UNITS // width), (z, width, relu))


@compiled
def _rnn_back(begin, end, dz, dh, h, width, relu):
    ldz = padded(width)
    for i in range(begin, end):
        _rnn_grad(dz[i * ldz : i * ldz + width], row(dh, i, width), row(h, i, width), relu)


@kernel
def rnn_cell_backward(dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dh, x, h0, w_ih, w_hh, h, relu, accumulate):
    """One loop over states, then products."""
    n, width = h.shape
    ldz = padded(width)
    dz, total, _, _, _, _ = parts(3, (n * ldz, width, 0, 0, 0, 0), h)
    fill(total, h.dtype.type(0))
    parallel_for(_rnn_back, n, max(1, UNITS // max(1, width)), (dz, flat(dh), flat(h), width, relu))
    if dh0.size:
        _through(flat(dh0), dz, ldz, n, w_hh, False)
    _parameters(dx, dw_ih, dz, ldz, x, w_ih, accumulate)
    _state_weights(dw_hh, dz, ldz, n, h0, accumulate)
    if db_ih.size or db_hh.size:
        add_rows(total, dz, ldz, n)
    hand_over(db_ih, total, accumulate)
    hand_over(db_hh, total, accumulate)
