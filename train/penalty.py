"""L1 and L2 penalties of a model's weights, as an operation on the tape."""

from __future__ import annotations

from ..nn.doors import call, empty
from ..nn.tape import Function
from ..nn.tensor import Tensor


class _Penalty(Function):
    @staticmethod
    def forward(ctx, w, l1, l2):
        value = empty((1,), w.dtype, ctx.device)
        call("penalty.penalty_forward", value, w, l1, l2)
        ctx.save(w)
        ctx.factors = (l1, l2)
        return value.reshape(())

    @staticmethod
    def backward(ctx, dvalue):
        (w,) = ctx.saved
        dw, accumulate = ctx.grad_into(0)
        call("penalty.penalty_backward", dw, dvalue.reshape(1), w, *ctx.factors, accumulate)
        return dw, None, None


def weights_of(model) -> list:
    """What a penalty applies to: trainable parameters with two dimensions or more (weights, not biases or scales)."""
    return [p for p in model.parameters() if p.requires_grad and p.dim() > 1]


def penalty(weights: list, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """l1 * sum |w| + l2 * sum w**2 over all weights: a Tensor to add to the loss."""
    if not weights:
        raise ValueError("penalty: expected at least one weight, got none")
    total, *parts = [_Penalty.apply(w, float(l1), float(l2)) for w in weights]
    for part in parts:
        total = total + part
    return total
