"""What recurrent layers have in common: parameters by torch's names, checks, layers and directions stacked."""

from __future__ import annotations

import math
import warnings

import numpy as np

from . import init
from .doors import absent
from .dropout import dropout
from .factory import new_parameter
from .ops.gather import index_select
from .ops.join import cat
from .recurrent_checks import check_flags, check_integers, probability
from .recurrent_options import RecurrentOptions
from .tensor import as_tensor
from .utils.rnn import PackedSequence, pad_packed_sequence, repack

__all__ = ["RNNBase"]

INT64 = np.dtype(np.int64)
# how many gates the rows of the weights make
GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _ordered(states: list, order) -> list:
    """States with their samples in that order; None: as they are."""
    return states if order is None else [s if s is None else index_select(s, 1, order) for s in states]


class RNNBase(RecurrentOptions):
    """What RNN, LSTM and GRU have in common: parameters, the checks, the stack of layers, packed sequences.

    mode  "LSTM", "GRU", "RNN_TANH" or "RNN_RELU"; the other arguments, options too, are those of LSTM
    """

    def __init__(
        self,
        mode: str,
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
        **options,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if mode not in GATES:
            raise ValueError(f"{name}: expected mode as one of {', '.join(GATES)}, got {mode!r}")
        sizes = dict(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, proj_size=proj_size)
        check_integers(name, **sizes)
        check_flags(name, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        if input_size <= 0 or hidden_size <= 0 or num_layers <= 0:
            got = f"{input_size}, {hidden_size} and {num_layers}"
            raise ValueError(f"{name}: expected input_size, hidden_size and num_layers > 0, got {got}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: expected proj_size from 0 to hidden_size - 1, got {proj_size}")
        dropout = probability(name, "dropout", dropout)
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"{name}: dropout acts between layers, and there is only one", stacklevel=3)
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.proj_size, self._gates = proj_size, GATES[mode]
        self._set_options(**options)
        # names of the parameters of each layer and direction
        self._names: list[list[str]] = []
        for layer in range(num_layers):
            for direction in ("", "_reverse") if bidirectional else ("",):
                shapes = {f"{kind}_l{layer}{direction}": shape for kind, shape in self._shapes(layer).items()}
                for parameter, shape in shapes.items():
                    self.register_parameter(parameter, new_parameter(shape, device, dtype))
                self._names.append(list(shapes))
        self.reset_parameters()

    def _shapes(self, layer: int) -> dict[str, tuple]:
        """Of the parameters of a layer, in torch's order; then those of options."""
        rows, width = self._gates * self.hidden_size, self.proj_size or self.hidden_size
        depth = width * (1 + self.bidirectional) if layer else self.input_size
        shapes: dict[str, tuple] = {"weight_ih": (rows, depth), "weight_hh": (rows, width)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return shapes | self._option_shapes()

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform on +-1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)
        self._reset_options()

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
        if isinstance(input, PackedSequence):
            return self._packed(input, states, lengths)
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
        lengths = self._lengths(lengths, samples, x.device)
        states = [self._state(s, i, samples, batched) for i, s in enumerate(states)]
        x, finals = self._layers(x, states, lengths)
        if not batched:
            return x.squeeze(1), [f.squeeze(1) for f in finals]
        return (x.transpose(0, 1) if self.batch_first else x), finals

    def _packed(self, input: PackedSequence, states, lengths):
        """All layers of packed samples, padded meanwhile; the states are in the order they had before packing."""
        name = type(self).__name__
        if lengths is not None:
            raise ValueError(f"{name}: a PackedSequence has its lengths; expected no others")
        if input.data.shape[1:] != (self.input_size,):
            raise ValueError(f"{name}: expected packed data (M, {self.input_size}), got shape {input.data.shape}")
        # the longest first, as they lie: neighbours end at much the same step, where the kernels leave off
        x, lengths = pad_packed_sequence(PackedSequence(input.data, input.batch_sizes))
        states = [self._state(s, i, x.shape[1], True) for i, s in enumerate(states)]
        lengths = lengths.to(device=x.device)._data
        y, finals = self._layers(x, _ordered(states, input.sorted_indices), lengths)
        return repack(y, input), _ordered(finals, input.unsorted_indices)

    def _layers(self, x, states, lengths) -> tuple:
        """All layers of x (T, N, D)."""
        directions, acting = 1 + self.bidirectional, self._options_act()
        ends: list[tuple] = []
        for layer in range(self.num_layers):
            results = []
            for direction in range(directions):
                k = layer * directions + direction
                weights = [getattr(self, n) for n in self._names[k]]
                # slices keep their dimension, and a single layer takes and gives states as they are
                start = states if len(self._names) == 1 else [s if s is None else s[k : k + 1] for s in states]
                if x.dtype != weights[0].dtype:
                    raise TypeError(f"{type(self).__name__}: expected an input of {weights[0].dtype}, got {x.dtype}")
                if acting:
                    named = dict(zip(self._shapes(layer), weights, strict=True))
                    start = [s if s is None else s.squeeze(0) for s in start]
                    y, *final = self._run_with_options(x, start, named, lengths, direction == 1)
                    final = [f.unsqueeze(0) for f in final]
                else:
                    y, *final = self._run(x, start, weights, lengths, direction == 1)
                results.append(y)
                ends.append(tuple(final))
            x = results[0] if directions == 1 else cat(results, 2)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = dropout(x, self.dropout)
        return x, [f[0] if len(f) == 1 else cat(f) for f in zip(*ends, strict=True)]

    def _lengths(self, lengths, samples: int, device: str):
        if lengths is None:
            return absent(INT64)
        lengths = as_tensor(lengths)
        # an empty list is one of floats
        if lengths.shape != (samples,) or (samples and lengths.dtype.kind not in "iu"):
            got = f"{lengths.dtype} of shape {lengths.shape}"
            raise ValueError(f"{type(self).__name__}: expected lengths as {samples} integers, got {got}")
        return lengths.to(device, INT64)._data

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
        return said + "".join(f", {n}={value}" for n, value in changed.items()) + self._options_repr()
