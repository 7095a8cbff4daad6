"""RNN, LSTM and GRU over whole sequences: layers and directions stacked, by torch's names and rules."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from . import init
from .doors import absent
from .dropout import dropout
from .factory import new_parameter
from .module import Module
from .ops.join import cat, stack
from .recurrent_functions import GRUFunction, LSTMFunction, RNNFunction
from .tensor import Tensor, as_tensor

__all__ = ["GRU", "LSTM", "RNN"]

INT64 = np.dtype(np.int64)


class _Recurrent(Module):
    """What the three have in common: parameters, the checks, the stack of layers."""

    _gates = 1
    proj_size = 0

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
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if hidden_size <= 0 or num_layers <= 0:
            raise ValueError(f"{name}: expected hidden_size and num_layers > 0, got {hidden_size} and {num_layers}")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: expected dropout as a probability from 0 to 1, got {dropout!r}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"{name}: dropout acts between layers, and there is only one", stacklevel=3)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        # names of the parameters of each layer and direction, in torch's order
        self._names: list[list[str]] = []
        width, rows = self.proj_size or hidden_size, self._gates * hidden_size
        for layer in range(num_layers):
            depth = input_size if layer == 0 else width * (1 + bidirectional)
            for direction in ("", "_reverse") if bidirectional else ("",):
                shapes: dict[str, tuple] = {"weight_ih": (rows, depth), "weight_hh": (rows, width)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if self.proj_size:
                    shapes["weight_hr"] = (self.proj_size, hidden_size)
                names = {kind: f"{kind}_l{layer}{direction}" for kind in shapes}
                for kind, shape in shapes.items():
                    self.register_parameter(names[kind], new_parameter(shape, device, dtype))
                self._names.append(list(names.values()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform on +-1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: parameters need no arranging. For code that calls it on torch's layers."""

    @property
    def all_weights(self) -> list[list]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._names]

    def _run(self, x, states, weights, lengths, reverse: bool) -> tuple:
        """One layer in one direction: y, and the final states."""
        raise NotImplementedError

    def _stack(self, input, states, lengths):
        """All layers. states: tensors (layers * directions, N, ...), or None for each; gives y and the final states."""
        name, x = type(self).__name__, as_tensor(input)
        batched = len(x.shape) == 3
        if not batched and len(x.shape) != 2:
            raise ValueError(f"{name}: expected an input (T, N, {self.input_size}) or (T, D), got shape {x.shape}")
        if x.shape[-1] != self.input_size:
            raise ValueError(f"{name}: expected an input with {self.input_size} features, got shape {x.shape}")
        if not batched:
            x = x.unsqueeze(1)
        elif self.batch_first:
            x = x.transpose(0, 1)
        count, samples = x.shape[:2]
        if count == 0:
            raise ValueError(f"{name}: expected a sequence of 1 step or more, got shape {x.shape}")
        lengths = self._lengths(lengths, samples, x)
        states = [self._state(s, i, samples, batched) for i, s in enumerate(states)]
        directions = 1 + self.bidirectional
        ends: list[tuple] = []
        for layer in range(self.num_layers):
            results = []
            for direction in range(directions):
                k = layer * directions + direction
                weights = [getattr(self, n) for n in self._names[k]]
                y, *final = self._run(x, [s if s is None else s[k] for s in states], weights, lengths, direction == 1)
                results.append(y)
                ends.append(tuple(final))
            x = results[0] if directions == 1 else cat(results, 2)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = dropout(x, self.dropout)
        finals = [f[0].unsqueeze(0) if len(f) == 1 else stack(f) for f in zip(*ends, strict=True)]
        if not batched:
            return x.squeeze(1), [f.squeeze(1) for f in finals]
        return (x.transpose(0, 1) if self.batch_first else x), finals

    def _lengths(self, lengths, samples: int, x):
        if lengths is None:
            return absent(INT64)
        lengths = as_tensor(lengths)
        if lengths.dtype.kind not in "iu" or lengths.shape != (samples,):
            got = f"{lengths.dtype} of shape {lengths.shape}"
            raise ValueError(f"{type(self).__name__}: expected lengths as {samples} integers, got {got}")
        return lengths.to(INT64)._data

    def _state(self, state, which: int, samples: int, batched: bool):
        if state is None:
            return None
        state = as_tensor(state)
        width = self.hidden_size if which else self.proj_size or self.hidden_size
        expected = (len(self._names), samples, width) if batched else (len(self._names), width)
        if state.shape != expected:
            raise ValueError(f"{type(self).__name__}: expected a state of shape {expected}, got {state.shape}")
        return state if batched else state.unsqueeze(1)

    def _padded(self, weights):
        """Two weights and two biases, None for those that are not there."""
        return weights[:4] if self.bias else [*weights[:2], None, None]

    def extra_repr(self) -> str:
        said = f"{self.input_size}, {self.hidden_size}"
        defaults = dict(proj_size=0, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False)
        changed = {n: getattr(self, n) for n, default in defaults.items() if getattr(self, n) != default}
        return said + "".join(f", {n}={value}" for n, value in changed.items())


class LSTM(_Recurrent):
    """Layers of long short-term memory.

    i, f, g, o = split(weight_ih x[t] + bias_ih + weight_hh h + bias_hh)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g);  h = sigmoid(o) * tanh(c), projected by weight_hr if proj_size > 0

    Input (T, N, input_size), or (N, T, input_size) with batch_first, or (T, input_size); output the states of the last
    layer (T, N, directions * width), and (h, c) after the last step, (layers * directions, N, width) each. The keyword
    `lengths`, N integers, tells how many steps each sample has: past them the output is 0, the final states are those
    of the last step, and the reverse direction begins there. Parameters as torch.nn.LSTM.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.LSTM(10, 20, num_layers=2)
    >>> y, (h, c) = layer(np.ones((5, 3, 10), np.float32), lengths=[5, 2, 4])
    >>> y.shape, h.shape, c.shape
    ((5, 3, 20), (2, 3, 20), (2, 3, 20))
    >>> layer
    LSTM(10, 20, num_layers=2)
    """

    _gates = 4

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
    ) -> None:
        if not 0 <= proj_size < hidden_size and proj_size:
            raise ValueError(f"LSTM: expected proj_size from 0 to hidden_size - 1, got {proj_size}")
        # Module sets attributes after its own beginnings; parameters are made of this one before
        self.__dict__["proj_size"] = proj_size
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def _run(self, x, states, weights, lengths, reverse):
        projection = weights[-1] if self.proj_size else None
        return LSTMFunction.apply(x, *states, *self._padded(weights), projection, lengths, reverse)

    def forward(self, input, hx=None, *, lengths=None) -> Any:
        if hx is not None and (isinstance(hx, Tensor) or len(hx) != 2):
            raise TypeError("LSTM: expected hx as a pair (h, c)")
        y, finals = self._stack(input, (None, None) if hx is None else hx, lengths)
        return y, tuple(finals)


class GRU(_Recurrent):
    """Layers of gated recurrent units.

    r, z = sigmoid(weight_ih x[t] + bias_ih + weight_hh h + bias_hh)
    n = tanh(weight_in x[t] + bias_in + r * (weight_hn h + bias_hn));  h = (1 - z) * n + z * h

    Shapes and `lengths` as LSTM, with one state. With the keyword `reset_after=False` n is made of weight_hn (r * h)
    instead, as in the paper. Parameters as torch.nn.GRU.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.GRU(10, 20, bidirectional=True)
    >>> y, h = layer(np.ones((5, 3, 10), np.float32))
    >>> y.shape, h.shape
    ((5, 3, 40), (2, 3, 20))
    """

    _gates = 3

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
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.reset_after = bool(reset_after)

    def _run(self, x, states, weights, lengths, reverse):
        return GRUFunction.apply(x, *states, *self._padded(weights), lengths, reverse, self.reset_after)

    def forward(self, input, hx=None, *, lengths=None) -> Any:
        y, (h,) = self._stack(input, (hx,), lengths)
        return y, h

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


class RNN(_Recurrent):
    """Layers of simple recurrent units: h = tanh(weight_ih x[t] + bias_ih + weight_hh h + bias_hh), or relu of it.

    Shapes and `lengths` as LSTM, with one state. Parameters as torch.nn.RNN.

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
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.nonlinearity = nonlinearity

    def _run(self, x, states, weights, lengths, reverse):
        return RNNFunction.apply(x, *states, *self._padded(weights), lengths, reverse, self.nonlinearity == "relu")

    def forward(self, input, hx=None, *, lengths=None) -> Any:
        y, (h,) = self._stack(input, (hx,), lengths)
        return y, h

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}")
