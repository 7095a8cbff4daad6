"""Memory and errors of tensor operators: what shares, what may change in place, what is refused and how."""

import operator

import numpy as np
import pytest
from hotloop import nn, no_grad
from hotloop.nn import Tensor
from parity import F


def test_views_share_memory_and_copies_do_not():
    x = Tensor(np.zeros((4, 6), np.float32))
    for view in (x[1], x[:, 2], x.T, x.reshape(2, 12), x.view(24), x.unsqueeze(0), x.permute(1, 0), x.narrow(1, 0, 3)):
        assert np.shares_memory(view.numpy(), x.numpy())
    for copy in (x[[0, 1]], x[x == 0], x + 0, x.clone(), x.T.contiguous(), x.flip(0), x.repeat(1, 1)):
        assert not np.shares_memory(copy.numpy(), x.numpy())
    x[1].fill_(3)
    x[:, 0] += 1
    x.T[5].mul_(2)
    want = np.zeros((4, 6))
    want[1] = 3
    want[:, 0] += 1
    want[:, 5] *= 2
    np.testing.assert_array_equal(x.numpy(), want)


INPLACE = {
    "add_": lambda x, y: x.add_(y),
    "add_ alpha": lambda x, y: x.add_(y, alpha=-0.5),
    "add_ row": lambda x, y: x.add_(y[0]),
    "sub_": lambda x, y: x.sub_(y),
    "sub_ number": lambda x, y: x.sub_(2),
    "mul_": lambda x, y: x.mul_(y),
    "mul_ number": lambda x, y: x.mul_(0.5),
    "div_": lambda x, y: x.div_(y),
    "pow_": lambda x, y: x.pow_(2),
    "clamp_": lambda x, y: x.clamp_(0.5, 1.5),
    "zero_": lambda x, y: x.zero_(),
    "fill_": lambda x, y: x.fill_(2.5),
    "copy_": lambda x, y: x.copy_(y),
    "copy_ row": lambda x, y: x.copy_(y[0]),
    "exp_": lambda x, y: x.exp_(),
    "neg_": lambda x, y: x.neg_(),
    "masked_fill_": lambda x, y: x.masked_fill_(x > 1, 0.0),
    "addcmul_": lambda x, y: x.addcmul_(y, y, value=0.5),
    "addcdiv_": lambda x, y: x.addcdiv_(y, y + 1, value=-0.5),
    "lerp_": lambda x, y: x.lerp_(y, 0.1),
    "on a view": lambda x, y: x[:, 1:3].mul_(y[:, 1:3]),
    "on a transpose": lambda x, y: x.T.add_(y.T),
}


@pytest.mark.parametrize("name", INPLACE)
def test_in_place(rng, name):
    torch = pytest.importorskip("torch")
    a, b = rng.uniform(0.2, 2, (2, 3, 4)).astype(np.float32)
    x, z = Tensor(a.copy()), torch.from_numpy(a.copy())
    memory = x.numpy()
    result = INPLACE[name](x, Tensor(b))
    INPLACE[name](z, torch.from_numpy(b))
    assert isinstance(result, Tensor) and x.numpy() is memory
    np.testing.assert_allclose(x.numpy(), z.numpy(), rtol=1e-6)


def test_augmented_assignment_trains():
    w = nn.Parameter(np.ones(3, np.float32))
    memory = w.numpy()
    (w * Tensor(np.arange(3, dtype=np.float32))).sum().backward()
    with no_grad():
        w -= 0.5 * w.grad
    assert isinstance(w, nn.Parameter) and w.numpy() is memory
    np.testing.assert_array_equal(w.numpy(), [1, 0.5, 0])


def test_in_place_is_refused_where_a_gradient_flows():
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    y = x * 2
    for change in (
        lambda t: t.add_(1),
        lambda t: t.mul_(t.detach()),
        lambda t: t.zero_(),
        lambda t: t.__setitem__(0, 1),
    ):
        for t in (x, y):
            with pytest.raises(RuntimeError, match="in-place"):
                change(t)
    with pytest.raises(RuntimeError, match="in-place"):
        Tensor(np.ones(3, np.float32)).add_(x)
    # what backward saved and was changed since is an error there
    z = (y * y).sum()
    with no_grad():
        y += 1
    with pytest.raises(RuntimeError, match="in place"):
        z.backward()


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow"])
def test_augmented_assignment_goes_on_where_a_gradient_flows(rng, name):
    torch = pytest.importorskip("torch")
    ours, plain = getattr(operator, f"i{name}"), getattr(operator, name)
    numbers = rng.uniform(0.5, 2, (2, 3)).astype(np.float32)
    gradients = []
    for make, change in ((Tensor, ours), (torch.tensor, plain)):
        a, b = (make(x, requires_grad=True) for x in numbers)
        result = change(a * 2, b)  # a result by a leaf
        result = change(result, a.detach())  # by what needs no gradient
        result = change(result, 2)
        total = change(make(numbers[1]), result)  # what needs none by a result
        total.sum().backward()
        gradients.append([np.asarray(x.grad) for x in (a, b)])
    np.testing.assert_allclose(*gradients, rtol=1e-5)


def test_augmented_assignment_makes_a_new_tensor_only_where_a_gradient_flows():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    loss = before = x * 2
    loss += x
    assert loss is not before and loss.requires_grad
    np.testing.assert_array_equal(before.numpy(), [2, 2])
    np.testing.assert_array_equal(loss.numpy(), [3, 3])
    total = zero = Tensor(np.zeros(2, np.float32))
    total += loss
    assert total is not zero and not zero.requires_grad and (zero.numpy() == 0).all()
    total = zero
    total += loss.detach()
    with no_grad():
        total += loss
    assert total is zero and not total.requires_grad
    np.testing.assert_array_equal(zero.numpy(), [6, 6])
    for tensor in (x, nn.Parameter(np.ones(2, np.float32))):
        with pytest.raises(RuntimeError, match="leaf that requires grad"):
            tensor += loss
    # a part of a tensor is written back into it, which stays refused
    with pytest.raises(RuntimeError, match="stack"):
        zero[0] += loss[0]


def test_what_to_do_instead_is_said():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    outputs = Tensor(np.zeros((3, 2), np.float32))
    for change in (lambda: outputs.__setitem__(0, x), lambda: outputs.copy_(x), lambda: outputs[0].add_(x)):
        with pytest.raises(RuntimeError, match=r"stack\(\) or cat\(\)"):
            change()
    with pytest.raises(RuntimeError, match=r"result .* where\(\) or cat\(\)"):
        (x * 2)[0] = 1


def test_in_place_keeps_its_dtype():
    with pytest.raises(TypeError, match="dtype"):
        Tensor(np.arange(3)).add_(0.5)
    with pytest.raises(ValueError, match="shape"):
        Tensor(np.ones(3, np.float32)).add_(np.ones((2, 3), np.float32))


BAD = {
    "shapes": (ValueError, "broadcast", lambda x: x + Tensor(np.ones(3, np.float32))),
    "matmul": (ValueError, "matmul", lambda x: x @ x),
    "matmul dtype": (TypeError, "float64", lambda x: x @ Tensor(np.ones((5, 2)))),
    "bmm": (ValueError, "bmm", lambda x: x.bmm(x)),
    "dim": (IndexError, "dim", lambda x: x.sum(2)),
    "dims": (ValueError, "once", lambda x: x.sum((0, -2))),
    "index": (IndexError, "4", lambda x: x[4]),
    "index vector": (IndexError, r"-4 \.\. 3, got 4", lambda x: x[Tensor(np.array([0, 4]))]),
    "index pair": (IndexError, "got 9", lambda x: x[[0, 1], [0, 9]]),
    "index float": (IndexError, "integers", lambda x: x[Tensor(np.ones(2, np.float32))]),
    "too many": (IndexError, "at most 2", lambda x: x[[0], [0], [0]]),
    "mask": (IndexError, "mask", lambda x: x[Tensor(np.ones(3, bool))]),
    "gather": (IndexError, "got 7", lambda x: x.gather(0, Tensor(np.array([[7]])))),
    "reshape": (ValueError, "20 elements", lambda x: x.reshape(3, 7)),
    "view": (ValueError, "reshape", lambda x: x.T.view(20)),
    "permute": (ValueError, "permute", lambda x: x.permute(0, 0)),
    "expand": (ValueError, "expand", lambda x: x.expand(3, 5)),
    "cat": (ValueError, "cat", lambda x: F["cat"]([x, x.T])),
    "cat nothing": (ValueError, "at least one", lambda x: F["cat"]([])),
    "split": (ValueError, "split", lambda x: x.split([1, 1])),
    "topk": (ValueError, "topk", lambda x: x.topk(9)),
    "einsum": (ValueError, "einsum", lambda x: F["einsum"]("ij,jk->ik", x, x)),
    "one_hot": (IndexError, "one_hot", lambda x: F["one_hot"](Tensor(np.array([3])), 3)),
    "mean of ints": (TypeError, "mean", lambda x: Tensor(np.arange(3)).mean()),
    "max of nothing": (ValueError, "no elements", lambda x: x[:0].max()),
    "truth": (ValueError, "ambiguous", lambda x: bool(x > 0)),
    "type": (TypeError, "unsupported", lambda x: x + "a"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    error, words, case = BAD[name]
    with pytest.raises(error, match=words):
        case(Tensor(np.ones((4, 5), np.float32)))


def test_other_types_have_their_turn():
    x = Tensor(np.ones(2, np.float32))
    assert (x == None) is False and (x != "a") is True  # noqa: E711
    assert isinstance(np.ones(2, np.float32) * x, Tensor) and isinstance(np.float32(2) * x, Tensor)
    assert isinstance([1.0, 2.0] * x, Tensor)


def test_gradients_reach_leaves_once_each():
    x = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    (x @ x).sum().backward()
    np.testing.assert_array_equal(x.grad, [[4, 4], [4, 4]])
    (x[[0, 0, 1]].sum() + x.gather(1, [[0, 0], [1, 1]]).sum()).backward()
    np.testing.assert_array_equal(x.grad, [[8, 6], [5, 7]])
