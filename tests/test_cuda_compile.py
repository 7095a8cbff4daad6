"""Every CUDA kernel compiles for Hopper, and the real assembler takes it, with no GPU and no driver.

The public kernels run on arrays over no memory; where they would launch, the launch is compiled instead, for the types
of its arguments: PTX by NVVM, machine code by nvJitLink.
"""

import os
import re
import types as python_types
from typing import NamedTuple

import numpy as np
import pytest
from cuda_cases import at_precision, every, gathered

HOPPER, AMPERE = (9, 0, "a"), (8, 0)
# of one device function that are compiled: a tile has dozens, which differ in where operands come from
VERSIONS = 16


class Compiled(NamedTuple):
    ptx: str
    registers: int
    spilled: int  # bytes stored to local memory for want of registers
    shared: int
    said: str  # by the assembler


def without_compiler():
    """Why nothing can be compiled here, in words; empty where it can."""
    try:
        import numba_cuda  # noqa: F401
        from cuda import pathfinder
        from numba import cuda
    except ImportError:
        return "numba-cuda is not installed"
    if "simulator" in cuda.jit.__module__:
        return "the simulator has no compiler"
    try:
        for library in ("nvvm", "nvrtc", "nvJitLink"):
            pathfinder.load_nvidia_dynamic_lib(library)
    except pathfinder.DynamicLibNotFoundError:
        return "no NVVM, NVRTC or nvJitLink here: the extras cuda12 and cuda13 bring them"
    return ""


# (kernel, types, architecture) -> Compiled: the tests below ask for many of the same
KNOWN: dict = {}


class Compiler:
    """Compiles what public kernels launch; `run(path, args)` gives {name of device function: [Compiled]}."""

    def __init__(self, monkeypatch):
        from hotloop.kernels.cuda import memory, status, target, tensor_map
        from numba.cuda import dispatcher

        device = python_types.SimpleNamespace(compute_capability=HOPPER[:2], id=0)
        monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)
        monkeypatch.setattr(target, "launch", self.launch)
        monkeypatch.setattr(target, "multiprocessors", lambda: 132)
        # the driver's, where there is one
        monkeypatch.setattr(tensor_map, "describe", lambda *description: np.uint64(0))
        monkeypatch.setattr(tensor_map, "_known", {})
        # where arrays begin: on a boundary that wide loads want, or off it
        self.address = 256
        monkeypatch.setattr(memory, "take", lambda size: (self.address, self))
        monkeypatch.setattr(memory, "_default", memory.Pool())
        monkeypatch.setattr(memory._here, "pool", memory._default)
        monkeypatch.setattr(status, "word", lambda: memory.empty((1,), np.int32))
        self.monkeypatch, self.known, self.found = monkeypatch, KNOWN, {}
        # names of device functions, and how many versions of each; None: all
        self.wanted = self.most = None

    def run(self, path, args, cc=HOPPER, precision="highest"):
        import importlib

        from hotloop.kernels.cuda import memory, target

        module = importlib.import_module(f"hotloop.kernels.cuda.{path.split('.')[0]}")
        # modules hold `launch` by name
        for name, there in list(__import__("sys").modules.items()):
            if name.startswith("hotloop.kernels.cuda.") and getattr(there, "launch", None) not in (None, self.launch):
                self.monkeypatch.setattr(there, "launch", self.launch)
        self.found, self.cc = {}, cc
        self.monkeypatch.setattr(target, "compute_capability", lambda: cc[:2])
        for self.address in (256, 264):
            memory.empty_cache()
            device = [
                memory.empty(a.shape, a.dtype).view_at(a.shape, a.strides) if isinstance(a, np.ndarray) else a
                for a in args
            ]
            with at_precision(precision):
                getattr(module, path.split(".")[1])(*device)
        return self.found

    def launch(self, function, grid, block, stream, *args, shared=0):
        if 0 in (grid if isinstance(grid, tuple) else (grid,)):
            return
        if self.wanted is not None and function.py_func.__name__ not in self.wanted:
            return
        signature = tuple(map(self.type_of, args))
        key = function, signature, self.cc
        if key not in self.known:
            name = function.py_func.__name__
            if self.most and sum(f.py_func.__name__ == name and cc == self.cc for f, _, cc in self.known) >= self.most:
                return
            self.known[key] = self.compile(function, signature)
        versions = self.found.setdefault(function.py_func.__name__, [])
        if self.known[key] not in versions:
            versions.append(self.known[key])

    def type_of(self, value):
        from hotloop.kernels.cuda.array import Array
        from hotloop.kernels.cuda.half import stored_as
        from numba.cuda import types

        if isinstance(value, Array):
            name = stored_as(value.dtype).name
            layout = "C" if value.flags.c_contiguous else "A"
            return types.Array(types.boolean if name == "bool" else getattr(types, name), value.ndim, layout)
        if isinstance(value, (bool, np.bool_)):
            return types.boolean
        if isinstance(value, np.generic):
            return getattr(types, value.dtype.name)
        return types.int64 if isinstance(value, int) else types.float64

    def compile(self, function, signature):
        from cuda.core import Linker, LinkerOptions, ObjectCode
        from numba import cuda
        from numba.cuda import types

        options = {
            k: v for k, v in function.targetoptions.items() if k in ("fastmath", "launch_bounds", "max_registers")
        }
        ptx, _ = cuda.compile_ptx(function.py_func, types.void(*signature), cc=self.cc, **options)
        architecture = "sm_" + "".join(map(str, self.cc))
        options = LinkerOptions(arch=architecture, ptxas_options=["-v"])
        linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
        linker.link("cubin")
        said = linker.get_info_log()
        registers = int(re.search(r"Used (\d+) registers", said)[1])
        spilled = int(re.search(r"(\d+) bytes spill stores", said)[1])
        shared = re.search(r"(\d+) bytes smem", said)
        return Compiled(ptx, registers, spilled, int(shared[1]) if shared else 0, said)


def beside(session):
    """Whether tests/test_cuda.py has these tests run in another process meanwhile."""
    inside = "HOTLOOP_TEST_PROCESS" in os.environ
    return not inside and any(item.name == "test_through_the_assembler" for item in session.items)


@pytest.fixture
def compiler(monkeypatch, request):
    if beside(request.session):
        pytest.skip("they run in a process of their own beside these tests")
    if why := without_compiler():
        pytest.skip(why)
    return Compiler(monkeypatch)


def test_every_kernel_assembles(compiler):
    double, count = gathered("DOUBLE"), 0
    compiler.most = VERSIONS
    for name, case in every(np.float32):
        for function, versions in compiler.run(case.path, case.args, precision=case.precision).items():
            for version in versions:
                assert ".target sm_90a" in version.ptx
                assert version.spilled == 0 or function not in gathered("CORES"), f"{name}: {function} spills"
                if function not in double:
                    assert ".f64" not in version.ptx, f"{name}: float64 in the float32 kernel {function}"
                count += 1
    assert count > 200


def test_float64_and_halves_assemble(compiler):
    """The first case of the first kernel of each module, in one type after the other: the source is that of float32."""
    from hotloop.kernels.cuda.half import HALVES

    turn = 0
    for types in (((np.float64, "cases"),), tuple((half, "half_cases") for half in HALVES)):
        seen = set()
        for cases in zip(*(every(dtype, function) for dtype, function in types), strict=True):
            module = cases[0][1].path.split(".")[0]
            if module not in seen:
                seen.add(module)
                turn += 1
                _, case = cases[turn % len(cases)]
                compiler.run(case.path, case.args)


@pytest.mark.parametrize("cc", [HOPPER, AMPERE], ids=["sm_90a", "sm_80"])
def test_cores(compiler, cc):
    """The tiles that everything stands on keep their sums in registers and use the instructions they are made of."""
    cores, seen = gathered("CORES"), set()
    # of the many versions of a tile some are enough for the older target
    compiler.wanted, compiler.most = cores, 3 if cc == AMPERE else VERSIONS
    for name, case in every(np.float32):
        for function, versions in compiler.run(case.path, case.args, cc, case.precision).items():
            for version in versions if function in cores else ():
                seen.add(function)
                assert version.spilled == 0, f"{name}: {function} spills {version.spilled} bytes for {cc}"
                for instruction, least in cores[function].items():
                    found = version.ptx.count(instruction)
                    assert found >= least, f"{name}: {function}: {found} of {instruction}, expected {least}"
    assert seen or not cores


@pytest.mark.parametrize("capability", [(8, 0), (8, 6), (9, 0)])
def test_blocks_of_attention_have_room(compiler, monkeypatch, capability):
    """Every kind of numbers has a shape for every form, in the shared memory of every device."""
    from hotloop.kernels.cuda import attention_shapes, target
    from hotloop.kernels.cuda.attention_source import shared_bytes

    monkeypatch.setattr(target, "compute_capability", lambda: capability)
    types = {"fma64": np.float64, "f16": np.float16, "bf16": np.uint16}
    for form, kind in attention_shapes.SHAPES:
        dtype = np.dtype(types.get(kind, np.float32))
        for width in (32, 64, 128, 200):
            for more in (False, True):
                shape = attention_shapes.shape_for(form, kind.removesuffix("64"), dtype, width, 1024, 1024, more)
                assert shared_bytes(form, dtype, shape) <= target.shared_limit(), f"{form} {kind} {width}"


def test_attention_rounds_its_largest_scores(compiler):
    """A product that the assembler may fuse would change them from step to step."""
    from cuda_cases import attention

    rng = np.random.default_rng(0)
    plain = next(attention.both(rng, np.dtype(np.float32), (1, 1, 1, 8, 8, 32, 32), "plain"))
    (version,) = compiler.run(*plain[:2])["attention_forward"]
    # of each of a thread's rows the largest so far, and the one before
    assert version.ptx.count("mul.rn.f32") >= 8


def test_uniform_rounds_its_product(compiler):
    """A fused multiply-add would give other bits than the CPU."""
    from cuda_cases import case

    args = np.zeros(64, np.float32), np.zeros(2, np.uint64), 0.1, 0.7
    (version,) = compiler.run(*case("random.uniform_forward", *args)[:2])["_uniform_single"]
    assert "mul.rn.f32" in version.ptx
    assert "fma" not in version.ptx
