"""What the test_loss_*.py files share: a case is a loss kernel, a way to make its arguments, and PyTorch's twin.

Arguments of every loss: loss, one gradient for each of the first inputs, the inputs, scalars, the reduction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from helpers import TOLERANCE, Backend, agree, arguments_of, close, finite_difference, poison

REDUCTIONS = ("none", "mean", "sum")


@dataclass
class Case:
    path: str
    make: Callable  # (rng, shape) -> inputs as the kernel takes them, float64
    torch: Callable | None = None  # (torch.nn.functional, *inputs, reduction=) -> loss
    scalars: tuple = ()
    name: str = ""
    tol: float = 1.0  # times the usual tolerance, with the reason where it is given

    def __str__(self):
        return self.name or self.path.split(".")[1].removesuffix("_forward")

    @property
    def gradients(self):
        """How many of the inputs have a gradient."""
        return sum(a.role == "out" for a in arguments_of(self.path)) - 1

    def inputs(self, rng, shape, dtype=np.float64):
        made = self.make(rng, shape)
        return [a.astype(dtype) if a.dtype.kind == "f" else a for a in made]


def samples(path, x):
    """Values of an unreduced loss: elements, rows, or rows and trailing positions."""
    dims = next(a for a in arguments_of(path)[1:] if a.is_array).dims
    return x.size if dims == ("...",) else x.shape[0] * (x.shape[2] if len(dims) == 3 else 1)


def evaluate(backend, case, inputs, reduction, gradients=True):
    """(loss, gradients) of one call on fresh poisoned outputs."""
    code = REDUCTIONS.index(reduction)
    x = inputs[0]
    loss = poison(samples(case.path, x) if reduction == "none" else 1, x.dtype)
    grads = [poison(a.shape if gradients else 0, x.dtype) for a in inputs[: case.gradients]]
    backend(case.path, loss, *grads, *inputs, *case.scalars, code)
    return loss, grads


def check_backend(backend, case, rng, shape, dtype):
    """Against ref in float64: with all gradients, with each alone, with none."""
    inputs = case.inputs(rng, shape, dtype)
    tol = case.tol * TOLERANCE[dtype]
    for code, reduction in enumerate(REDUCTIONS):
        loss = poison(samples(case.path, inputs[0]) if reduction == "none" else 1, dtype)
        if loss.size and reduction == "mean" and samples(case.path, inputs[0]) == 0:
            assert np.isnan(evaluate(backend, case, inputs, reduction)[0])
            continue
        k = case.gradients
        for wanted in {tuple(range(k)), (), *((i,) for i in range(k))}:
            grads = [np.empty(a.shape if i in wanted else 0, dtype) for i, a in enumerate(inputs[:k])]
            agree(backend, case.path, loss, *grads, *inputs, *case.scalars, code, tol=tol)


def check_finite_difference(case, rng, shape):
    """The gradients that ref leaves are the slopes of the loss it computes, for random upstream gradients too."""
    ref = Backend("ref")
    inputs = case.inputs(rng, shape)
    for reduction in REDUCTIONS:
        loss, grads = evaluate(ref, case, inputs, reduction)
        dloss = rng.standard_normal(loss.shape)
        for i, saved in enumerate(grads):
            if saved.size == 0:
                continue
            got = upstream(ref, saved, dloss)

            def scalar(reduction=reduction, dloss=dloss):
                return float(evaluate(ref, case, inputs, reduction, gradients=False)[0] @ dloss)

            # central differences at 1e-5 of functions of order one: 1e-10 of truncation, 1e-11 / 1e-5 of rounding
            close(got, finite_difference(scalar, inputs[i]), 1e-6, f"{case} gradient {i} {reduction}")


def upstream(backend, saved, dloss):
    """loss_backward for a saved gradient of any of the three layouts."""
    flat = saved.reshape(saved.shape if saved.ndim == 3 else (dloss.size, -1, 1) if dloss.size > 1 else (1, -1, 1))
    dx = poison(flat.shape, saved.dtype)
    backend("loss.loss_backward", dx, dloss, flat)
    return dx.reshape(saved.shape)


def check_torch(torch, case, rng, shape):
    """ref in float64 agrees with PyTorch, value and gradients."""
    inputs = case.inputs(rng, shape)
    for reduction in REDUCTIONS:
        loss, grads = evaluate(Backend("ref"), case, inputs, reduction)
        tensors = [torch.from_numpy(a.copy()) for a in inputs]
        for t in tensors[: case.gradients]:
            t.requires_grad_()
        try:
            want = case.torch(torch.nn.functional, *tensors, reduction=reduction)
        except RuntimeError as refusal:
            if "is not differentiable with respect to argument" not in str(refusal):
                raise
            for t in tensors[1:]:
                t.requires_grad_(False)
            want = case.torch(torch.nn.functional, *tensors, reduction=reduction)
        close(loss, want.detach().numpy().reshape(loss.shape), 1e-12, f"{case} {reduction}")
        want.sum().backward()
        for i, (got, t) in enumerate(zip(grads, tensors, strict=False)):
            if t.grad is not None:
                close(got, t.grad.numpy(), 1e-11, f"{case} gradient {i} {reduction}")
