"""The tape and what changes around it: arrays changed in place, hooks, nn.grad."""

import gc
import weakref

import numpy as np
import pytest
from hotloop.nn.doors import call, empty
from hotloop.nn.engine import grad
from hotloop.nn.parameter import Parameter
from hotloop.nn.tape import Function, no_grad
from hotloop.nn.tensor import Tensor
from toys import ONES, Add, Flat, Mul, backward, leaf

# ---- saved tensors and changes in place


def change(tensor):
    with no_grad():
        array = tensor._writable()
    call("elementwise.add_forward", array, array, array)


@pytest.mark.parametrize("which", ["leaf", "view of it", "view before", "detached", "copy_", "data of a parameter"])
def test_a_saved_tensor_must_not_change(which):
    x = leaf(1, 2, cls=Parameter)
    before = Flat.apply(x)
    y = Mul.apply(x, x)
    if which == "copy_":
        with no_grad():
            x.copy_([1.0, 1.0])
    elif which == "data of a parameter":
        x.data = np.zeros(2, np.float32)
    else:
        change({"leaf": x, "view of it": Flat.apply(x), "view before": before, "detached": x.detach()}[which])
    with pytest.raises(RuntimeError, match=r"Mul needs was changed in place.* expected version 0, got 1"):
        y.backward(ONES)


def test_a_saved_view_or_output_must_not_change():
    class SaveView(Function):
        @staticmethod
        def forward(ctx, x):
            rows = x.reshape(1, -1)
            y = empty(x.shape, x.dtype, ctx.device)
            call("elementwise.copy_forward", y, x)
            ctx.save(rows[:, 1:])
            return y

        @staticmethod
        def backward(ctx, dy):
            return dy

    class SaveOutput(Function):
        @staticmethod
        def forward(ctx, x):
            y = empty(x.shape, x.dtype, ctx.device)
            call("elementwise.copy_forward", y, x)
            ctx.save(y)
            return y

        @staticmethod
        def backward(ctx, dy):
            return dy

    x = leaf(1, 2)
    y = SaveView.apply(x)
    change(x)
    with pytest.raises(RuntimeError, match="SaveView"):
        y.backward(ONES)
    y = SaveOutput.apply(x)
    change(y)
    with pytest.raises(RuntimeError, match="SaveOutput"):
        y.backward(ONES)


def test_what_backward_does_not_need_may_change():
    x, other = leaf(1, 2), leaf(1, 2)
    y = Add.apply(x, x)
    change(x)
    backward(y)
    # slices of one buffer are told apart
    flat = np.ones(4, np.float32)
    a, b = Parameter(flat[:2]), Parameter(flat[2:])
    y = Mul.apply(Flat.apply(a), other)
    change(b)
    backward(y)
    np.testing.assert_array_equal(a.grad, [1, 2])


# ---- hooks


def test_hooks_see_and_replace_the_whole_gradient():
    x = leaf(1, 2)
    h = Mul.apply(x, x)
    seen = []
    first = h.register_hook(lambda g: seen.append(g.copy()))
    h.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: seen.append(g.copy()))
    x.register_hook(lambda g: Tensor(-g))
    Add.apply(h, h).backward(ONES, retain_graph=True)
    np.testing.assert_array_equal(seen, [[2, 2], [40, 80]])
    np.testing.assert_array_equal(x.grad, [-40, -80])
    first.remove()
    h.backward(ONES)
    assert len(seen) == 3
    np.testing.assert_array_equal(x.grad, [-60, -120])


def test_hooks_of_a_leaf_run_once_on_the_sum():
    x = leaf(1, 2)
    calls = []
    handle = x.register_hook(calls.append)
    backward(Add.apply(Mul.apply(x, x), Add.apply(x, x)))
    assert len(calls) == 1
    np.testing.assert_array_equal(x.grad, [4, 6])
    handle.remove()
    backward(x)
    assert len(calls) == 1


def test_hooks_must_keep_the_shape():
    x = leaf(1, 2)
    x.register_hook(lambda g: g[:1])
    with pytest.raises(RuntimeError, match=r"expected a gradient of shape \(2,\), got \(1,\)"):
        backward(x)
    with pytest.raises(RuntimeError, match="does not require"):
        Tensor(ONES).register_hook(print)


def test_retain_grad():
    x = leaf(1, 2)
    h = Mul.apply(x, x)
    h.retain_grad()
    h.register_hook(lambda g: g * 2)
    assert h.retains_grad
    Add.apply(h, h).backward(ONES, retain_graph=True)
    np.testing.assert_array_equal(h.grad, [4, 4])
    h.backward(ONES)
    np.testing.assert_array_equal(h.grad, [6, 6])
    alive = weakref.ref(h)
    gc.disable()
    try:
        del h
        assert alive() is None
    finally:
        gc.enable()


# ---- nn.grad


def test_grad_leaves_the_leaves_alone():
    x, w = leaf(1, 2), leaf(3, 4, cls=Parameter)
    h = Mul.apply(x, w)
    y = Mul.apply(h, h)
    dx, dh = grad(y, [x, h], ONES, retain_graph=True)
    np.testing.assert_array_equal(dh, 2 * h.data)
    np.testing.assert_array_equal(dx, 2 * h.data * w.data)
    assert x.grad is None and w.grad is None
    backward(y)
    np.testing.assert_array_equal(w.grad, 2 * h.data * x.data)


def test_grad_runs_what_lies_between():
    ran = []

    class Watched(Mul):
        @staticmethod
        def backward(ctx, dy):
            ran.append(list(ctx.needs))
            return Mul.backward(ctx, dy)

    x, w = leaf(1, 2), leaf(3, 4)
    h = Watched.apply(x, w)
    y = Watched.apply(h, w)
    (dh,) = grad(y, h, ONES)
    assert ran == [[True, False]]
    np.testing.assert_array_equal(dh, w.data)
    # what lies before h was not let go
    h.backward(dh)
    np.testing.assert_array_equal(x.grad, w.data**2)
    with pytest.raises(RuntimeError, match="second time"):
        grad(y, w, ONES)


def test_grad_of_several_outputs_and_unused_inputs():
    x, w, unused = leaf(1, 2), leaf(3, 4), leaf(5, 6)
    outputs = [Mul.apply(x, w), Add.apply(x, x), x]
    (dx,) = grad(outputs, x, [ONES, ONES, ONES])
    np.testing.assert_array_equal(dx, w.data + 3)
    with pytest.raises(RuntimeError, match="do not depend on input 1"):
        grad(Mul.apply(x, w), [x, unused], ONES)
    dx, none = grad(Mul.apply(x, w), [x, unused], ONES, allow_unused=True)
    assert none is None
    with pytest.raises(RuntimeError, match="input 0 does not require"):
        grad(Mul.apply(x, w), Tensor(ONES), ONES)
    with pytest.raises(TypeError, match="expected tensors as inputs, got ndarray"):
        grad(Mul.apply(x, w), [ONES], ONES)
    with pytest.raises(ValueError, match="expected 1 grad_outputs, one an output, got 2"):
        grad(Mul.apply(x, w), x, [ONES, ONES])


class Gives(Function):
    """Its backward gives what the test wants, twice."""

    @staticmethod
    def forward(ctx, x, w, give):
        y = empty(x.shape, x.dtype, ctx.device)
        call("elementwise.add_forward", y, x, w)
        ctx.give = give
        return y

    @staticmethod
    def backward(ctx, dy):
        dx, dw = ctx.give(dy)
        return dx, dw, None


def test_grad_gives_arrays_of_their_own():
    """Whoever changes one changes nothing else: not the other, not what was given, nothing that is kept somewhere."""
    kept = np.full(20_000, 3, np.float32)

    def one_made(dy):
        both = empty((2, *dy.shape), dy.dtype)
        call("elementwise.fill_forward", both, 3.0)
        return both[0], both[0]

    for give in (one_made, lambda dy: (dy, dy), lambda dy: (kept, dy), lambda dy: (kept[:], kept[::1])):
        x, w = (Tensor(np.zeros(20_000, np.float32), requires_grad=True) for _ in range(2))
        seed = np.full(20_000, 3, np.float32)
        dx, dw = grad(Gives.apply(x, w, give), [x, w], seed)
        assert not np.shares_memory(dx, dw)
        dx[:] = 1
        dw[:] = 2
        assert (seed == 3).all() and (kept == 3).all() and (dx == 1).all()


def test_grad_copies_nothing_that_is_nobody_elses():
    addresses = []

    def fresh(dy):
        dx, dw = empty(dy.shape, dy.dtype), empty(dy.shape, dy.dtype)
        addresses[:] = [dx.ctypes.data, dw.ctypes.data]
        return dx, dw

    for size in (3, 20_000):
        x, w = (Tensor(np.zeros(size, np.float32), requires_grad=True) for _ in range(2))
        gradients = grad(Gives.apply(x, w, fresh), [x, w], np.ones(size, np.float32))
        assert [g.ctypes.data for g in gradients] == addresses
