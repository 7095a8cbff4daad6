"""The backward that all losses share: the saved gradient times the upstream one."""

import hotloop
import numpy as np
import pytest
from helpers import Backend, absent, agree, poison
from losses import Case, check_backend

SHAPES = [(0, 3, 1), (1, 1, 1), (1000, 1, 1), (1, 1, 70001), (61, 10, 1), (5, 3000, 1), (3, 7, 17), (2, 3, 0)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("upstream", ["one", "each"])
def test_backward(backend, dtype, rng, shape, upstream):
    saved = rng.standard_normal(shape).astype(dtype)
    dloss = rng.standard_normal(1 if upstream == "one" else shape[0] * shape[2]).astype(dtype)
    agree(backend, "loss.loss_backward", poison(shape, dtype), dloss, saved)
    # in place: the saved gradient lies where the result goes
    agree(backend, "loss.loss_backward", saved, dloss, absent(dtype))


def test_an_upstream_of_one_changes_no_bit(backend, dtype, rng):
    saved = rng.standard_normal((3, 5, 2)).astype(dtype)
    saved[0, 0] = np.nan, -0.0
    for source in (saved, absent(dtype)):
        dx = poison(saved.shape, dtype) if source.size else saved.copy()
        backend("loss.loss_backward", dx, np.ones(1, dtype), source)
        np.testing.assert_array_equal(dx, saved)


def test_bad_arguments(backend, dtype):
    dx, dloss = np.ones((4, 3, 2), dtype), np.ones(7, dtype)
    with pytest.raises(ValueError):
        backend("loss.loss_backward", dx, dloss, dx.copy())


def test_any_number_of_threads_gives_the_same_bits(rng):
    """Blocks and their sums are counted by shape: 1, 2 and 5 threads agree to the last bit."""
    from hotloop.kernels.cpu.cross_entropy import cross_entropy_forward
    from hotloop.kernels.cpu.loss_regression import mse_forward

    x, target = rng.standard_normal((3001, 10)).astype(np.float32), rng.integers(0, 10, (3001, 1))
    wide = rng.standard_normal((40, 3000)).astype(np.float32)
    results = []
    before = hotloop.get_num_threads()
    try:
        for threads in (1, 2, 5):
            hotloop.set_num_threads(threads)
            outputs = [np.empty(1, np.float32) for _ in range(3)] + [np.empty_like(x), np.empty_like(wide)]
            none = absent(np.float32)
            mse_forward(outputs[0], none, none, x, x[::-1].copy(), 1)
            cross_entropy_forward(outputs[1], outputs[3][:, :, None], x[:, :, None], target, none, -100, 0.1, 1)
            cross_entropy_forward(outputs[2], outputs[4][:, :, None], wide[:, :, None], target[:40], none, -100, 0.0, 1)
            results.append(b"".join(a.tobytes() for a in outputs))
    finally:
        hotloop.set_num_threads(before)
    assert len(set(results)) == 1


def test_no_gradient_is_no_work_for_the_loss(backend, dtype, rng):
    """The value is the same to the last bit whether gradients are asked for or not."""
    x, target = rng.standard_normal((50, 130, 1)).astype(dtype), rng.integers(0, 130, (50, 1))
    losses = []
    for dx in (np.empty_like(x), absent(dtype)):
        loss = poison(50, dtype)
        backend("cross_entropy.cross_entropy_forward", loss, dx, x, target, absent(dtype), -100, 0.0, 0)
        losses.append(loss)
    np.testing.assert_array_equal(*losses)


@pytest.mark.parametrize("fault", [1e-5, -1e-5], ids=str)
@pytest.mark.parametrize("which", ["loss", "gradient"])
def test_the_tolerances_catch_a_broken_kernel(rng, which, fault):
    """A loss or a gradient that is off by a hundred-thousandth does not pass as float32."""

    class Broken(Backend):
        def __call__(self, path, *args):
            super().__call__(path, *args)
            args[("loss", "gradient").index(which)][...] *= 1 + fault

    case = Case("loss_regression.mse_forward", lambda rng, shape: [rng.standard_normal(shape) for _ in range(2)])
    check_backend(Backend("cpu"), case, rng, (17, 61), np.dtype(np.float32))
    with pytest.raises(AssertionError, match="over the tolerance"):
        check_backend(Broken("cpu"), case, rng, (17, 61), np.dtype(np.float32))
