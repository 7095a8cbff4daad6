"""Arguments for any kernel, made from its documented shapes: for tests that walk through all of them.

Sizes are such that a kernel has several chunks and a remainder; values such that every formula is defined.
"""

import sys

import numpy as np
from hotloop.kernels import jit, warmup

SIZES = {
    **dict(N=700, D=130, E=9, H=70, T=5, L=1, P=3, B=3),
    **dict(O=5, R=307, I=129, C=67, K=41, M=33, Q=7, S=1031),
}
FLAT = 100_003
SCALARS = {
    **dict(ignore_index=-100, label_smoothing=0.1, activation=2, reduction=1, correction=1.0, blocks=3),
    **dict(low=0, high=1, step=0.25, size=9, stride=3, p=0.3, value=0.7),
}

# kernels whose arguments depend on one another: sizes, and values by name
SPECIAL = {
    "gemm.matmul_forward": (dict(M=141, N=150, P=141, Q=263, R=263, S=150), {}),
    "gemm.bmm_forward": (dict(B=5, M=41, N=50, P=41, Q=63, R=63, S=50), {}),
    "loss_distance.pairwise_distance_forward": ({}, {"p": 3.0}),
    "loss_distance.pairwise_distance_backward": ({}, {"p": 3.0}),
    "loss_multiclass.multi_margin_forward": ({}, {"p": 2}),
    "index.nonzero_forward": ({"K": SIZES["N"]}, {"x": np.ones(SIZES["N"], bool)}),
    "bilinear": ({"N": 61, "D": 31}, {}),
}
# one operand is dense, the other repeats its last row
_strides = dict(a0=SIZES["Q"] * SIZES["R"] * SIZES["S"], a1=SIZES["R"] * SIZES["S"], a2=SIZES["S"], a3=1)
BROADCAST = (
    {"A": SIZES["P"] * _strides["a0"], "B": SIZES["S"]},
    {**_strides, "b0": 0, "b1": 0, "b2": 0, "b3": 1},
)


def kernels():
    """{"module.kernel": public function} of kernels/cpu."""
    return {f"{module}.{name}": k for module in warmup.modules() for name, k in warmup.kernels(module).items()}


def arguments(path, specification, dtype, rng):
    """A tuple of arguments, all optional arrays present."""
    module = path.partition(".")[0]
    sizes, values = BROADCAST if module == "broadcast" else SPECIAL.get(path) or SPECIAL.get(module, ({}, {}))
    scope = {**SIZES, **sizes}
    if "bitwise" in path:
        dtype = np.int64
    return tuple(_argument(a, scope, values, np.dtype(dtype), rng) for a in specification.arguments)


def _argument(a, scope, values, dtype, rng):
    if a.name in values:
        return values[a.name]
    if not a.is_array:
        return {"float": float, "int": int, "bool": bool}[a.kind](SCALARS.get(a.name, a.kind != "bool"))
    shape = (FLAT,) if a.any_shape else tuple(eval(d, {}, scope) for d in a.dims)
    kind = np.dtype(a.dtype if a.dtype not in ("", "any", "same") else dtype)
    if kind.kind == "f":
        return rng.uniform(0.1, 0.9, shape).astype(kind)
    return rng.integers(0, 2, shape).astype(kind)


def main():
    """Run every kernel of the named modules (default: of all) once; print what was compiled or failed."""
    for path, kernel in kernels().items():
        if len(sys.argv) == 1 or path.partition(".")[0] in sys.argv[1:]:
            kernel(*arguments(path, kernel.kernel.spec, np.float32, np.random.default_rng(0)))
    compiled = [name for name, _, how in jit.compile_log if how == "compiled"]
    print(f"{len(jit.compile_log)} kernels, compiled: {' '.join(compiled) or 'none'}")


if __name__ == "__main__":
    main()
