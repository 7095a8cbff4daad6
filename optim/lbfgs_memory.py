"""What L-BFGS keeps from step to step: the last direction and gradient, and pairs of what followed from moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..nn.doors import call, device_of, empty, lasting, to_host
from ..nn.state_dict import as_tensor
from ..nn.tensor import Tensor

FLOAT64 = np.dtype(np.float64)
# below this y @ s a pair says nothing about curvature
CURVATURE = 1e-10


class Memory:
    """What L-BFGS keeps: the last direction and gradient, and a ring of pairs with room for a candidate."""

    def __init__(self) -> None:
        self.n_iter = self.func_evals = 0
        # of the last iteration: direction, its length, and the gradient and loss before it
        self.d: Any = None
        self.t, self.loss = 0.0, 0.0
        self.previous: Any = None
        # pair i is row (first + i) % len(rho)
        self.differences: Any = None
        self.steps: Any = None
        self.rho: Any = None
        self.first = self.count = 0
        self.scale = 1.0

    def fit(self, like: Any, pairs: int) -> None:
        """Make room for that many pairs of vectors such as `like`; those there are stay, if they are such vectors."""
        if self.d is not None and (self.d.shape, self.d.dtype, device_of(self.d)) != (
            like.shape,
            like.dtype,
            device_of(like),
        ):
            self.__init__()  # type: ignore[misc]  # other parameters: all begins anew
        if self.rho is None or len(self.rho) != pairs + 1:
            kept = list(self._pairs())[-pairs:]
            shape, device = (pairs + 1, like.size), device_of(like)
            self.differences, self.steps = (lasting(shape, like.dtype, device) for _ in range(2))
            self.rho = lasting((pairs + 1,), FLOAT64, device)
            self.first, self.count = 0, len(kept)
            for i, pair in enumerate(kept):
                for ring, value in zip((self.differences, self.steps, self.rho), pair, strict=True):
                    call("elementwise.copy_forward", ring[i : i + 1].reshape(-1), value)

    def direction(self, grad: Any) -> Any:
        """The direction from where the gradient is `grad`, after a look at what the last move changed."""
        self.n_iter += 1
        if self.n_iter > 1:
            self._look(grad)
        d = empty(grad.shape, grad.dtype, device_of(grad))
        rings = (self.differences, self.steps, self.rho)
        call("lbfgs.direction_forward", d, grad, *rings, self.first, self.count, self.scale)
        return d

    def _look(self, grad: Any) -> None:
        rows = len(self.rho)
        k = (self.first + self.count) % rows
        products = empty((2,), FLOAT64, device_of(grad))
        arrays = (self.differences[k], self.steps[k], self.rho[k : k + 1], products, grad, self.previous, self.d)
        call("lbfgs.memory_forward", *arrays, self.t)
        along, square = to_host(products).tolist()
        if along > CURVATURE:
            self.scale = along / square
            if self.count < rows - 1:
                self.count += 1
            else:
                self.first = (self.first + 1) % rows

    def _pairs(self):
        for i in range(self.count):
            k = (self.first + i) % len(self.rho)
            yield self.differences[k], self.steps[k], self.rho[k : k + 1]

    # ---- as torch's state

    def collect(self) -> dict[str, Any]:
        if self.func_evals == 0:
            return {}
        kept: dict[str, Any] = {"func_evals": self.func_evals, "n_iter": self.n_iter}
        if self.d is None:
            return kept
        pairs = list(self._pairs())
        return kept | {
            "d": Tensor(self.d),
            "t": self.t,
            "old_dirs": [Tensor(y) for y, _, _ in pairs],
            "old_stps": [Tensor(s) for _, s, _ in pairs],
            "ro": [Tensor(rho.reshape(())) for _, _, rho in pairs],
            "H_diag": self.scale,
            "prev_flat_grad": Tensor(self.previous),
            "prev_loss": self.loss,
        }

    def load(self, kept: Mapping[str, Any], like: Any, pairs: int) -> None:
        self.func_evals, self.n_iter = int(kept["func_evals"]), int(kept["n_iter"])
        if kept.get("d") is None:
            return
        self.t, self.scale, self.loss = float(kept["t"]), float(kept["H_diag"]), float(kept["prev_loss"])
        self.d, self.previous = (_copied(name, kept[name], like) for name in ("d", "prev_flat_grad"))
        counts = [len(kept[name]) for name in ("old_dirs", "old_stps", "ro")]
        if len(set(counts)) != 1:
            raise ValueError(f"state of LBFGS: expected as many old_dirs as old_stps and ro, got {counts}")
        self.differences, self.steps = (_stacked(name, kept[name], like) for name in ("old_dirs", "old_stps"))
        self.rho = _stacked("ro", kept["ro"], empty((1,), FLOAT64, device_of(like))).reshape(-1)
        self.count = counts[0]
        self.fit(like, pairs)


def _copied(name: str, value: Any, like: Any) -> Any:
    array = as_tensor(f"state {name}", value).to(device_of(like)).data.reshape(-1)
    if array.size != like.size:
        raise ValueError(f"state of LBFGS: {name}: expected {like.size} numbers, got {array.size}")
    copy = lasting(like.shape, like.dtype, device_of(like))
    call("elementwise.copy_forward", copy, array)
    return copy


def _stacked(name: str, values: list, like: Any) -> Any:
    rows = lasting((len(values) + 1, like.size), like.dtype, device_of(like))
    for i, value in enumerate(values):
        call("elementwise.copy_forward", rows[i : i + 1].reshape(-1), _copied(name, value, like))
    return rows
