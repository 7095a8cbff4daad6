"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..nn.doors import call, device_of, empty, lasting, to_host
from ..nn.sparse import SparseGradient
from ..nn.state_dict import as_tensor
from ..nn.tape import enable_grad
from ..nn.tensor import Tensor
from . import checks, state_dict
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer

FLOAT64 = np.dtype(np.float64)
# below this y @ s a pair says nothing about curvature
CURVATURE = 1e-10


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
            self.differences, self.steps = (lasting((pairs + 1, like.size), like.dtype) for _ in range(2))
            self.rho = lasting((pairs + 1,), FLOAT64)
            self.first, self.count = 0, len(kept)
            for i, pair in enumerate(kept):
                for ring, value in zip((self.differences, self.steps, self.rho), pair, strict=True):
                    call("elementwise.copy_forward", ring[i : i + 1].reshape(-1), value)

    def direction(self, grad: Any) -> Any:
        """The direction from where the gradient is `grad`, after a look at what the last move changed."""
        self.n_iter += 1
        if self.n_iter > 1:
            self._look(grad)
        d = empty(grad.shape, grad.dtype)
        rings = (self.differences, self.steps, self.rho)
        call("lbfgs.direction_forward", d, grad, *rings, self.first, self.count, self.scale)
        return d

    def _look(self, grad: Any) -> None:
        rows = len(self.rho)
        k = (self.first + self.count) % rows
        products = empty((2,), FLOAT64)
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
        self.rho = _stacked("ro", kept["ro"], empty((1,), FLOAT64)).reshape(-1)
        self.count = counts[0]
        self.fit(like, pairs)


def _copied(name: str, value: Any, like: Any) -> Any:
    array = as_tensor(f"state {name}", value).to(device_of(like)).data.reshape(-1)
    if array.size != like.size:
        raise ValueError(f"state of LBFGS: {name}: expected {like.size} numbers, got {array.size}")
    copy = lasting(like.shape, like.dtype)
    call("elementwise.copy_forward", copy, array)
    return copy


def _stacked(name: str, values: list, like: Any) -> Any:
    rows = lasting((len(values) + 1, like.size), like.dtype)
    for i, value in enumerate(values):
        call("elementwise.copy_forward", rows[i : i + 1].reshape(-1), _copied(name, value, like))
    return rows


def _dot(a: Any, b: Any) -> float:
    total = empty((1,), FLOAT64)
    call("lbfgs.dot_forward", total, a, b)
    return to_host(total).item()


def _norm(x: Any, order: float) -> float:
    total = empty((1,), FLOAT64)
    call("elementwise.fill_forward", total, 0.0)
    call("gradient_norm.gradient_norm_forward", total, x, order)
    return to_host(total).item()


def _largest(x: Any) -> float:
    return _norm(x, float("inf"))
