"""RNN, LSTM and GRU over whole sequences: layers and directions stacked, by torch's names and rules."""

from __future__ import annotations

from typing import Any

from .recurrent_base import RNNBase
from .recurrent_functions import GRUFunction, LSTMFunction, RNNFunction
from .tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN"]


class LSTM(RNNBase):
    """Layers of long short-term memory.

    i, f, g, o = split(weight_ih x[t] + bias_ih + weight_hh h + bias_hh)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g);  h = sigmoid(o) * tanh(c), projected by weight_hr if proj_size > 0

    Input (T, N, input_size), or (N, T, input_size) with batch_first, or (T, input_size); output the states of the last
    layer (T, N, directions * width), and (h, c) after the last step, (layers * directions, N, width) each. The keyword
    `lengths`, N integers, tells how many steps each sample has: past them the output is 0, the final states are those
    of the last step, and the reverse direction begins there; what the input holds there does not count. With a
    PackedSequence (nn.utils.rnn) the output is one, too. Parameters as torch.nn.LSTM.

    Options, which cost nothing when off, with what they add to the parameters:

    layer_norm         norm(weight_ih x[t]) * gain_ih + bias_ih + norm(weight_hh h) * gain_hh + bias_hh, and
                       h = sigmoid(o) * tanh(norm(c) * gain_c + bias_c): Ba, Kiros & Hinton 2016
    peepholes          p_i, p_f, p_o = split(weight_peephole): i + p_i * c, f + p_f * c of the old cell, o + p_o * c of
                       the new one: Gers & Schmidhuber 2000
    recurrent_dropout  in training, probability of 0 for what weight_hh sees of a unit of h, at all steps alike; else it
                       sees the unit / (1 - p): Gal & Ghahramani 2016
    zoneout            in training, probability of a unit of h or c to stay as it is for a step; in eval mode that part
                       of it stays. A pair: of h, of c. Krueger et al. 2017

    These go through kernels of their own, which are slower than the plain ones.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.LSTM(10, 20, num_layers=2)
    >>> y, (h, c) = layer(np.ones((5, 3, 10), np.float32), lengths=[5, 2, 4])
    >>> y.shape, h.shape, c.shape
    ((5, 3, 20), (2, 3, 20), (2, 3, 20))
    >>> layer
    LSTM(10, 20, num_layers=2)

    A sequence in parts, from state to state; gradients flow through one part (truncated back-propagation through time):

    >>> state = None
    >>> for part in np.ones((4, 25, 3, 10), np.float32):
    ...     y, state = layer(part, state)
    ...     y.sum().backward()
    ...     state = tuple(s.detach() for s in state)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
        *,
        layer_norm: bool = False,
        peepholes: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
    ) -> None:
        common = num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        options: dict[str, Any] = dict(layer_norm=layer_norm, recurrent_dropout=recurrent_dropout, zoneout=zoneout)
        super().__init__("LSTM", input_size, hidden_size, *common, peepholes=peepholes, **options)

    def _run(self, x, states, weights, lengths, reverse):
        projection = weights[-1] if self.proj_size else None
        return LSTMFunction.apply(x, *states, *self._padded(weights), projection, lengths, reverse)

    def forward(self, input, hx=None, *, lengths=None) -> Any:
        if hx is not None and (isinstance(hx, Tensor) or len(hx) != 2):
            raise TypeError("LSTM: expected hx as a pair (h, c)")
        y, finals = self._stack(input, (None, None) if hx is None else hx, lengths)
        return y, tuple(finals)


class GRU(RNNBase):
    """Layers of gated recurrent units.

    r, z = sigmoid(weight_ih x[t] + bias_ih + weight_hh h + bias_hh)
    n = tanh(weight_in x[t] + bias_in + r * (weight_hn h + bias_hn));  h = (1 - z) * n + z * h

    Shapes and `lengths` as LSTM, with one state. With the keyword `reset_after=False` n is made of weight_hn (r * h)
    instead, as in the paper. Parameters as torch.nn.GRU. Options as LSTM, but peepholes; layer_norm normalises what is
    given to r and z together, and what is given to n by itself.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.GRU(10, 20, bidirectional=True)
    >>> y, h = layer(np.ones((5, 3, 10), np.float32))
    >>> y.shape, h.shape
    ((5, 3, 40), (2, 3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
        *,
        reset_after: bool = True,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
    ) -> None:
        common = num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        options: dict[str, Any] = dict(layer_norm=layer_norm, recurrent_dropout=recurrent_dropout, zoneout=zoneout)
        super().__init__("GRU", input_size, hidden_size, *common, **options)
        self.reset_after = bool(reset_after)

    def _run(self, x, states, weights, lengths, reverse):
        return GRUFunction.apply(x, *states, *self._padded(weights), lengths, reverse, self.reset_after)

    def forward(self, input, hx=None, *, lengths=None) -> Any:
        y, (h,) = self._stack(input, (hx,), lengths)
        return y, h

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


class RNN(RNNBase):
    """Layers of simple recurrent units: h = tanh(weight_ih x[t] + bias_ih + weight_hh h + bias_hh), or relu of it.

    Shapes and `lengths` as LSTM, with one state; options as LSTM, but peepholes. Parameters as torch.nn.RNN.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.RNN(10, 20, nonlinearity="relu", batch_first=True)
    >>> y, h = layer(np.ones((3, 5, 10), np.float32))
    >>> y.shape, h.shape
    ((3, 5, 20), (1, 3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
        *,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        common = num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        options: dict[str, Any] = dict(layer_norm=layer_norm, recurrent_dropout=recurrent_dropout, zoneout=zoneout)
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, *common, **options)
        self.nonlinearity = nonlinearity

    def _run(self, x, states, weights, lengths, reverse):
        return RNNFunction.apply(x, *states, *self._padded(weights), lengths, reverse, self.nonlinearity == "relu")

    def forward(self, input, hx=None, *, lengths=None) -> Any:
        y, (h,) = self._stack(input, (hx,), lengths)
        return y, h

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}")
