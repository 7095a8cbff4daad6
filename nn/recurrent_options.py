"""What options add to recurrent layers: checks, parameters, random masks, the way through the kernels with options.

A layer none of whose options acts in a call goes the way of the plain kernels, which know nothing of them.
"""

from __future__ import annotations

from typing import Any

from . import init
from .creation import arange
from .module import Module
from .ops.select import masked_fill
from .recurrent_checks import check_flags, probability
from .recurrent_option_functions import (
    GRUOptionsFunction,
    LSTMOptionsFunction,
    RNNOptionsFunction,
    dropout_mask,
    input_part,
    zones,
)
from .tensor import Tensor

__all__ = ["RecurrentOptions"]


class RecurrentOptions(Module):
    """The part of RNNBase that deals with options."""

    mode: str
    hidden_size: int
    proj_size: int
    bias: bool
    zoneout: Any
    reset_after: bool
    _gates: int

    def _set_options(self, layer_norm=False, peepholes=False, recurrent_dropout=0.0, zoneout=0.0) -> None:
        name, pair = type(self).__name__, isinstance(zoneout, (tuple, list))
        check_flags(name, layer_norm=layer_norm, peepholes=peepholes)
        lstm = self.mode == "LSTM"
        if peepholes and not lstm:
            raise ValueError(f"{name}: peepholes look at the cell of an LSTM; {self.mode} has none")
        if pair and not (lstm and len(zoneout) == 2):
            expected = "a probability or a pair of them, of h and c" if lstm else "a probability"
            raise ValueError(f"{name}: expected zoneout as {expected}, got {zoneout!r}")
        self.layer_norm, self.peepholes = layer_norm, peepholes
        self.recurrent_dropout = probability(name, "recurrent_dropout", recurrent_dropout)
        each = tuple(probability(name, "zoneout", z) for z in (zoneout if pair else (zoneout, zoneout)))
        self.zoneout = each if pair and any(each) else each[0]

    def _option_shapes(self) -> dict[str, tuple]:
        """Of the parameters of a layer that options add."""
        shapes: dict[str, tuple] = {}
        rows, hidden = self._gates * self.hidden_size, self.hidden_size
        if self.layer_norm:
            shapes |= {"gain_ih": (rows,), "gain_hh": (rows,)}
            if self.mode == "LSTM":
                shapes |= {"gain_c": (hidden,)} | ({"bias_c": (hidden,)} if self.bias else {})
        return shapes | ({"weight_peephole": (3 * hidden,)} if self.peepholes else {})

    def _reset_options(self) -> None:
        """Gains of 1; the normalised cell is not shifted."""
        for name, parameter in self.named_parameters():
            if name.startswith("gain_"):
                init.ones_(parameter)
            elif name.startswith("bias_c_"):
                init.zeros_(parameter)

    def _options_act(self) -> Any:
        """Whether this call needs the kernels with options."""
        return self.layer_norm or self.peepholes or self.zoneout or (self.recurrent_dropout and self.training)

    def _run_with_options(self, x, states, w: dict, lengths, reverse: bool) -> tuple:
        """One layer in one direction. w: its parameters by kind."""
        hidden, dtype, device = self.hidden_size, x.dtype, x.device
        shape = (x.shape[1], self.proj_size or hidden)
        zone_h, zone_c = self.zoneout if isinstance(self.zoneout, tuple) else (self.zoneout, self.zoneout)
        mask = dropout_mask(shape, dtype, device, self.recurrent_dropout if self.training else 0.0)
        zone = zones((x.shape[0], *shape), dtype, device, zone_h, self.training)
        parts = (2 * hidden, hidden) if self.mode == "GRU" else (self._gates * hidden,)
        if lengths.size:
            # padding may hold NaN, which 0 times its gradient would spread
            x = masked_fill(x, arange(x.shape[0], device=device)[:, None, None] >= Tensor(lengths)[:, None], 0.0)
        given = input_part(x, w["weight_ih"], w.get("bias_ih"), w.get("gain_ih"), parts)
        common = given, *states, w["weight_hh"], w.get("bias_hh")
        if self.mode != "LSTM":
            rest = *common, w.get("gain_hh"), mask, zone, lengths, reverse
            if self.mode == "GRU":
                return GRUOptionsFunction.apply(*rest, self.reset_after)
            return RNNOptionsFunction.apply(*rest, self.mode == "RNN_RELU")
        cells = zones((*x.shape[:2], hidden), dtype, device, zone_c, self.training)
        kinds = "weight_hr", "gain_hh", "gain_c", "bias_c", "weight_peephole"
        return LSTMOptionsFunction.apply(*common, *map(w.get, kinds), mask, zone, cells, lengths, reverse)

    def _options_repr(self) -> str:
        defaults = dict(layer_norm=False, peepholes=False, recurrent_dropout=0.0, zoneout=0.0)
        changed = {n: getattr(self, n) for n, default in defaults.items() if getattr(self, n) != default}
        return "".join(f", {n}={value}" for n, value in changed.items())
