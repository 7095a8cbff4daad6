"""nn/tape.py, nn/engine.py: gradients through graphs, written where they stay; what is refused."""

import numpy as np
import pytest
from hotloop.nn.doors import call, empty
from hotloop.nn.parameter import Parameter
from hotloop.nn.tape import Function, is_grad_enabled
from hotloop.nn.tensor import Tensor
from toys import ONES, Add, Halves, Mul, Transpose, backward, leaf

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


def test_memory_maps_are_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "data", np.float32, "w+", shape=(4, 3))
    mapped[...] = np.arange(12).reshape(4, 3)
    x = leaf(1, 1)
    for part in (mapped[0, :2], mapped[:2, 1], mapped[::2, 0]):
        np.testing.assert_array_equal(Mul.apply(x, part).numpy(), np.array(part))


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
