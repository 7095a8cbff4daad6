"""The generic instruction path: a subset of the tests with Numba told that the processor is a lesser one."""

import platform

import llvmlite.binding as llvm
import pytest
from helpers import pytest_process, python

# what is built on the register tile and on vector math, whose widths follow the target
SUBSET = ["tests/test_gemm.py", "tests/test_linear.py", "tests/test_softmax.py"]
AVX2 = "sse sse2 sse3 ssse3 sse4.1 sse4.2 popcnt avx avx2 fma bmi bmi2 lzcnt f16c movbe cx16".split()
TARGETS = {
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in AVX2)},
    "128-bit": {"NUMBA_CPU_NAME": "generic"},
}


@pytest.mark.parametrize("path", TARGETS)
def test_lesser_cpu(path):
    if path == "AVX2":
        if platform.machine().lower() not in ("x86_64", "amd64"):
            pytest.skip("AVX2 is for x86-64")
        if not llvm.get_host_cpu_features().get("avx2"):
            pytest.skip("this processor has no AVX2")
    chosen = python("-c", "from hotloop.kernels.cpu import target; print(target.path())", env=TARGETS[path])
    assert path in chosen
    pytest_process(*SUBSET, "-k", "cpu and float32 and not threads", env=TARGETS[path])
