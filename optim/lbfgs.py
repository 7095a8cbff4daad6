"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..nn.doors import call, device_of, empty, to_host
from ..nn.sparse import SparseGradient
from ..nn.tape import enable_grad
from . import checks, state_dict
from .lbfgs_memory import Memory
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer

FLOAT64 = np.dtype(np.float64)


class LBFGS(Optimizer):
    """Limited-memory BFGS; arguments, defaults and formulas as torch.optim.LBFGS.

    A step is up to max_iter iterations, each with one or more calls of the closure:

    y = g[k] - g[k-1];   s = t[k-1] * d[k-1];   kept when y @ s > 1e-10, the last history_size pairs
    d[k] = -H g[k], where H is the inverse Hessian that the pairs imply, from (y @ s) / (y @ y) times identity
    p[k+1] = p[k] + t[k] * d[k]
    t[k] = lr, at the first iteration of all min(1, 1 / sum|g|) * lr; with line_search_fn="strong_wolfe" only the
    first distance tried: the search goes on until both Wolfe conditions hold (c1 = 1e-4, c2 = 0.9)

    The step ends after max_iter iterations or max_eval evaluations (default: max_iter * 5 // 4), when max|g| <=
    tolerance_grad, when the slope g @ d > -tolerance_change, or when loss or parameters changed by less than
    tolerance_change. There is no eps. All parameters are one vector, in one group, of one dtype, on one device; those
    without a gradient count as having zeros. The state of the optimizer is kept as that of the first parameter: d, t,
    old_dirs (y), old_stps (s), ro (1 / (y @ s)), H_diag, prev_flat_grad, prev_loss, n_iter, func_evals.

    >>> from hotloop import nn, optim, tensor
    >>> x = nn.Parameter(tensor([3.0]))
    >>> optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((x - 1.0) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), x.item()
    (4.0, 1.0)
    """

    hyper = ("lr",)
    counters: ClassVar[dict[str, float]] = {}

    def __init__(
        self,
        params: Iterable,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ):
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        self._memory = Memory()
        super().__init__(params, defaults)

    @staticmethod
    def check(group):
        if group.get("constraint") is not None:
            raise ValueError("LBFGS does not support constraint: its searches need the parameters where they put them")
        checks.not_negative(group, "lr", "tolerance_grad", "tolerance_change")
        for name in ("max_iter", "max_eval", "history_size"):
            if not isinstance(group[name], int) or group[name] < 1:
                raise ValueError(f"Invalid {name} value: {group[name]!r}; expected a whole number >= 1")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"line_search_fn: expected None or 'strong_wolfe', got {group['line_search_fn']!r}")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups); expected one group")
        super().add_param_group(param_group)

    # ---- the parameters as one vector

    def _vector(self) -> Any:
        block = self.param_groups[0].blocks[0]
        return empty((sum(p._data.size for p in block.parameters),), block.dtype, block.device)

    def _pieces(self, *vectors):
        """(parameter, its piece of each vector)"""
        begin = 0
        for p in self.param_groups[0].blocks[0].parameters:
            end = begin + p._data.size
            yield p, *(v[begin:end] for v in vectors)
            begin = end

    def _parameters(self) -> Any:
        x = self._vector()
        for p, piece in self._pieces(x):
            call("elementwise.copy_forward", piece, p._data.reshape(-1))
        return x

    def _gradient(self) -> Any:
        grad = self._vector()
        for p, piece in self._pieces(grad):
            if p._has_grad:
                given = p._grad_buffer
                whole = given.to_dense() if type(given) is SparseGradient else given
                call("elementwise.copy_forward", piece, whole.reshape(-1))
            else:
                call("elementwise.fill_forward", piece, 0.0)
        return grad

    def _move(self, x: Any, d: Any, t: float) -> None:
        """p = x + t * d"""
        for p, start, along in self._pieces(x, d):
            call("lbfgs.move_forward", p._data.reshape(-1), start, along, t)
            p._version[0] += 1

    # ---- the step

    def step(self, closure: Callable[[], Any] | None = None, *, zero_grad: bool = False) -> Any:
        """Some iterations; gives what `closure`, which computes loss and gradients anew, returned first."""
        if closure is None:
            raise TypeError("LBFGS.step: expected a closure that computes the loss and its gradients anew")
        self.stepped = True
        group, memory = self.param_groups[0], self._memory

        def evaluate() -> tuple[Any, float, Any]:
            with enable_grad():
                loss = closure()
            if loss is None:
                raise TypeError("LBFGS.step: expected closure to return the loss, got None")
            self._settle()
            return loss, float(loss), self._gradient()

        result, loss, grad = evaluate()
        memory.func_evals += 1
        evaluations = 1
        if _largest(grad) <= group["tolerance_grad"]:
            if zero_grad:
                self.zero_grad()
            return result
        memory.fit(grad, group["history_size"])
        for iteration in range(1, group["max_iter"] + 1):
            d = memory.direction(grad)
            t = group["lr"] * (min(1.0, 1.0 / _norm(grad, 1.0)) if memory.n_iter == 1 else 1.0)
            before = loss
            slope = _dot(grad, d)
            memory.previous, memory.d, memory.t, memory.loss = grad, d, t, loss
            if slope > -group["tolerance_change"]:
                break
            x = self._parameters()
            largest, made = _largest(d), 0
            if group["line_search_fn"]:

                def at(t: float, x=x, d=d) -> Point:
                    self._move(x, d, t)
                    _, loss, grad = evaluate()
                    return Point(t, loss, _dot(grad, d), grad)

                start, budget = Point(0.0, loss, slope, grad), group["max_eval"] - evaluations
                point, made = strong_wolfe(at, start, t, largest, group["tolerance_change"], budget)
                t, loss, grad = point.t, point.loss, point.grad
                self._move(x, d, t)
            else:
                self._move(x, d, t)
                # after the last iteration nobody would use it
                if iteration != group["max_iter"]:
                    _, loss, grad = evaluate()
                    made = 1
            memory.t = t
            evaluations += made
            memory.func_evals += made
            if (
                evaluations >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or largest * t <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        if zero_grad:
            self.zero_grad()
        return result

    def _settle(self) -> None:
        """Bring the flat buffers up to date, and refuse what is no single vector."""
        group = self.param_groups[0]
        if group.pending or not all(p._data is place.data for p, place in self._laid()):
            self._lay(group)
        if group.pending or len(group.blocks) != 1:
            got = "uninitialized ones" if group.pending else f"{len(group.blocks)} kinds"
            raise ValueError(f"LBFGS: expected initialized parameters of one dtype on one device, got {got}")

    def _laid(self):
        for block in self.param_groups[0].blocks:
            yield from zip(block.parameters, block.places, strict=True)

    # ---- state

    @property
    def state(self) -> dict:
        kept = self._memory.collect()
        return {self.param_groups[0]["params"][0]: kept} if kept else {}

    def state_dict(self) -> dict[str, Any]:
        """As torch's: the state of the optimizer as that of parameter 0."""
        kept = self._memory.collect()
        return {**state_dict.collect(self), "state": {0: kept} if kept else {}}

    def _load_state(self, state: Mapping[int, Mapping[str, Any]], options: list[dict] | None = None) -> None:
        rows = {**self.param_groups[0], **(options or [{}])[0]}["history_size"]
        memory = Memory()
        if state.get(0):
            self._settle()
            memory.load(state[0], self._vector(), rows)
        state_dict.set_options(self, options)
        self._memory = memory

    def __getstate__(self) -> dict[str, Any]:
        # what it holds is in the state
        return {**super().__getstate__(), "_memory": Memory()}


def _dot(a: Any, b: Any) -> float:
    total = empty((1,), FLOAT64, device_of(a))
    call("lbfgs.dot_forward", total, a, b)
    return to_host(total).item()


def _norm(x: Any, order: float) -> float:
    total = empty((1,), FLOAT64, device_of(x))
    call("elementwise.fill_forward", total, 0.0)
    call("gradient_norm.gradient_norm_forward", total, x, order)
    return to_host(total).item()


def _largest(x: Any) -> float:
    return _norm(x, float("inf"))
