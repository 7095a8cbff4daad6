"""RNNCell, LSTMCell and GRUCell: one step, for recurrences of one's own; by torch's names and rules."""

from __future__ import annotations

import math
from typing import Any

from . import init
from .factory import new_parameter
from .module import Module
from .parameter import Parameter
from .recurrent_checks import check_flags, check_integers
from .recurrent_functions import GRUCellFunction, LSTMCellFunction, RNNCellFunction
from .tensor import Tensor, as_tensor

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """What the three have in common: parameters and the checks. num_chunks: how many gates the rows of weights make."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device=None, dtype=None) -> None:
        super().__init__()
        name = type(self).__name__
        check_integers(name, input_size=input_size, hidden_size=hidden_size)
        check_flags(name, bias=bias)
        if hidden_size <= 0:
            raise ValueError(f"{name}: expected hidden_size > 0, got {hidden_size}")
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = new_parameter((rows, input_size), device, dtype)
        self.weight_hh = new_parameter((rows, hidden_size), device, dtype)
        self.register_parameter("bias_ih", new_parameter((rows,), device, dtype) if bias else None)
        self.register_parameter("bias_hh", new_parameter((rows,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform on +-1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, function, input, states, *flags) -> tuple[bool, Any]:
        """Whether the input was a batch, and what the function makes of input and states."""
        x = as_tensor(input)
        shape = x._data.shape
        batched = len(shape) == 2
        if not (batched or len(shape) == 1) or shape[-1] != self.input_size:
            name = type(self).__name__
            raise ValueError(f"{name}: expected an input (N, {self.input_size}) or (D,), got shape {shape}")
        expected = *shape[:-1], self.hidden_size
        given = []
        for state in states:
            if state is not None:
                state = as_tensor(state)
                if state._data.shape != expected:
                    got = state._data.shape
                    raise ValueError(f"{type(self).__name__}: expected a state of shape {expected}, got {got}")
                if not batched:
                    state = state.unsqueeze(0)
            given.append(state)
        if not batched:
            x = x.unsqueeze(0)
        made = function.apply(x, *given, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, *flags)
        return batched, made

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class LSTMCell(RNNCellBase):
    """One step of an LSTM: (h, c) from input (N, input_size) and (h, c), (N, hidden_size) each; or all without N.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> h, c = nn.LSTMCell(10, 20)(np.ones((3, 10), np.float32))
    >>> h.shape, c.shape
    ((3, 20), (3, 20))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None) -> Any:
        if hx is not None and (isinstance(hx, Tensor) or len(hx) != 2):
            raise TypeError("LSTMCell: expected hx as a pair (h, c)")
        batched, (h, c) = self._step(LSTMCellFunction, input, (None, None) if hx is None else hx)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a GRU: h from input (N, input_size) and h (N, hidden_size); or both without N.

    With the keyword `reset_after=False` the reset comes before the product, as in the paper.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.GRUCell(10, 20)(np.ones((3, 10), np.float32)).shape
    (3, 20)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None, *, reset_after: bool = True
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)
        self.reset_after = bool(reset_after)

    def forward(self, input, hx=None) -> Any:
        batched, h = self._step(GRUCellFunction, input, (hx,), self.reset_after)
        return h if batched else h.squeeze(0)


class RNNCell(RNNCellBase):
    """One step of a simple recurrent network: h from input (N, input_size) and h (N, hidden_size); or both without N.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.RNNCell(10, 20, nonlinearity="relu")(np.ones((3, 10), np.float32)).shape
    (3, 20)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device=None,
        dtype=None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None) -> Any:
        batched, h = self._step(RNNCellFunction, input, (hx,), self.nonlinearity == "relu")
        return h if batched else h.squeeze(0)
