"""The tape: what is recorded, what backward gives, and what is left when it is done."""

import gc
import threading
import weakref

import numpy as np
import pytest
from hotloop.nn.doors import call, empty
from hotloop.nn.engine import grad
from hotloop.nn.parameter import Parameter
from hotloop.nn.tape import Function, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
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


# ---- gradients


@pytest.mark.parametrize("cls", [Tensor, Parameter])
def test_product_of_leaves(cls):
    a, b = leaf(1, 2, cls=cls), leaf(3, 5, cls=cls)
    y = Mul.apply(a, b)
    assert y.requires_grad and not y.is_leaf and y.grad_fn.name() == "Mul"
    y.backward(np.array([1, 10], np.float32))
    np.testing.assert_array_equal(a.grad, [3, 50])
    np.testing.assert_array_equal(b.grad, [1, 20])
    assert y.grad is None


def test_gradients_accumulate_over_calls():
    a, b = leaf(1, 2), leaf(3, 5)
    for times in (1, 2, 3):
        backward(Mul.apply(a, b))
        np.testing.assert_array_equal(a.grad, [3 * times, 5 * times])
    a.grad = None
    backward(Mul.apply(a, b))
    np.testing.assert_array_equal(a.grad, [3, 5])
    np.testing.assert_array_equal(b.grad, [4, 8])


def test_one_tensor_as_both_arguments():
    a = leaf(3, 5)
    for times in (1, 2):
        backward(Mul.apply(a, a))
        np.testing.assert_array_equal(a.grad, [6 * times, 10 * times])


def test_a_result_used_several_times():
    x = leaf(2, 3)
    square = Mul.apply(x, x)
    y = Add.apply(Mul.apply(square, square), Add.apply(square, square))  # x^4 + 2 x^2
    backward(y)
    np.testing.assert_array_equal(x.grad, 4 * x.data**3 + 4 * x.data)


def test_gradients_that_share_an_array_stay_apart():
    """Add gives the same array to both arguments: summing into one of them must not change the other."""
    a, b = leaf(1, 1), leaf(1, 1)
    s = Add.apply(a, b)
    backward(Add.apply(Add.apply(s, a), s))
    np.testing.assert_array_equal(a.grad, [3, 3])
    np.testing.assert_array_equal(b.grad, [2, 2])
    assert not np.shares_memory(a.grad, b.grad)


def test_arguments_that_are_no_tensors():
    a = leaf(1, 2)
    backward(Mul.apply(a, np.array([4, 6], np.float32)))
    np.testing.assert_array_equal(a.grad, [4, 6])
    y = Mul.apply(np.array([4, 6], np.float32), Tensor(ONES))
    assert isinstance(y, Tensor) and not y.requires_grad and y.is_leaf


def test_strides_are_copied_unless_asked_for():
    x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), requires_grad=True)
    w = Tensor(np.arange(6, dtype=np.float32).reshape(3, 2))
    t = Transpose.apply(x)
    assert np.shares_memory(t.data, x.data)
    backward(Mul.apply(t, w))
    np.testing.assert_array_equal(x.grad, w.data.T)


def test_several_outputs_of_which_some_are_used():
    x = leaf(1, 2, 3, 4)
    first, second, order = Halves.apply(x)
    assert not order.requires_grad and order.is_leaf
    backward(second)
    np.testing.assert_array_equal(x.grad, [0, 0, 1, 1])
    first, second, _ = Halves.apply(x)
    backward(Mul.apply(first, second))
    np.testing.assert_array_equal(x.grad, [3, 4, 2, 3])


def test_a_leaf_may_be_the_output():
    x = leaf(2.0)
    x.backward()
    x.backward(np.array([3], np.float32))
    np.testing.assert_array_equal(x.grad, [4])


def test_random_graphs_agree_with_torch(rng):
    torch = pytest.importorskip("torch")
    for _ in range(20):
        values = rng.uniform(0.5, 1.5, (3, 4))
        ours = [Tensor(v.copy(), requires_grad=True) for v in values]
        theirs = [torch.tensor(v, requires_grad=True) for v in values]
        mine, other = list(ours), list(theirs)
        for _ in range(12):
            i, j = rng.integers(0, len(mine), 2)
            kind = rng.integers(0, 2)
            mine.append((Add, Mul)[kind].apply(mine[i], mine[j]))
            other.append(other[i] + other[j] if kind == 0 else other[i] * other[j])
        mine[-1].backward(np.ones(4))
        other[-1].backward(torch.ones(4, dtype=torch.float64))
        for a, b in zip(ours, theirs, strict=True):
            assert (a.grad is None) == (b.grad is None)
            if a.grad is not None:
                np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-12)


# ---- grad_into: gradients written where they stay


def test_backward_writes_into_the_buffer_of_a_parameter():
    flat = np.full(4, np.nan, np.float32)
    a, b = leaf(1, 2, cls=Parameter), leaf(3, 5, cls=Parameter)
    a._grad_buffer, b._grad_buffer = flat[:2], flat[2:]
    assert a.grad is None
    backward(Mul.apply(a, b))
    np.testing.assert_array_equal(flat, [3, 5, 1, 2])
    backward(Add.apply(Mul.apply(a, b), a))
    np.testing.assert_array_equal(flat, [7, 11, 2, 4])
    assert a.grad.base is flat
    a.grad = None
    assert a.grad is None and a._grad_buffer.base is flat
    backward(Add.apply(a, a))
    np.testing.assert_array_equal(flat, [2, 2, 2, 4])


def test_a_gradient_somebody_holds_is_not_overwritten():
    a, b = leaf(1, 2), leaf(3, 5)
    backward(Mul.apply(a, b))
    held = a.grad
    a.grad = None
    backward(Mul.apply(a, leaf(7, 7)))
    np.testing.assert_array_equal(held, [3, 5])


# ---- rules


def test_scalars_alone_need_no_gradient():
    with pytest.raises(RuntimeError, match=r"expected grad= .*\(2,\)"):
        Mul.apply(leaf(1, 2), leaf(1, 2)).backward()
    x = leaf(3)
    Mul.apply(x, x).backward()
    np.testing.assert_array_equal(x.grad, [6])
    x.grad = None
    Mul.apply(x, x).backward(gradient=[2.0])
    np.testing.assert_array_equal(x.grad, [12])


def test_wrong_gradients_are_named():
    y = Mul.apply(leaf(1, 2), leaf(1, 2))
    with pytest.raises(ValueError, match=r"expected grad of the output's shape \(2,\), got \(3,\)"):
        y.backward(np.ones(3, np.float32))
    with pytest.raises(RuntimeError, match="does not require"):
        Tensor(ONES).backward(ONES)

    class Bad(Add):
        @staticmethod
        def backward(ctx, dy):
            return dy[:1], dy

    with pytest.raises(RuntimeError, match=r"Bad.backward: expected .* shape \(2,\) for argument 0, got \(1,\)"):
        backward(Bad.apply(leaf(1, 2), leaf(1, 2)))

    class Few(Add):
        @staticmethod
        def backward(ctx, dy):
            return dy

    with pytest.raises(RuntimeError, match=r"Few.backward: .* 2 arguments of forward, got 1"):
        backward(Few.apply(leaf(1, 2), leaf(1, 2)))


def test_gradients_take_the_dtype_of_what_they_belong_to():
    class Widen(Function):
        @staticmethod
        def forward(ctx, x):
            y = empty(x.shape, np.float64, ctx.device)
            call("elementwise.copy_forward", y, x)
            return y

        @staticmethod
        def backward(ctx, dy):
            return dy

    x = leaf(1, 2)
    Widen.apply(x).backward([1.0, 2.0])
    assert x.grad.dtype == np.float32
    Widen.apply(Mul.apply(x, x)).backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [3, 6])


def test_second_backward():
    x = leaf(1, 2)
    y = Mul.apply(x, x)
    y.backward(ONES, retain_graph=True)
    y.backward(ONES)
    np.testing.assert_array_equal(x.grad, [4, 8])
    with pytest.raises(RuntimeError, match=r"second time.*retain_graph=True"):
        y.backward(ONES)
    with pytest.raises(NotImplementedError, match="create_graph"):
        Mul.apply(x, x).backward(ONES, create_graph=True)


def test_an_error_in_backward_leaves_no_gradients_behind():
    fail = True

    class Moody(Add):
        @staticmethod
        def backward(ctx, dy):
            if fail:
                raise ArithmeticError("now")
            return dy, dy

    x = leaf(1, 2)
    y = Add.apply(Moody.apply(x, x), Mul.apply(x, x))
    with pytest.raises(ArithmeticError):
        y.backward(ONES, retain_graph=True)
    assert is_grad_enabled()
    fail, x.grad = False, None
    y.backward(ONES)
    np.testing.assert_array_equal(x.grad, [4, 6])


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


# ---- modes and threads


def test_modes():
    x = leaf(1, 2)
    with no_grad():
        assert not Mul.apply(x, x).requires_grad
        with enable_grad():
            assert Mul.apply(x, x).requires_grad
        assert not is_grad_enabled()
    with set_grad_enabled(False):
        assert not is_grad_enabled()
    assert is_grad_enabled()
    set_grad_enabled(False)
    assert not is_grad_enabled()
    set_grad_enabled(True)

    @no_grad()
    def outside():
        return is_grad_enabled()

    @no_grad
    def bare():
        return is_grad_enabled()

    @set_grad_enabled(False)
    def switched():
        return is_grad_enabled()

    assert not outside() and not bare() and not switched() and is_grad_enabled()
    switch = no_grad()
    with switch, switch:
        assert not is_grad_enabled()
    assert is_grad_enabled()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_the_mode_is_the_threads_own():
    modes = []
    with no_grad():
        thread = threading.Thread(target=lambda: modes.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert modes == [True]


def test_two_threads_train_at_once():
    results = {}

    def train(key):
        w = leaf(key, key, cls=Parameter)
        for _ in range(200):
            w.grad = None
            h = Mul.apply(w, w)
            backward(Mul.apply(h, w))
            assert np.array_equal(w.grad, 3 * w.data**2), w.grad
        results[key] = w.grad.copy()

    threads = [threading.Thread(target=train, args=(key,)) for key in (2, 3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key: value[0] for key, value in results.items()} == {2: 12, 3: 27, 5: 75}


# ---- memory


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_backward_lets_go_of_arrays_and_nodes(no_collector):
    x = leaf(1, 2)
    h = Mul.apply(x, x)
    y = Mul.apply(h, h)
    arrays = [weakref.ref(h.data), weakref.ref(h.grad_fn), weakref.ref(h)]
    del h
    # kept for backward: the array and its node, but not the tensor
    assert [r() is None for r in arrays] == [False, False, True]
    y.backward(ONES)
    assert [r() is None for r in arrays] == [True, True, True]
    assert y.grad_fn.saved is None


def test_an_abandoned_graph_goes_without_the_collector(no_collector):
    x = leaf(1, 2)
    y = Mul.apply(x, x)
    y.register_hook(lambda g: g)
    parts = [weakref.ref(y), weakref.ref(y.data), weakref.ref(y.grad_fn)]
    del y
    assert all(r() is None for r in parts)


def test_a_step_makes_no_garbage(no_collector):
    w = leaf(1, 2, cls=Parameter)
    for _ in range(3):
        backward(Mul.apply(Mul.apply(w, w), w))
        grad(Mul.apply(w, w), w, ONES)
    assert gc.collect() == 0


def test_long_chains():
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = Flat.apply(y)
    y.backward()
    np.testing.assert_array_equal(x.grad, [1])
    for _ in range(50_000):
        y = Flat.apply(y)
    del y
