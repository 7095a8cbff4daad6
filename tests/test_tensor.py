"""Tensor by itself: what it wraps, how it leaves, gradients and data assigned, dtypes, changes in place, creation."""

import copy
import math
import pickle

import numpy as np
import pytest
from hotloop.nn import creation, dtypes
from hotloop.nn.parameter import Parameter
from hotloop.nn.tape import no_grad
from hotloop.nn.tensor import Tensor, as_tensor

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def values(*numbers, dtype=np.float32):
    return np.array(numbers, dtype)


# ---- construction


def test_wraps_without_copying():
    array = values(1, 2)
    t = Tensor(array)
    assert t.data is array and t.numpy() is array and np.asarray(t) is array
    assert Tensor(t).data is array
    assert as_tensor(array).data is array and as_tensor(t) is t
    assert creation.from_numpy(array).data is array
    assert creation.tensor(array).data is not array


@pytest.mark.parametrize(
    "data, dtype",
    [
        ([1.0, 2], "float32"),
        (1.5, "float32"),
        ([1, 2], "int64"),
        (3, "int64"),
        ([True, False], "bool"),
        ([], "float32"),
        (np.ones(2), "float64"),
        (np.float64(1), "float64"),
        (np.ones(2, np.uint8), "uint8"),
        (range(3), "int64"),
        ([np.ones(2, np.float32), np.zeros(2, np.float32)], "float32"),
    ],
    ids=str,
)
def test_dtypes_of_data(data, dtype):
    for made in (Tensor(data), as_tensor(data), creation.tensor(data)):
        assert made.dtype == dtype
        np.testing.assert_array_equal(made.numpy(), data)


def test_tensors_of_foreign_arrays(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float32))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    t = Tensor(mapped)
    assert type(t.data) is np.ndarray and np.shares_memory(t.data, mapped)
    big = Tensor(np.arange(3, dtype=">i4"))
    assert big.dtype.isnative and big.tolist() == [0, 1, 2]
    assert Tensor([Tensor(1.0), Tensor(2.0)]).tolist() == [1, 2]
    torch = pytest.importorskip("torch")
    assert Tensor(torch.ones(2, dtype=torch.float64)).dtype == F64


@pytest.mark.parametrize("data", ["text", [None], [object()], np.array(["a"]), {"a": 1}, np.ones(2, complex)], ids=repr)
def test_data_that_is_no_numbers(data):
    with pytest.raises(TypeError, match="expected numbers or booleans, got"):
        Tensor(data)


def test_requires_grad():
    t = Tensor([1.0], requires_grad=True)
    assert t.requires_grad and t.is_leaf and t.grad is None and t.grad_fn is None
    assert Tensor([1.0]).requires_grad_().requires_grad
    with pytest.raises(TypeError, match="floating dtype can require gradients, got int64"):
        Tensor([1], requires_grad=True)
    with pytest.raises(TypeError, match="got bool"):
        Parameter([True])
    assert not Parameter([1], requires_grad=False).requires_grad
    y = t.clone()
    assert not y.is_leaf
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False
    y.detach_()
    assert y.is_leaf and not y.requires_grad


# ---- looking at it


def test_attributes():
    t = Tensor(np.zeros((2, 3, 4), np.float32))
    assert (t.shape, t.ndim, t.dim(), t.numel(), len(t)) == ((2, 3, 4), 3, 3, 24, 2)
    assert t.size() == (2, 3, 4) and t.size(-1) == 4
    assert (t.dtype, t.device, t.nbytes, t.element_size(), t.itemsize) == (F32, "cpu", 96, 4, 4)
    assert t.stride() == (12, 4, 1) and t.stride(0) == 12
    assert t.is_contiguous() and not Tensor(t.data.T).is_contiguous()
    assert t.is_floating_point() and not Tensor([1]).is_floating_point()
    assert t.data_ptr() == t.data.ctypes.data
    assert len({t, t, Tensor([1.0])}) == 2


def test_numbers():
    assert Tensor([[2.5]]).item() == 2.5 and type(Tensor(1.0).item()) is float
    assert float(Tensor(2.5)) == 2.5 and int(Tensor(2.5)) == 2
    assert [10, 11][Tensor(1)] == 11
    assert bool(Tensor([1])) and not Tensor(0.0)
    assert f"{Tensor(math.pi):.3f}" == "3.142"
    assert Tensor([[1, 2]]).tolist() == [[1, 2]]
    with pytest.raises(ValueError, match=r"one element, got shape \(2,\)"):
        Tensor([1, 2]).item()
    with pytest.raises(ValueError, match=r"shape \(2,\) is ambiguous"):
        bool(Tensor([1, 2]))
    with pytest.raises(TypeError, match="integer tensor as an index, got float32"):
        [1, 2][Tensor(1.0)]
    with pytest.raises(TypeError, match="without dimensions"):
        len(Tensor(1.0))


def test_repr():
    assert repr(Tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(Tensor([[1], [2]])) == "tensor([[1],\n        [2]])"
    assert repr(Tensor(np.ones(1), requires_grad=True)) == "tensor([1.], dtype=float64, requires_grad=True)"
    assert repr(Tensor([1.0], requires_grad=True).clone()) == "tensor([1.], grad_fn=<Cast>)"
    assert repr(Tensor(np.zeros((0, 3), np.float32))) == "tensor([], size=(0, 3))"
    assert repr(Parameter([1.0])) == "Parameter containing:\ntensor([1.], requires_grad=True)"


# ---- leaving


def test_numpy_of_a_tensor_with_gradient():
    t = Tensor([1.0, 2.0], requires_grad=True)
    y = t.clone()
    assert np.asarray(y) is y.data and y.numpy() is y.data
    assert np.array(t).base is None and np.array(t) is not t.data
    assert np.asarray(t, np.float64).dtype == F64
    assert np.exp(t).dtype == F32
    with pytest.raises(ValueError, match="copy"):
        np.array(t, np.float64, copy=False)


def test_dlpack():
    t = Tensor(values(1, 2), requires_grad=True)
    assert np.shares_memory(np.from_dlpack(t), t.data)
    torch = pytest.importorskip("torch")
    other = torch.from_dlpack(t)
    other[0] = 7
    assert t.tolist() == [7, 2]


def test_to():
    t = Tensor([1.0, 2.0], requires_grad=True)
    assert t.to("float32") is t and t.to("cpu") is t and t.float() is t and t.contiguous() is t
    assert t.to("cpu", F64).dtype == F64 and t.to(Tensor([1])).dtype == np.int64
    assert t.to(dtype=np.float64).dtype == F64 and t.to(float).dtype == F64
    assert t.long().dtype == np.int64 and not t.long().requires_grad
    assert t.int().dtype == np.int32 and t.bool().dtype == np.bool_ and t.type_as(Tensor([1])).dtype == np.int64
    y = t.double()
    y.backward([1.0, 3.0])
    assert t.grad.dtype == F32 and t.grad.tolist() == [1, 3]
    with pytest.raises(TypeError, match="expected a dtype"):
        t.to("complexity")
    with pytest.raises(ValueError, match=r"expected the device 'cpu' or 'cuda', got 'tpu'"):
        t.to(device="tpu")


def test_clone_and_contiguous():
    t = Tensor(np.arange(240, dtype=np.float32).reshape(2, 3, 2, 5, 4).transpose(4, 2, 0, 3, 1), requires_grad=True)
    for out in (t.clone(), t.contiguous(), t.to(copy=True)):
        assert out.is_contiguous() and out.data is not t.data
        np.testing.assert_array_equal(out.data, t.data)
    t.clone().backward(t.data)
    np.testing.assert_array_equal(t.grad, t.data)


def test_copies_and_pickles():
    p = Parameter([1.0, 2.0])
    p.tag = ["kept"]
    p.grad = values(3, 4)
    p.register_hook(abs)
    q = copy.deepcopy(p)
    assert type(q) is Parameter and q.requires_grad and q.tag == ["kept"] and q.tag is not p.tag
    assert q.grad.tolist() == [3, 4] and not np.shares_memory(q.grad, p.grad) and not q._hooks
    assert not np.shares_memory(q.data, p.data)
    twice = copy.deepcopy([p, p])
    assert twice[0] is twice[1]
    r = pickle.loads(pickle.dumps(p))
    assert type(r) is Parameter and r.tolist() == [1, 2] and r.requires_grad and r.grad is None and r.tag == ["kept"]
    for what, act in (("deepcopy", copy.deepcopy), ("pickle", pickle.dumps)):
        with pytest.raises(RuntimeError, match=f"{what}: expected a leaf tensor"):
            act(p.clone())


# ---- assigning


def test_assigning_grad():
    t = Tensor([1.0, 2.0], requires_grad=True)
    t.grad = values(3, 4)
    assert t.grad.tolist() == [3, 4]
    t.grad = Tensor([5.0, 6.0])
    assert t.grad.tolist() == [5, 6]
    t.grad = [7.0, 8.0]
    t.clone().backward([1.0, 1.0])
    assert t.grad.tolist() == [8, 9]
    t.grad = None
    assert t.grad is None
    with pytest.raises(ValueError, match=r"grad: expected the tensor's shape \(2,\), got \(3,\)"):
        t.grad = values(1, 2, 3)
    with pytest.raises(TypeError, match="grad: expected the tensor's dtype float32, got float64"):
        t.grad = np.ones(2)


def test_assigning_grad_copies_into_an_optimizers_buffer():
    flat = np.zeros(3, np.float32)
    p = Parameter([1.0, 2.0])
    p._grad_buffer = flat[1:]
    p.grad = values(3, 4)
    assert flat.tolist() == [0, 3, 4]
    p.grad = np.asarray(p.grad)
    p.grad = None
    assert p.grad is None and p._grad_buffer.base is flat


def test_assigning_data():
    t = Tensor([1.0, 2.0])
    array = values(3, 4)
    t.data = array
    assert t.data is array
    flat = np.zeros(3, np.float32)
    p = Parameter(flat[1:])
    p.data = array
    assert flat.tolist() == [0, 3, 4] and p.data.base is flat
    p.data = Tensor([5.0, 6.0])
    assert flat.tolist() == [0, 5, 6]
    p.grad = values(1, 1)
    p.data = np.ones(3)
    assert p.dtype == F64 and p.shape == (3,) and p.grad is None
    with pytest.raises(TypeError, match="data: expected a floating dtype"):
        p.data = np.ones(3, np.int64)


# ---- in place


def test_in_place():
    p = Parameter([1.0, 2.0])
    with pytest.raises(RuntimeError, match="in-place change of a leaf"):
        p.zero_()
    with pytest.raises(RuntimeError, match="in-place change of a result"):
        p.clone().zero_()
    plain = Tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match="by a tensor that requires grad"):
        plain.copy_(p)
    array = p.data
    with no_grad():
        assert p.fill_(3) is p
        assert p.data is array and array.tolist() == [3, 3]
        p.copy_(np.array(4))
        assert array.tolist() == [4, 4]
    assert plain.copy_([5.0, 6.0]).tolist() == [5, 6]
    with pytest.raises(ValueError, match=r"copy_: expected a shape that broadcasts to \(2,\), got \(1, 2\)"):
        plain.copy_([[5.0, 6.0]])


def test_in_place_through_strides():
    base = np.zeros((3, 4), np.float32)
    Tensor(base.T).copy_(np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(base, np.arange(12).reshape(4, 3).T)
    Tensor(base[:, 1]).fill_(-1)
    assert base[:, 1].tolist() == [-1] * 3 and base[:, 0].tolist() == [0, 1, 2]
    deep = np.zeros((2, 3, 2, 2, 2, 2), np.float32)
    Tensor(deep.T).copy_(np.float32(2))
    assert (deep == 2).all()


# ---- dtypes


@pytest.mark.parametrize("name", ["float32", "float64", "int8", "int16", "int32", "int64", "uint8"])
def test_names_of_dtypes(name):
    assert dtypes.as_dtype(name) is getattr(dtypes, name) is dtypes.as_dtype(getattr(np, name))
    assert dtypes.as_dtype("torch." + name) == name
    assert dtypes.as_dtype(None) is None and dtypes.as_dtype(bool) == np.bool_


def test_result_type_agrees_with_torch():
    torch = pytest.importorskip("torch")
    names = ["float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"]
    ours, theirs = [], []
    for name in names:
        for shape in ((), (2,)):
            ours.append(np.ones(shape, name))
            theirs.append(torch.ones(shape, dtype=getattr(torch, name)))
    for number in (True, 2, 2.5):
        ours.append(number)
        theirs.append(number)
    for a, x in zip(ours, theirs, strict=True):
        for b, y in zip(ours, theirs, strict=True):
            want = str(torch.result_type(x, y)).removeprefix("torch.")
            assert dtypes.result_type(a, b) == want, (a, b)
            assert dtypes.result_type(Tensor(a), b) == want or isinstance(a, bool | int | float)


# ---- creation


def test_filled():
    assert creation.zeros(2, 3).shape == (2, 3) and creation.zeros((2, 3)).dtype == F32
    assert creation.ones([2], dtype="int64").tolist() == [1, 1]
    assert creation.full((2,), 7).dtype == np.int64 and creation.full((2,), True).tolist() == [True, True]
    assert creation.full((), 2.5).item() == 2.5
    assert creation.full((1,), (1 << 60) + 1).item() == (1 << 60) + 1
    assert creation.empty(0, 3).shape == (0, 3) and creation.ones(2, requires_grad=True).requires_grad
    x = np.ones((2, 2))
    assert creation.zeros_like(x).dtype == F64 and creation.ones_like(Tensor(x), dtype="float32").dtype == F32
    assert creation.full_like(x, 3).tolist() == [[3, 3], [3, 3]] and creation.empty_like(x).shape == (2, 2)
    assert creation.tensor([1, 2], dtype="float64", requires_grad=True).dtype == F64
    with pytest.raises(ValueError, match=r"without negative sizes, got \(-1,\)"):
        creation.zeros(-1)
    with pytest.raises(TypeError, match=r"sizes as integers, got 2.5"):
        creation.zeros(2.5)


@pytest.mark.parametrize("args", [(5,), (0,), (2, 7), (7, 2, -2), (0, 1, 0.25), (2.5,), (1, 2, 0.3), (3, 3)], ids=str)
def test_arange_agrees_with_torch(args):
    torch = pytest.importorskip("torch")
    want = torch.arange(*args).numpy()
    got = creation.arange(*args)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)


def test_sequences():
    with pytest.raises(ValueError, match="step other than 0"):
        creation.arange(0, 2, 0)
    with pytest.raises(ValueError, match="from 0 towards 2, got -1"):
        creation.arange(0, 2, -1)
    assert creation.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert creation.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
