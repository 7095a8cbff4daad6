"""Vector math: errors in units of the last place over the whole range, special values, and that loops become vectors.

float32 is compared with float64 functions, whose own error does not show. float64 is compared with NumPy's in extended
precision where the machine has one (x86), else with its float64 functions, whose error of up to 1 ulp is then allowed
for. erf has no reference beyond math.erf (below 1 ulp).
"""

import math

import numpy as np
import pytest
from helpers import python
from hotloop.kernels.cpu import vecmath
from hotloop.kernels.jit import standalone

EXTENDED = np.finfo(np.longdouble).nmant > 60
WIDE = np.longdouble if EXTENDED else np.float64


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


REFERENCES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "erf": np.vectorize(lambda x: math.erf(x), otypes=[np.float64]),
}
NAMES = sorted(REFERENCES)
# promised errors in ulp, float32 and float64
LIMITS = {"tanh": (3, 4), "sigmoid": (3, 4)}
OTHERS = (2, 2)

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -np.nan]


def loop(name):
    f = getattr(vecmath, name)

    @standalone
    def run(y, x):
        for i in range(x.size):
            y[i] = f(x[i])

    return run


def apply(name, x):
    y = np.full_like(x, np.nan)
    loop(name)(y, x)
    return y


def reference(name, x):
    # signalling NaNs and what overflows are among them
    with np.errstate(all="ignore"):
        return REFERENCES[name](x.astype(np.float64 if x.dtype == np.float32 or name == "erf" else WIDE))


def worst(got, want):
    """The largest error in ulp and where; NaN, infinities and zeros' signs must be the same."""
    with np.errstate(over="ignore"):
        rounded = want.astype(got.dtype)
    assert np.array_equal(np.isnan(got), np.isnan(rounded))
    infinite = np.isinf(rounded) | np.isinf(got)
    assert np.array_equal(got[infinite], rounded[infinite])
    at = np.flatnonzero(np.isfinite(rounded) & np.isfinite(got))
    unit = np.spacing(np.abs(rounded[at])).astype(want.dtype)
    error = np.abs(got[at].astype(want.dtype) - want[at]) / unit
    return float(error.max()), at[error.argmax()]


def thresholds(dtype):
    """Both sides of where results overflow, become denormal, vanish or saturate, in float32 and in float64."""
    limits = np.finfo(dtype)
    edges = [math.log(limits.max), math.log(limits.tiny), math.log(limits.smallest_subnormal), math.log(limits.eps)]
    edges += [edges[2] - math.log(2), 0.5 * math.log(2), math.sqrt(0.5), math.sqrt(2), 9.01, 19.06, 3.92, 5.92]
    edges += [limits.max, limits.tiny, limits.smallest_subnormal, 2.0**64, limits.eps / 2]
    with np.errstate(over="ignore"):
        edges = np.array(edges, dtype)
        around = [edges]
        for towards in (-np.inf, np.inf):
            step = edges
            for _ in range(3):
                step = np.nextafter(step, dtype.type(towards))
                around.append(step)
        around = np.concatenate(around)
    return np.concatenate([around, -around, np.array(SPECIAL, dtype)])


def limit(name, dtype):
    return LIMITS.get(name, OTHERS)[dtype == np.float64]


@pytest.mark.parametrize("name", NAMES)
def test_float32_over_all_bit_patterns(name):
    # every 1021st of them (a prime: all exponents, all low bits), and the edges
    patterns = np.arange(0, 2**32, 1021, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([patterns, thresholds(np.dtype(np.float32))])
    error, at = worst(apply(name, x), reference(name, x))
    print(f"{name}: {error:.3f} ulp at {x[at]!r}")
    assert error <= limit(name, np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_float64_over_the_range(rng, name):
    near = [scale * rng.standard_normal(50_000) for scale in (1e-3, 0.3, 1, 3, 10, 50, 300)]
    far = np.exp(rng.uniform(-745, 709, 50_000)) * rng.choice([-1.0, 1.0], 50_000)
    x = np.concatenate([*near, far, np.linspace(0.5, 2, 50_001), thresholds(np.dtype(np.float64))])
    error, at = worst(apply(name, x), reference(name, x))
    slack = 0 if EXTENDED and name != "erf" else 1
    print(f"{name}: {error:.3f} ulp at {x[at]!r}")
    assert error <= limit(name, np.float64) + slack


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "erf"])
def test_odd_at_zero(dtype, name):
    """Zeros keep their sign, denormal numbers their value."""
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, tiny, -tiny], dtype)
    y = apply(name, x)
    assert np.array_equal(np.signbit(y), np.signbit(x))
    # 1.128 times the smallest number rounds to it
    assert np.array_equal(y, x)


def test_special_values(dtype):
    inf, nan = np.inf, np.nan
    # of 0, -0, 1, -1, inf, -inf
    x = np.array(SPECIAL[:6], dtype)
    want = {
        "exp": [1, 1, math.e, 1 / math.e, inf, 0],
        "expm1": [0, 0, math.e - 1, 1 / math.e - 1, inf, -1],
        "log": [-inf, -inf, 0, nan, inf, nan],
        "log1p": [0, 0, math.log(2), -inf, inf, nan],
        "tanh": [0, 0, math.tanh(1), -math.tanh(1), 1, -1],
        "sigmoid": [0.5, 0.5, 1 / (1 + 1 / math.e), 1 / (1 + math.e), 1, 0],
        "erf": [0, 0, math.erf(1), -math.erf(1), 1, -1],
    }
    for name, values in want.items():
        # 3 ulp: finer is the business of the tests above
        np.testing.assert_allclose(apply(name, x), np.array(values, dtype), rtol=3 * np.finfo(dtype).eps)
        assert np.isnan(apply(name, np.array([nan, -nan], dtype))).all(), name


def test_the_measure_sees_a_wrong_last_place():
    x = np.linspace(-5, 5, 1001).astype(np.float32)
    got = apply("exp", x)
    got[500] *= np.float32(1 + 3e-7)
    error, at = worst(got, reference("exp", x))
    assert error > 2 and at == 500


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bits", [32, 64])
def test_loops_become_vectors(name, bits):
    """On AVX2 too: the loop multiplies and adds whole 256-bit vectors, and calls nothing."""
    code = f"""
import numpy as np
from hotloop.kernels.cpu import vecmath
from hotloop.kernels.jit import standalone

@standalone
def run(y, x):
    y, x = y[:], x[:]
    for i in range(x.size):
        y[i] = vecmath.{name}(x[i])

run(np.empty(64, np.float{bits}), np.ones(64, np.float{bits}))
print(*run.inspect_asm().values())
"""
    avx2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt,+lzcnt"
    assembly = python("-c", code, env={"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": avx2})
    kind = "ps" if bits == 32 else "pd"
    wide = [line for line in assembly.splitlines() if "vfm" in line or "vfnm" in line]
    assert sum(kind in line and "ymm" in line for line in wide) >= 4
    assert "zmm" not in assembly
    for scalar_function in ("exp", "log", "tanh", "erf", "fma"):
        assert f"{scalar_function}f@" not in assembly and f"${scalar_function}" not in assembly
