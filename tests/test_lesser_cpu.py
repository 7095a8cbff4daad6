"""The generic instruction path: a subset of the tests with Numba told that the processor is a lesser one."""

import platform

import llvmlite.binding as llvm
import pytest
from helpers import python

# what is built on the register tile, on vector math and on lines of vectors, whose widths follow the target
PRODUCTS = ("sizes", "accuracy", "special", "bits", "batches", "guard")
SUBSET = ["tests/test_gemm.py", *(f"tests/test_gemm_{idea}.py" for idea in PRODUCTS)]
SUBSET += ["tests/test_packed.py", "tests/test_linear.py", "tests/test_linear_epilogues.py", "tests/test_softmax.py"]
SUBSET += ["tests/test_embedding.py", "tests/test_rotary.py", "tests/test_attention.py"]
AVX2 = "sse sse2 sse3 ssse3 sse4.1 sse4.2 popcnt avx avx2 fma bmi bmi2 lzcnt f16c movbe cx16".split()
TARGETS = {"128-bit": {"NUMBA_CPU_NAME": "generic"}}
if platform.machine().lower() in ("x86_64", "amd64") and llvm.get_host_cpu_features().get("avx2"):
    TARGETS["AVX2"] = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in AVX2)}
CHOICE = ("-k", "cpu and float32 and not threads")
# loops over images are written in vectors and masks, too
IMAGES = ("tests/test_conv.py", "tests/test_winograd.py", "tests/test_pool.py", "-k", "float32 and not (ref or torch)")

DOUBLES = ("tests/test_gemm_sizes.py", "-k", "float64 and not threads")


@pytest.mark.parametrize("path", TARGETS)
def test_path(path):
    chosen = python("-c", "from hotloop.kernels.cpu import target; print(target.path())", env=TARGETS[path])
    assert path in chosen


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=pytest.mark.process(*SUBSET, *CHOICE, env=env)) for p, env in TARGETS.items()]
)
def test_lesser_cpu(path, process):
    process()


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=pytest.mark.process(*IMAGES, env=env)) for p, env in TARGETS.items()]
)
def test_images(path, process):
    process()


@pytest.mark.process(*DOUBLES, env=TARGETS["128-bit"])
def test_two_numbers_to_a_vector(process):
    process()
