"""The CUDA kernels against the reference, and a network trained on the device.

With a GPU (numba.cuda.is_available()) the cases below run on it. Without one, `test_in_the_simulator` runs this file
again in a process where Numba's simulator stands for the device: every CUDA thread is a Python thread there, so that
sizes are small and blocks are made smaller still, for several of them to meet.
"""

import os

import numpy as np
import pytest
from helpers import ROOT, Backend, close, poison, python, require_cuda

# in the simulator NumPy computes, and warns where a device is silent: 0 / 0 of an empty mean, integers that wrap
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in scalar:RuntimeWarning")

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
STATE = np.array([0x0123456789ABCDEF, 2**32 - 3], np.uint64)


# all that runs in the simulator
SIMULATED_FILES = (
    "test_cuda.py",
    "test_cuda_data.py",
    "test_cuda_graph.py",
    "test_cuda_layers.py",
    "test_cuda_optim.py",
    "test_cuda_runtime.py",
    "test_amp.py",
    "test_gpu_check.py",
)
FILES = [str(ROOT / "tests" / name) for name in SIMULATED_FILES]


@pytest.mark.process(*FILES, env={"NUMBA_ENABLE_CUDASIM": "1"}, needs="numba_cuda")
def test_in_the_simulator(process):
    process()


# threads against their order, so that a barrier that is missing shows
BACKWARD = {"NUMBA_ENABLE_CUDASIM": "1", "HOTLOOP_SIMULATED_ORDER": "backward"}


@pytest.mark.process(str(ROOT / "tests" / "test_cuda_kernels.py"), env=BACKWARD, needs="numba_cuda")
def test_kernels_in_the_simulator(process):
    process()


@pytest.mark.process(str(ROOT / "tests" / "test_cuda_compile.py"), needs="numba_cuda")
def test_through_the_assembler(process):
    process()


def test_import_leaves_cuda_alone():
    """Neither numba.cuda nor a driver is touched before a device array is asked for."""
    code = "import sys, hotloop, hotloop.kernels.cuda; assert 'numba_cuda' not in sys.modules, 'numba_cuda'"
    python("-c", code, env={"NUMBA_ENABLE_CUDASIM": "0"})


def test_is_available_never_raises():
    code = "from hotloop.kernels import cuda; print(cuda.is_available() in (True, False))"
    for env in ({"CUDA_VISIBLE_DEVICES": ""}, {"NUMBA_DISABLE_CUDA": "1"}, {"NUMBA_ENABLE_CUDASIM": "1"}):
        assert python("-c", code, env=env).split()[-1] == "True"


@pytest.fixture
def device():
    require_cuda()
    return Backend("cuda")


def test_shapes_that_do_not_fit(device, rng):
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((6, 7), (7, 5)))
    with pytest.raises(ValueError, match="expected shape"):
        device("gemm.matmul_forward", poison((6, 6), np.float32), a, b, False, False, False)


def test_label_out_of_range(device):
    """Told by the next call that waits, and once."""
    from hotloop.kernels import cuda

    x, loss = cuda.to_device(np.ones((2, 3, 1), np.float32)), cuda.empty((1,), np.float32)
    none = cuda.empty((0,), np.float32)
    for label in (3, -1):
        target = cuda.to_device(np.array([[0], [label]]))
        cuda.cross_entropy.cross_entropy_forward(loss, none, x, target, none, -100, 0.0, 1)
        with pytest.raises(IndexError, match="label"):
            cuda.to_host(loss)
        cuda.to_host(loss)
    cuda.cross_entropy.cross_entropy_forward(loss, none, x, target, none, -1, 0.0, 1)
    cuda.synchronize()


def test_random_bits(device):
    """Uniform numbers and masks are the reference's, bit for bit; and a generator's counters are taken."""
    from hotloop.kernels.ref import dropout, random

    n = 71
    for dtype in (np.float32, np.float64):
        y, want = poison(n, dtype), poison(n, dtype)
        random.uniform_forward(want, STATE, 0.1, 0.7)
        device("random.uniform_forward", y, STATE, 0.1, 0.7)
        assert np.array_equal(y, want)
        x = want.copy()
        dropout.dropout_forward(want, x, STATE, 0.3)
        device("dropout.dropout_forward", y, x, STATE, 0.3)
        assert np.array_equal(y, want)
    state, generator = poison(2, np.uint64), STATE.copy()
    device("random.state_forward", state, generator, 5)
    assert np.array_equal(state, STATE) and generator.tolist() == [STATE[0], STATE[1] + np.uint64(5)]


def test_copies_into_views(device, rng):
    """Elements outside of a view keep their values; strides may be negative, and of either side."""
    from hotloop.kernels import cuda

    host = rng.standard_normal((3, 4, 5, 10)).astype(np.float32)
    for target, source in (
        (lambda a: a[:, 1:3, :, ::2], lambda a: a[:, 1:3, :, 5:]),
        (lambda a: a.transpose(0, 1, 3, 2), lambda a: a[..., ::-1].transpose(0, 1, 3, 2)),
        (lambda a: a[::-1, :, :, :5].transpose(0, 1, 3, 2), lambda a: a[:, ::-1, :, 3:8]),
        (lambda a: a[:1, :, :, 3:4], lambda a: a[1:2, :, :, 3:4]),
    ):
        want, x = host.copy(), host + 100
        target(want)[...] = source(x)
        y = cuda.to_device(host)
        cuda.elementwise.assign_forward(target(y), source(cuda.to_device(x)))
        assert np.array_equal(cuda.to_host(y), want)


def test_uint16_is_moved_but_not_computed_with(device):
    """Kernels see bfloat16 in its place."""
    from hotloop.kernels import cuda

    x = np.array([1, 2**15 + 3, 2**16 - 1], np.uint16)
    y = poison(3, np.uint16)
    device("elementwise.copy_forward", y, x)
    assert np.array_equal(y, x)
    array = cuda.to_device(x)
    with pytest.raises(TypeError, match="uint16"):
        cuda.elementwise.add_forward(array, array, array)
    with pytest.raises(TypeError, match="uint16"):
        cuda.elementwise.copy_forward(cuda.empty((3,), np.float32), array)


def test_arguments_are_refused(device):
    from hotloop.kernels import cuda

    x = np.ones((2, 3), np.float32)
    y = cuda.to_device(x)
    relu = cuda.activation.relu_forward
    with pytest.raises(TypeError, match=r"relu_forward: x: expected a CUDA array, got numpy\.ndarray"):
        relu(y, x)
    with pytest.raises(TypeError, match="expected float32"):
        relu(y, cuda.to_device(x.astype(np.float64)))
    with pytest.raises(ValueError, match="expected the shape of the others"):
        relu(y, cuda.to_device(np.ones((2, 4), np.float32)))
    with pytest.raises(ValueError, match="C-contiguous"):
        relu(y, cuda.to_device(np.ones((3, 2), np.float32)).T)
    with pytest.raises(TypeError, match="no NumPy array"):
        np.asarray(y)


def test_views(device, rng):
    """Views are NumPy's: the same shapes and strides, and the same elements on the host."""
    from hotloop.kernels import cuda

    host = rng.standard_normal((4, 1, 6)).astype(np.float32)
    array = cuda.to_device(host)
    for view in (
        lambda a: a[1:3, 0],
        lambda a: a[::-1, :, 1::2],
        lambda a: a[-1, ..., 2],
        lambda a: a[:, None, 0, 2:4],
        lambda a: a[4:],
        lambda a: a.transpose(2, 0, 1)[1],
        lambda a: a.swapaxes(0, 2).reshape(6, 4),
        lambda a: a.T.squeeze(),
        lambda a: a.squeeze(1)[:, ::3].reshape(4, 1, 2, 1),
        lambda a: a.reshape(2, -1),
        lambda a: np.broadcast_to(a, (2, 4, 3, 6)),
    ):
        got, want = view(array), view(host)
        assert got.shape == want.shape and got.ndim == want.ndim and got.size == want.size
        assert got.flags.c_contiguous == want.flags.c_contiguous
        assert np.array_equal(cuda.to_host(got), want)
    with pytest.raises(ValueError, match="copy it first"):
        array.T.reshape(-1)
    with pytest.raises(IndexError):
        array[4]


# ---- a network on the device


def train(device, x, labels, make, steps=3):
    """Losses of a small network, and its parameters at the end: everything goes through nn and optim."""
    from hotloop import nn, optim
    from hotloop.nn import rng
    from hotloop.nn.activations import ReLU

    rng.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 8), ReLU(), nn.Dropout(0.3), nn.Linear(8, 7, activation="gelu"), nn.Linear(7, 3))
    model.to(device)
    # the same masks: a device's own generator begins at the seed, where the CPU's made the first weights
    rng.set_rng_state(np.array([3, 1000], np.uint64), device)
    optimizer = make(optim, model.parameters())
    x, labels = nn.Tensor(x).to(device), nn.Tensor(labels).to(device)
    losses, criterion = [], nn.CrossEntropyLoss(label_smoothing=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.detach().cpu().numpy() for p in model.parameters()]


OPTIMIZERS = {
    "SGD": lambda optim, parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda optim, parameters: optim.Adam(parameters, lr=0.05),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_network_learns_as_on_the_cpu(device, rng, optimizer):
    make = OPTIMIZERS[optimizer]
    x, labels = rng.standard_normal((6, 5)).astype(np.float32), rng.integers(0, 3, 6)
    losses, parameters = train("cpu", x, labels, make)
    device_losses, device_parameters = train("cuda", x, labels, make)
    assert losses[-1] < losses[0]
    close(np.array(device_losses), np.array(losses), 1e-5, "losses")
    for i, (got, want) in enumerate(zip(device_parameters, parameters, strict=True)):
        close(got, want, 1e-5, f"parameter {i}")


def test_tensors_of_the_device(device, rng):
    """What is not computation works on a device tensor, and what cannot says so."""
    from hotloop.nn import Tensor
    from numba import cuda as numba_cuda

    host = rng.standard_normal((3, 4)).astype(np.float32)
    x = Tensor(host).to("cuda")
    assert (x.device, x.shape, x.dtype) == ("cuda", (3, 4), np.float32)
    assert x.to("cuda") is x and x.cpu().device == "cpu"
    assert np.array_equal(x.cpu().numpy(), host)
    assert np.array_equal(x.double().cpu().numpy(), host.astype(np.float64))
    with pytest.raises(TypeError):
        x.numpy()
    foreign = numba_cuda.to_device(host)
    shared = Tensor(foreign)
    shared.fill_(7.0)
    assert (foreign.copy_to_host() == 7).all(), "the same memory"


def test_devices_do_not_mix(device):
    from hotloop import nn

    layer, x = nn.Linear(3, 2), np.ones((1, 3), np.float32)
    layer.to("cuda")
    with pytest.raises((TypeError, ValueError), match="device"):
        layer(x)


def test_a_missing_kernel_is_named(device):
    from hotloop.kernels import cuda
    from hotloop.nn.doors import call

    x = cuda.to_device(np.ones(3, np.float32))
    with pytest.raises(NotImplementedError, match=r"missing\.missing_forward: the cuda backend has no such kernel"):
        call("missing.missing_forward", x)
