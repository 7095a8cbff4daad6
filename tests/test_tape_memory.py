"""Modes of each thread, training in several threads, and what the tape lets go of."""

import gc
import threading
import weakref

import numpy as np
import pytest
from hotloop.nn.engine import grad
from hotloop.nn.parameter import Parameter
from hotloop.nn.tape import Function, enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from hotloop.nn.tensor import Tensor
from toys import ONES, Flat, Mul, backward, leaf

# ---- modes and threads


def test_modes():
    x = leaf(1, 2)
    with pytest.raises(TypeError, match="expected True or False, got 'a'"):
        set_grad_enabled("a")
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


def test_inference_mode():
    x = leaf(1, 2)
    with inference_mode():
        y = Mul.apply(x, x)
        with inference_mode(False):
            assert Mul.apply(x, x).requires_grad
    assert not y.requires_grad and is_grad_enabled()
    y.add_(1)
    np.testing.assert_array_equal(Mul.apply(x, y).data, x.data * (x.data**2 + 1))

    @inference_mode()
    def outside():
        return is_grad_enabled()

    @inference_mode
    def bare():
        return is_grad_enabled()

    assert not outside() and not bare() and is_grad_enabled()
    with pytest.raises(TypeError, match="expected True or False, got 'a'"):
        inference_mode("a")


class Same(Function):
    @staticmethod
    def forward(ctx, x):
        return x, x[:1]


def test_what_is_not_recorded_shares_its_version():
    """Within no_grad, too, a view or the argument itself is known as what it is: changes in place are seen."""

    x, w = Tensor(ONES.copy()), leaf(3, 4)
    with no_grad():
        whole, part = Same.apply(x)
    for shared in (whole, part):
        y = Mul.apply(w, x)
        shared.add_(1)
        with pytest.raises(RuntimeError, match="changed in place"):
            backward(y)


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
    for _ in range(2):
        # the first time kernels are loaded, which makes some
        gc.collect()
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


def test_data_of_other_strides_is_noticed():
    """Forward gets contiguous arrays also from a tensor that was used before and then given another array."""
    x = Tensor(np.arange(6.0).reshape(2, 3))
    Mul.apply(x, x)
    for turned in (np.arange(6.0).reshape(3, 2).T, np.arange(12.0).reshape(2, 6)[:, ::2]):
        x.data = turned
        np.testing.assert_array_equal(Mul.apply(x, x).data, turned**2)
        np.testing.assert_array_equal(no_grad(Mul.apply)(x, x).data, turned**2)
