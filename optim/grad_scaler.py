"""Loss scaling: float16 gradients kept from vanishing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..nn.doors import call, device_of, empty
from ..nn.sparse import SparseGradient
from ..nn.tensor import Tensor
from .optimizer import Optimizer

__all__ = ["GradScaler"]

FLOAT64 = np.dtype(np.float64)


class GradScaler:
    """Multiplies the loss, so that float16 gradients do not vanish, and divides the gradients before the step.

        with autocast():
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    init_scale       the first factor
    growth_factor    what it grows by after growth_interval steps without Inf or NaN in the gradients
    backoff_factor   what it shrinks by after a step with one; such a step is left out
    enabled          False: everything is passed on as it is

    `step` reads from the device whether the gradients are finite, once a step; bfloat16 needs no scaling, and so can be
    recorded in a CUDA graph. Names, defaults and state_dict as torch.amp.GradScaler.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if growth_factor <= 1:
            raise ValueError(f"growth_factor: expected more than 1, got {growth_factor}")
        if not 0 < backoff_factor < 1:
            raise ValueError(f"backoff_factor: expected a number between 0 and 1, got {backoff_factor}")
        if init_scale <= 0 or growth_interval < 1:
            raise ValueError(f"expected init_scale > 0 and growth_interval >= 1, got {init_scale}, {growth_interval}")
        self._scale, self._growth, self._backoff = float(init_scale), float(growth_factor), float(backoff_factor)
        self._interval, self._enabled = int(growth_interval), bool(enabled)
        self._good_steps = 0
        # by id of the optimizer: whether its gradients, unscaled since the last update, are finite
        self._unscaled: dict[int, bool] = {}

    def is_enabled(self) -> bool:
        return self._enabled

    def get_scale(self) -> float:
        """The factor; 1 when scaling is off."""
        return self._scale if self._enabled else 1.0

    def scale(self, outputs: Any) -> Any:
        """A loss, or a tuple or list of them, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(map(self.scale, outputs))
        raise TypeError(f"scale: expected a Tensor or a tuple or list of them, got {type(outputs).__name__}")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the optimizer's gradients by the factor: before clipping them. `step` does it if it was not done."""
        if not self._enabled:
            return
        if id(optimizer) in self._unscaled:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update()")
        finite, share = True, 1 / self._scale
        for device, pieces in _pieces(optimizer).items():
            total = empty((1,), FLOAT64, device)
            call("elementwise.fill_forward", total, 0.0)
            for piece in pieces:
                call("gradient_norm.gradient_norm_forward", total, piece, math.inf)
                call("constant.mul_forward", piece, piece, share)
            finite = finite and math.isfinite(Tensor(total).item())
        self._unscaled[id(optimizer)] = finite

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)` on unscaled gradients, unless one of them is Inf or NaN: then nothing, and None."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise RuntimeError("step: closures are not supported with a GradScaler that is enabled")
        if id(optimizer) not in self._unscaled:
            self.unscale_(optimizer)
        return optimizer.step(**kwargs) if self._unscaled[id(optimizer)] else None

    def update(self, new_scale: float | None = None) -> None:
        """Shrink the factor if a step was left out, let it grow after many that were not, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._unscaled:
            raise RuntimeError("update: no gradients were unscaled since the last update(); call step() before")
        elif not all(self._unscaled.values()):
            self._scale, self._good_steps = self._scale * self._backoff, 0
        else:
            self._good_steps += 1
            if self._good_steps == self._interval:
                self._scale, self._good_steps = self._scale * self._growth, 0
        self._unscaled.clear()

    def state_dict(self) -> dict[str, Any]:
        """Everything the scaler knows; empty when it is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth,
            "backoff_factor": self._backoff,
            "growth_interval": self._interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self._enabled:
            return
        missing = [name for name in self.state_dict() if name not in state_dict]
        if missing:
            raise RuntimeError(f"load_state_dict: expected the state of a GradScaler that is on; it lacks {missing}")
        self._scale, self._growth = float(state_dict["scale"]), float(state_dict["growth_factor"])
        self._backoff, self._interval = float(state_dict["backoff_factor"]), int(state_dict["growth_interval"])
        self._good_steps = int(state_dict["_growth_tracker"])


def _pieces(optimizer: Optimizer) -> dict[str, list]:
    """The gradients of an optimizer as 1-D arrays by device."""
    found: dict[str, list] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p._has_grad:
                gradient = p._grad_buffer
                array = gradient.values if type(gradient) is SparseGradient else gradient
                found.setdefault(device_of(array), []).append(array.reshape(-1))
    return found
