"""Float32 products on AMX tiles, in a process that is told the processor has AMX; and the choice of precision.

Where the processor has it, the instructions run on it; elsewhere they are emulated, see amx_emulator.py.
"""

import platform
import re
import sys

import hotloop
import llvmlite.binding as llvm
import pytest
from helpers import python
from hotloop.kernels import state
from hotloop.kernels.cpu import target

FEATURES = llvm.get_host_cpu_features()
NAMES = ("amx-tile", "amx-bf16")
on_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or not FEATURES.get("avx512bw"),
    reason="the AMX path needs Linux on x86-64, and AVX-512 around the tiles",
)
WITH = {"NUMBA_CPU_FEATURES": ",".join("-+"[present or name in NAMES] + name for name, present in FEATURES.items())}
WITHOUT = {
    "NUMBA_CPU_FEATURES": ",".join("-+"[present and name not in NAMES] + name for name, present in FEATURES.items())
}

CASES = [f"tests/amx_{idea}.py" for idea in ("cases", "special", "split", "packed", "recurrent")] + [
    "tests/test_gemm_epilogue.py"
]
# packed weights lie differently there
CASES += [f"tests/test_packed.py::test_{name}" for name in ("small_sizes", "packing_depends_on_nothing_else")]


@on_linux
@pytest.mark.process(*CASES, env=WITH)
def test_the_path(process):
    process()


@on_linux
def test_code_with_and_without_amx_is_kept_apart(tmp_path):
    program = """
import numpy as np
from hotloop.kernels import jit
from hotloop.kernels.cpu import elementwise, target
elementwise.fill_forward(np.empty(3), 1.0)
print(target.AMX, *(how for _, _, how in jit.compile_log))
"""
    env = {"HOTLOOP_CACHE": tmp_path}
    assert python("-c", program, env=WITH | env).split() == ["True", "compiled"]
    assert python("-c", program, env=WITHOUT | env).split() == ["False", "compiled"]
    assert python("-c", program, env=WITH | env).split() == ["True", "loaded"]


@on_linux
def test_doctor_says_whether_tiles_may_be_used():
    out = python("-m", "hotloop", "doctor", env=WITH)
    path, precision = (
        re.search(rf"^{subject} +(.*)", out, re.M)[1] for subject in ("instruction path", "matmul precision")
    )
    assert "AMX split bf16" in path
    granted = "6 bf16 products on AMX tiles" in precision
    assert granted != ("refused by the system" in path)
    assert granted != ("the system refuses its use" in precision)
    assert FEATURES.get("amx-bf16") or not granted
    assert "no AMX" in python("-m", "hotloop", "doctor", env=WITHOUT)


@pytest.fixture
def highest():
    yield
    hotloop.set_matmul_precision("highest")


def test_precision_is_kept(highest):
    assert hotloop.get_matmul_precision() == "highest"
    there = bool(state.words[state.PRODUCTS])
    for name, products in {"high": 3, "medium": 1, "highest": 6}.items():
        hotloop.set_matmul_precision(name)
        assert hotloop.get_matmul_precision() == name
        # 0 where there are no tiles to be less precise on
        assert state.words[state.PRODUCTS] == (products if there else 0)
    assert target.AMX or not there


@pytest.mark.parametrize("precision", ["Highest", "", "low", 6, None, ["high"]])
def test_what_is_no_precision_is_refused(highest, precision):
    hotloop.set_matmul_precision("high")
    with pytest.raises(ValueError) as refusal:
        hotloop.set_matmul_precision(precision)
    assert '"highest", "high", "medium"' in str(refusal.value)
    assert repr(precision) in str(refusal.value)
    assert hotloop.get_matmul_precision() == "high"
