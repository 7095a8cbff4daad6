"""The two doors, `empty` and `call`: what they do, and that layers and optimizers use nothing else."""

import ast
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from hotloop import kernels
from hotloop.nn import doors
from hotloop.nn.doors import absent, call, contiguous, copy_into, empty
from hotloop.nn.pool import ALIGNMENT, SMALL, Pool, size_class

ROOT = Path(__file__).resolve().parent.parent
F32 = np.dtype(np.float32)


# ---- nothing but the doors

# NumPy's names that touch no element of an array: dtypes, classes, questions about shapes and types, views
ALLOWED = {
    *("ndarray", "generic", "integer", "floating", "dtype", "newaxis"),
    *("bool_", "uint8", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
    *("finfo", "iinfo", "can_cast", "promote_types", "broadcast_shapes", "shape", "ndim"),
    *("may_share_memory", "shares_memory", "broadcast_to", "lib.stride_tricks.as_strided"),
}

# where the library meets the host: data comes from Python or a file, or is shown; never in a step that is recorded
HOST = {
    "nn/doors.py": None,  # the doors themselves
    "nn/pool.py": None,
    "nn/init.py": None,  # set-up before training: matrices that are drawn or decomposed on the host
    "nn/files.py": {"asarray", "frombuffer", ".astype"},  # bytes of a state file
    "nn/state_dict.py": {"asarray"},  # arrays of other libraries in a state
    "nn/rng.py": {"array", "asarray", ".copy"},  # the seed, and generator states that users take and give
    "nn/sampling.py": None,  # places drawn by weights: a search, and a sort of few numbers
    "nn/positions.py": {"stack", "ascontiguousarray"},  # the table of sinusoids, made once
    "nn/ctc_decode.py": None,  # a search among prefixes, after training
    "nn/convert.py": {"array", "array2string"},  # __array__ and repr
    "nn/sparse.py": {"array"},  # __array__
    "nn/parameter_containers.py": {".copy"},  # of a ParameterDict
}

# methods of arrays that compute, fill, cast or copy, and that no Tensor, module, dict or list has
METHODS = {"astype", "copy", "dot", "fill", "itemset", "setfield", "tobytes", "byteswap"}


def sources():
    return sorted(p.relative_to(ROOT).as_posix() for folder in ("nn", "optim") for p in (ROOT / folder).rglob("*.py"))


def dotted(node):
    """`np.linalg.qr` as its parts, innermost name first; None for what is no chain of names."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else None


def other_doors(source):
    """(line, name) of every use of NumPy in `source` that is neither a view nor a question."""
    tree = ast.parse(source)
    aliases, found, inner = set(), [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname or alias.name for alias in node.names if alias.name.partition(".")[0] == "numpy"}
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "numpy" and not node.level:
            found += [(node.lineno, alias.name) for alias in node.names if alias.name not in ALLOWED]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            part = node.value
            while isinstance(part, ast.Attribute):
                inner.add(id(part))
                part = part.value
            chain = dotted(node)
            if chain and chain[0] in aliases:
                # np.float32 is allowed, and so is np.dtype.kind
                names = [".".join(chain[1:end]) for end in range(2, len(chain) + 1)]
                if not any(name in ALLOWED for name in names):
                    found.append((node.lineno, names[-1]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            owner = node.func.value
            if not (isinstance(owner, ast.Name) and owner.id == "copy"):
                found.append((node.lineno, "." + node.func.attr))
        # y[...] = x and y[:] += x compute; an index that is a name or a number may belong to a list or dict
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Subscript):
                index = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
                several = len(index) > 1 and any(isinstance(i, ast.Constant | ast.Slice) for i in index)
                if several or (isinstance(index[0], ast.Constant) and index[0].value is Ellipsis):
                    found.append((node.lineno, "[...] ="))
                elif isinstance(node, ast.AugAssign) and isinstance(index[0], ast.Slice):
                    found.append((node.lineno, "[:] op="))
    return found


@pytest.mark.parametrize("path", [p for p in sources() if HOST.get(p, ()) is not None])
def test_only_the_two_doors(path):
    found = other_doors((ROOT / path).read_text())
    outside = [(line, name) for line, name in found if name not in HOST.get(path, ())]
    assert not outside, f"{path} reaches past nn/doors.py: {outside}"


def test_host_list_has_no_leftovers():
    for path, names in HOST.items():
        used = {name for _, name in other_doors((ROOT / path).read_text())}
        assert used >= (names or set()), f"{path} does not use {names - used} any more"


@pytest.mark.parametrize(
    "line",
    [
        "y = np.exp(x)",
        "y = np.linalg.norm(x)",
        "y = np.exp(x).reshape(2)",
        "y = numpy.zeros(3)",
        "f = np.add.reduce",
        "y = x.data.astype(np.float64)",
        "y = x.copy()",
        "y = empty((3,), d).fill(0)",
        "y[...] = x",
        "y[0, 1] = x",
        "y[1:] += x",
        "from numpy import exp",
        "y = np.multiply",
    ],
)
def test_the_scan_sees(line):
    assert other_doors(f"import numpy as np\nimport numpy\n{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "y = np.broadcast_to(x, (3,))",
        "y = np.dtype(np.float32).itemsize",
        "y = copy.copy(x)",
        "y[i] = x",
        "y[1:2] = [x]",
        "y: np.ndarray = x.reshape(-1)[2:]",
    ],
)
def test_the_scan_lets_pass(line):
    assert not other_doors(f"import numpy as np\nimport copy\n{line}\n")


# ---- empty and the pool


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (1000, 77), (0, 4)], ids=str)
def test_empty(shape, dtype):
    y = empty(shape, np.dtype(dtype))
    assert type(y) is np.ndarray and y.shape == shape and y.dtype == dtype
    assert y.flags.c_contiguous and y.flags.writeable and y.flags.aligned
    assert y.nbytes <= SMALL or y.ctypes.data % ALIGNMENT == 0
    y[...] = 1
    assert y.sum() == y.size


def test_empty_takes_what_numpy_takes():
    assert empty(3, "float64").shape == (3,) and empty([2, 3], np.float32).shape == (2, 3)
    assert empty((np.int64(2),), F32).shape == (2,)
    with pytest.raises(ValueError, match=r"without negative sizes, got \(-1,\)"):
        empty((-1,), F32)
    with pytest.raises(ValueError, match="expected the device 'cpu' or 'cuda', got 'tpu'"):
        empty((1,), F32, "tpu")


def test_size_classes():
    for n in [*range(1, 5000), 10**6, 2**20, 2**20 + 1, 2**40 + 12345]:
        size = size_class(n)
        assert n <= size <= max(n + ALIGNMENT - 1, n * 1.125 + 1) and size % ALIGNMENT == 0
        assert size_class(size) == size


@pytest.fixture
def pool():
    return Pool(1 << 20)


def place(array):
    return array.__array_interface__["data"][0]


def test_a_block_comes_back_when_the_last_view_dies(pool):
    a = pool.empty((10, 10), F32)
    where = place(a)
    view = a.reshape(-1)[50:].reshape(5, 10).T
    export = memoryview(view)
    del a, view
    assert pool.idle == 0
    other = pool.empty((100,), F32)
    assert place(other) != where
    del export
    assert pool.idle == size_class(400)
    # another shape and dtype of the same size class
    again = pool.empty((50,), np.float64)
    assert place(again) == where and pool.idle == 0


@pytest.mark.parametrize("look", ["from_dlpack", "frombuffer", "memoryview", "ctypes", "as_strided", "subclass"])
def test_every_way_of_looking_keeps_the_block(pool, look):
    class Mine(np.ndarray):
        pass

    a = pool.empty((64,), F32)
    where = place(a)
    held = {
        "from_dlpack": np.from_dlpack,
        "frombuffer": lambda a: np.frombuffer(a, np.uint8),
        "memoryview": memoryview,
        "ctypes": lambda a: a.ctypes.data_as(__import__("ctypes").c_void_p),
        "as_strided": lambda a: np.lib.stride_tricks.as_strided(a, (2, 3), (4, 4)),
        "subclass": lambda a: a.view(Mine)[3:],
    }[look](a)
    del a
    assert pool.idle == 0
    assert place(pool.empty((64,), F32)) != where
    del held
    gc.collect()
    assert place(pool.empty((64,), F32)) == where


def test_steady_use_takes_no_fresh_memory(pool):
    def step():
        arrays = [pool.empty((n, 7), F32) for n in (1, 100, 1000, 30)]
        return {place(a) for a in arrays}

    step()
    clock = pool._clock
    for _ in range(50):
        step()
    assert pool._clock == clock


def test_idle_memory_is_bounded_and_the_oldest_goes_first():
    pool = Pool(100_000)
    old = place(pool.empty((10_000,), np.uint8))
    recent = place(pool.empty((20_000,), np.uint8))
    many = [pool.empty((40_000,), np.uint8) for _ in range(3)]
    assert place(pool.empty((20_000,), np.uint8)) == recent
    del many
    assert pool.idle <= pool.limit
    assert not pool._homes[size_class(10_000)].free and old
    pool.clear()
    assert pool.idle == 0 and not any(home.free for home in pool._homes.values())


def test_evicted_blocks_are_freed():
    pool = Pool(1000)
    block = weakref.ref(pool.empty((10_000,), np.uint8).base)
    gc.collect()
    assert block() is None and pool.idle == 0


def test_many_shapes_are_not_remembered_for_ever(pool):
    for n in range(1, 10_000):
        pool.empty((n,), np.uint8)
    assert len(pool._plans) <= 4096


def test_threads_share_the_pool(pool):
    failures = []

    def work(mark):
        kept = []
        for i in range(3000):
            a = pool.empty((i % 50 + 1,), np.int64)
            a[...] = mark
            kept.append(a)
            if len(kept) > 5:
                b = kept.pop(0)
                if (b != mark).any():
                    failures.append(b)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_pool_survives_the_end_of_the_process():
    code = "import numpy as np\nfrom hotloop.nn.doors import empty\nkept = [empty((n,), np.float32) for n in range(99)]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


# ---- call


def test_call():
    y = np.empty(2, np.float32)
    call("elementwise.add_forward", y, np.ones(2, np.float32), np.ones(2, np.float32))
    assert y.tolist() == [2, 2]


def test_call_names_what_is_missing():
    x = np.ones(2, np.float32)
    with pytest.raises(NotImplementedError, match=r"elementwise\.nothing_forward: the cpu backend has no such kernel"):
        call("elementwise.nothing_forward", x)
    with pytest.raises(NotImplementedError, match=r"nothing\.x_forward: the cpu backend has no such kernel .*module"):
        call("nothing.x_forward", x)
    with pytest.raises(TypeError, match=r"add_forward: expected a NumPy array or a CUDA array, got builtins\.list"):
        call("elementwise.add_forward", [1.0])


class Device:
    """What says of itself that it is a CUDA array."""

    __cuda_array_interface__ = None
    shape, dtype, size = (3,), F32, 3


def test_backend():
    assert kernels.backend(np.ones(1)) is __import__("hotloop.kernels.cpu").kernels.cpu
    assert kernels.device_of(np.ones(1)) == "cpu" and kernels.device_of(Device()) == "cuda"
    with pytest.raises(TypeError, match="expected a NumPy array or a CUDA array"):
        kernels.backend(1.0)


def test_arrays_on_two_devices(monkeypatch):
    monkeypatch.setattr(doors, "_on_device", True)
    x = np.ones(2, np.float32)
    with pytest.raises(
        ValueError, match=r"add_forward: .*on one device, got cpu float32 \(2,\) and cuda float32 \(3,\)"
    ):
        call("elementwise.add_forward", x, Device(), x)
    call("elementwise.add_forward", x, x, x)
    assert x.tolist() == [2, 2]


def test_importing_loads_no_cuda():
    code = (
        "import sys, hotloop\nfrom hotloop import nn, optim\nimport numpy as np\n"
        "nn.Linear(2, 1)(nn.Tensor(np.ones((3, 2), np.float32)))\n"
        "assert not [m for m in sys.modules if m.startswith(('numba.cuda', 'numba_cuda', 'hotloop.kernels.cuda.'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- arrays of any strides


@pytest.mark.parametrize("dims", range(7))
def test_copies_of_any_strides(dims, rng):
    shape = tuple(range(2, 2 + dims))
    x = rng.standard_normal(shape[::-1]).astype(np.float32).T
    y = contiguous(x)
    assert y.flags.c_contiguous and (dims > 1) == (y is not x)
    np.testing.assert_array_equal(y, x)
    target = np.zeros((*shape, 2), np.float64)[..., 0]
    copy_into(target, x)
    np.testing.assert_array_equal(target, x)
    if dims:
        copy_into(target, x[..., :1])
        np.testing.assert_array_equal(target, np.broadcast_to(x[..., :1], shape))


def test_an_array_is_spread_by_strides():
    """Kernels take it as they take others; one that may not be written to stays so."""
    x = np.arange(3.0)
    spread = doors.spread(x, (2, 1, 3))
    assert spread.strides == (0, 0, 8) and spread.base is not None and spread.flags.writeable
    assert np.array_equal(spread, [[x], [x]])
    x.flags.writeable = False
    assert not doors.spread(x, (2, 3)).flags.writeable
    with pytest.raises(ValueError, match="could not be broadcast"):
        doors.spread(x, (2, 4))


def test_absent():
    assert absent(F32).shape == (0,) and absent(F32) is absent(F32) and absent(np.dtype(np.float64)).dtype == np.float64


def test_submodules_of_kernels_are_attributes():
    code = (
        "import hotloop, pytest\nfrom hotloop.kernels import cpu, ref\n"
        "assert callable(cpu.linear.linear_forward) and callable(hotloop.kernels.ref.linear.linear_forward)\n"
        "assert not hasattr(cpu, 'nothing') and not hasattr(hotloop.kernels, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
