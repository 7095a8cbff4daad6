"""Small differentiable operations to test the tape with, and how to start backward on several values."""

import numpy as np
from hotloop.nn.doors import call, empty
from hotloop.nn.tape import Function
from hotloop.nn.tensor import Tensor

F32 = np.dtype(np.float32)


class Mul(Function):
    """y = a * b; writes into the leaf's own gradient where it can, if it has nothing to add to."""

    @staticmethod
    def forward(ctx, a, b):
        y = empty(a.shape, a.dtype, ctx.device)
        call("elementwise.mul_forward", y, a, b)
        ctx.save(a, b)
        return y

    @staticmethod
    def backward(ctx, dy):
        a, b = ctx.saved
        grads = []
        for i, other in enumerate((b, a)):
            d, accumulate = ctx.grad_into(i)
            if not ctx.needs[i]:
                assert d.size == 0 and not accumulate
            elif accumulate:
                product = empty(dy.shape, dy.dtype, ctx.device)
                call("elementwise.mul_forward", product, dy, other)
                call("elementwise.add_forward", d, d, product)
            else:
                call("elementwise.mul_forward", d, dy, other)
            grads.append(d)
        return tuple(grads)


class Add(Function):
    """y = a + b; saves nothing, and gives one array as both gradients."""

    @staticmethod
    def forward(ctx, a, b):
        y = empty(a.shape, a.dtype, ctx.device)
        call("elementwise.add_forward", y, a, b)
        return y

    @staticmethod
    def backward(ctx, dy):
        return dy, dy


class Transpose(Function):
    strided = True

    @staticmethod
    def forward(ctx, x):
        return x.T

    @staticmethod
    def backward(ctx, dy):
        assert dy.flags.c_contiguous
        return dy.T


class Flat(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.shape = x.shape
        return x.reshape(-1)

    @staticmethod
    def backward(ctx, dy):
        return dy.reshape(ctx.shape)


class Halves(Function):
    """Two outputs that are views, and an integer one."""

    @staticmethod
    def forward(ctx, x):
        n = len(x) // 2
        order = empty((2,), np.int64, ctx.device)
        call("elementwise.fill_forward", order, 7.0)
        return x[:n], x[n:], order

    @staticmethod
    def backward(ctx, da, db, dorder):
        assert dorder is None
        n = sum(shape[0] for shape, _ in ctx.outputs[:2])
        dx = empty((n,), F32, ctx.device)
        call("elementwise.fill_forward", dx, 0.0)
        for part, place in zip((da, db), (dx[: n // 2], dx[n // 2 :]), strict=True):
            if part is not None:
                call("elementwise.copy_forward", place, part)
        return dx


def leaf(*values, cls=Tensor):
    return cls(np.array(values, np.float32), requires_grad=True)


ONES = np.ones(2, np.float32)


def backward(tensor):
    tensor.backward(np.ones(tensor.shape, np.float32))
