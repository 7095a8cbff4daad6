"""Memory, streams and foreign arrays: in the simulator, or on a device where there is one."""

import gc

import numpy as np
import pytest
from helpers import require_cuda


@pytest.fixture
def cuda():
    require_cuda()
    from hotloop.kernels import cuda

    return cuda


# ---- memory


def test_memory_is_used_again(cuda):
    memory = cuda.memory
    memory.empty_cache()
    gc.collect()
    before = memory.memory_allocated()
    a = cuda.empty((100, 7), np.float32)
    pointer = a.pointer
    assert memory.memory_allocated() - before == memory.rounded(2800) and pointer % 256 == 0
    view = a[3:, 2]
    del a
    assert memory.memory_allocated() > before, "a view keeps its memory"
    del view
    assert memory.memory_allocated() == before and memory.memory_cached() == memory.rounded(2800)
    b = cuda.empty((699,), np.float32)
    assert b.pointer == pointer and memory.memory_cached() == 0
    del b
    memory.empty_cache()
    assert memory.memory_cached() == 0


def test_what_a_kernel_works_with_is_memory_of_its_stream(cuda):
    """Else work of two streams could meet there."""
    stream, pool = cuda.target.cuda.stream(), cuda.memory._default
    x, y = cuda.to_device(np.ones((1, 20000, 1), np.float32)), cuda.empty((1, 1), np.float32)
    cuda.synchronize()
    cuda.reduce.sum_forward(y, x, stream=stream)
    assert any(kept_for is stream for kept_for, _ in pool.free)
    assert cuda.target.current_stream() == 0
    cuda.synchronize()
    assert cuda.to_host(y) == 20000


def test_sizes_are_rounded_by_an_eighth_at_most(cuda):
    rounded = cuda.memory.rounded
    assert rounded(0) == rounded(1) == rounded(512) == 512
    for size in (513, 5000, 10**6 + 1, 123_456_789, 2**30, 2**30 + 1):
        assert size <= rounded(size) <= max(size * 1.125, size + 512) and rounded(size) % 256 == 0
        assert rounded(rounded(size)) == rounded(size)


def test_streams_do_not_share_memory(cuda):
    """Work of two streams is in no order: memory that one gave back may still be read there."""
    import hotloop

    s = hotloop.cuda.Stream()
    a = cuda.empty((64,), np.float32)
    pointer = a.pointer
    del a
    with hotloop.cuda.stream(s):
        assert hotloop.cuda.current_stream() is not 0 and cuda.empty((64,), np.float32).pointer != pointer  # noqa: F632
    assert hotloop.cuda.current_stream() == 0 and cuda.empty((64,), np.float32).pointer == pointer


def test_out_of_memory_is_told(cuda, monkeypatch):
    def refuse(size):
        raise RuntimeError("[2] CUDA_ERROR_OUT_OF_MEMORY in cuMemAlloc")

    cuda.memory.empty_cache()
    monkeypatch.setattr(cuda.memory, "take", refuse)
    with pytest.raises(MemoryError, match=r"CUDA out of memory: asked for 1\.0 GiB|asked for 1\.00 GiB"):
        cuda.empty((2**28,), np.float32)


def test_waiting_memory_is_given_back_before_giving_up(cuda, monkeypatch):
    taken, take = [], cuda.memory.take

    def once_full(size):
        taken.append(size)
        if len(taken) == 1:
            raise MemoryError
        assert cuda.memory.memory_cached() == 0
        return take(size)

    del_me = cuda.empty((10_000,), np.float32)
    del del_me
    monkeypatch.setattr(cuda.memory, "take", once_full)
    assert cuda.empty((77_777,), np.float64).shape == (77_777,) and len(taken) == 2


# ---- arrays of other libraries


def test_tables_that_others_share_are_made_before(cuda):
    """In a recording they would be made by its replays alone."""
    from hotloop import nn
    from hotloop.nn import functional as F

    x, g = nn.Tensor(cuda.to_device(np.ones((1, 1, 3, 5), np.float32))), cuda.graph.CUDAGraph()
    with pytest.raises(RuntimeError, match=r"tables.*recorded step"), cuda.graph.graph(g):
        F.interpolate(x, size=(4, 9))
    want = F.interpolate(x, size=(4, 9)).data
    with cuda.graph.graph(g):
        got = F.interpolate(x, size=(4, 9)).data
    g.replay()
    assert np.array_equal(cuda.to_host(got), cuda.to_host(want))


def test_dlpack_shares_memory(cuda):
    """Out and in again; views keep their strides."""
    from hotloop.kernels.cuda import dlpack

    array = cuda.to_device(np.arange(12, dtype=np.float32).reshape(3, 4))
    before = len(dlpack._lent)
    again = dlpack.adopt(array[1:, ::2])
    assert again.pointer == array.pointer + 16 and again.strides == (16, 8) and again.dtype == np.float32
    assert cuda.to_host(again).tolist() == [[4, 6], [8, 10]] and len(dlpack._lent) == before + 1
    del again
    assert len(dlpack._lent) == before, "what was lent has been given back"
    unused = array.__dlpack__()
    del unused
    assert len(dlpack._lent) == before
    for dtype in ("int64", "uint8", "float16", "bool"):
        host = np.array([0, 1, 1]).astype(dtype)
        assert cuda.to_host(dlpack.adopt(cuda.to_device(host))).tolist() == host.tolist()


def test_torch_shares_memory(cuda):
    torch = pytest.importorskip("torch")
    from hotloop import nn

    x = nn.Tensor(np.zeros((2, 3), np.float32)).to("cuda")
    theirs = torch.from_dlpack(x)
    theirs[1, 2] = 7
    if theirs.is_cuda:
        torch.cuda.synchronize()
    assert x.cpu().numpy()[1, 2] == 7 and theirs.data_ptr() == x.data.pointer


def test_bfloat16_is_stored(cuda):
    import hotloop
    from hotloop import nn

    pytest.importorskip("ml_dtypes")
    x = nn.Tensor(np.array([1.0, 1 + 2.0**-9, -3.0], np.float32)).to("cuda").bfloat16()
    assert x.dtype == hotloop.bfloat16 and x.is_floating_point() and x.nbytes == 6
    assert x.float().cpu().tolist() == [1, 1, -3] and (x + x).float().cpu().tolist() == [2, 2, -6]


def test_devices_by_name():
    import hotloop

    device = hotloop.device("cuda:0")
    assert device == "cuda" and device.type == "cuda" and device.index == 0 and hotloop.device("cpu").index is None
    assert repr(device) == "device(type='cuda')" and hotloop.zeros(1).device.type == "cpu"
    with pytest.raises(ValueError, match="expected the device 'cpu' or 'cuda', got 'tpu'"):
        hotloop.device("tpu")


@pytest.mark.parametrize(
    "driver, toolkit, words",
    [
        (None, dict.fromkeys(("NVVM", "NVRTC", "nvJitLink"), (13, 0)), ["driver of version 580 or newer"]),
        ((13, 0), dict.fromkeys(("NVVM", "NVRTC", "nvJitLink"), (13, 0)), []),
        ((13, 2), dict.fromkeys(("NVVM", "NVRTC", "nvJitLink"), (12, 9)), []),
        ((13, 0), dict.fromkeys(("NVVM", "NVRTC", "nvJitLink"), (13, 4)), ["newer than the driver.*toolkit==13.0"]),
        ((12, 4), dict.fromkeys(("NVVM", "NVRTC", "nvJitLink"), (13, 0)), [r"pip install 'hotloop\[cuda12\]'"]),
        ((13, 0), {"NVVM": (13, 0), "NVRTC": (12, 9), "nvJitLink": (13, 0)}, ["side by side"]),
        ((13, 0), {"NVVM": (13, 0)}, ["NVRTC and nvJitLink missing"]),
    ],
    ids=str,
)
def test_the_doctor_knows_what_does_not_fit(driver, toolkit, words):
    import re

    from hotloop.kernels.doctor_cuda import troubles

    found = troubles(driver, toolkit)
    assert len(found) == len(words)
    for pattern, sentence in zip(words, found, strict=True):
        assert re.search(pattern, sentence), sentence


def test_memory_of_another_device_is_refused(cuda, monkeypatch):
    class Elsewhere:
        def __init__(self):
            self.__cuda_array_interface__ = dict(shape=(3,), typestr="<f4", data=(16, False), version=3, strides=None)

    def refuse(*args, **kwargs):
        raise RuntimeError("CUDA_ERROR_INVALID_VALUE")

    monkeypatch.setattr(cuda.target.cuda, "as_cuda_array", refuse, raising=False)
    with pytest.raises(ValueError, match=r"expected memory of the current CUDA device.*INVALID_VALUE"):
        cuda.adopt(Elsewhere())


def test_without_a_device_it_says_so():
    """No driver, or no numba-cuda: what to do is in the words."""
    from helpers import python

    code = (
        "import hotloop\nfrom hotloop import nn\n"
        "try:\n    nn.Linear(2, 1).to('cuda')\nexcept RuntimeError as e:\n    print(e)\n"
        "assert not hotloop.cuda.is_available() and hotloop.cuda.device_count() == 0"
    )
    environment = {"NUMBA_ENABLE_CUDASIM": "0", "CUDA_VISIBLE_DEVICES": "", "NUMBA_DISABLE_CUDA": "1"}
    assert "python -m hotloop doctor" in python("-c", code, env=environment)


def test_devices_by_number():
    import hotloop

    assert hotloop.device(0) == hotloop.device("cuda", 0) == "cuda"
    for wrong in (lambda: hotloop.device("cuda", 1), lambda: hotloop.device(1), lambda: hotloop.zeros(1).cuda("cpu")):
        with pytest.raises(ValueError, match=r"expected (a CUDA device|the device 'cpu' or 'cuda')"):
            wrong()
