"""Arguments for any kernel, made from its documented shapes: for tests that walk through all of them.

LARGE sizes give a kernel several chunks and a remainder; values are such that every formula is defined.
"""

import sys

import numpy as np
from hotloop.kernels import jit, warmup

# by the letters of kernels/README.md; FLAT: elements of arrays of any shape
LARGE = {
    **dict(N=700, D=130, E=9, H=70, T=5, L=1, P=3, B=3, FLAT=100_003),
    **dict(O=5, R=307, I=129, C=67, K=41, M=33, Q=7, S=1031, G=3, V=503),
}
# around one vector
SMALL = {
    **dict(N=17, D=15, E=3, H=33, T=2, L=1, P=3, B=2, FLAT=31),
    **dict(O=3, R=19, I=17, C=5, K=7, M=9, Q=3, S=33, G=2, V=11),
}
SCALARS = {
    **dict(ignore_index=-100, label_smoothing=0.1, activation=2, reduction=1, correction=1.0, blocks=3),
    **dict(low=0, high=1, step=0.25, size=9, stride=3, p=0.3, value=0.7),
}

# how many numbers an update rule has of its own; behind them come three of the gradient
HYPER = {
    **dict(adadelta=4, adagrad=5, adam=5, adamax=5, asgd=5, lamb=5, lars=5, lion=4, nadam=6, radam=5, rmsprop=5),
    **dict(rprop=5, schedule_free_adamw=8, sgd=4),
}


def _special(path, s):
    """Sizes, and values by name, of kernels whose arguments depend on one another."""
    module = path.partition(".")[0]
    if module == "broadcast":
        # one operand is dense, the other is a row that repeats
        strides = dict(a0=s["Q"] * s["R"] * s["S"], a1=s["R"] * s["S"], a2=s["S"], a3=1, b0=0, b1=0, b2=0, b3=1)
        return {"A": s["P"] * strides["a0"], "B": s["S"]}, strides
    if module == "gemm":
        m, n, k = (141, 150, 263) if path.startswith("gemm.matmul") and s is LARGE else (41, 50, 63)
        return dict(M=m, N=n, P=m, Q=k, R=k, S=n), {}
    if module == "matmul_packed":
        # columns in whole panels of any target: as many elements packed as not
        return dict(M=41, N=96, P=41, Q=63, R=63, S2=96, S=63 * 96), dict(transpose_a=False, transpose_b=False)
    if module == "attention":
        # several blocks of queries and of keys, and a remainder; dropped weights, a mask, keys that come later
        large = dict(N=2, H=6, G=3, L=301, S=587, D=40, E=33)
        return large if s is LARGE else dict(N=2, H=4, G=2, L=17, S=33, D=15, E=3), dict(rate=0.3, scale=0.2)
    if module == "bilinear" and s is LARGE:
        return {"N": 61, "D": 31}, {}
    if module in ("pool_max", "pool_average"):
        sizes, tables = _windows(s)
        return sizes, tables
    if module == "pool_windows":
        return {"O": 17, "A": 2}, dict(axis=1, size=s["FLAT"], kernel=3)
    if module == "conv":
        large = dict(N=3, C=34, K=40, ID=2, IH=19, IW=37, KD=1, KH=3, KW=3, OD=2, OH=10, OW=36, groups=2)
        small = dict(N=2, C=6, K=4, ID=2, IH=5, IW=9, KD=2, KH=3, KW=2, OD=1, OH=3, OW=8, groups=2)
        strides = dict(sd=1, sh=2, sw=1, pd=0, ph=1, pw=1, dd=1, dh=1, dw=1, groups=2)
        return large if s is LARGE else small, strides
    if module == "conv_transpose":
        large = dict(N=3, C=34, K=40, ID=2, IH=10, IW=36, KD=1, KH=3, KW=3, OD=2, OH=20, OW=36, groups=2)
        small = dict(N=2, C=6, K=4, ID=1, IH=3, IW=8, KD=2, KH=3, KW=2, OD=2, OH=5, OW=9, groups=2)
        return large if s is LARGE else small, dict(sd=1, sh=2, sw=1, pd=0, ph=1, pw=1, dd=1, dh=1, dw=1, groups=2)
    if module == "rotary":
        # part of a row, in vectors and a remainder
        return (dict(N=7, L=70, H=5, D=130, B=7, P=41) if s is LARGE else dict(N=2, D=15, B=2, P=5)), {}
    if module == "additive":
        return (dict(N=5, L=19, S=131, H=150) if s is LARGE else dict(N=2, L=3, S=5)), {}
    if module == "pad":
        # reflected: one element in front of each dimension, and two behind
        sizes = dict(P=s["K"], ID=s["P"], IH=s["P"], IW=s["I"], OD=s["P"] + 3, OH=s["P"] + 3, OW=s["I"] + 3)
        return sizes, dict(front_d=1, front_h=1, front_w=1, mode=1)
    if module == "unfold":
        large = dict(N=3, C=7, IH=29, IW=37, KH=3, KW=2, OH=15, OW=38)
        small = dict(N=2, C=3, IH=5, IW=17, KH=2, KW=3, OH=3, OW=17)
        return large if s is LARGE else small, dict(sh=2, sw=1, ph=1, pw=1, dh=1, dw=1)
    if module == "shuffle":
        return dict(P=s["K"], H=s["P"], I=2, W=s["S"], J=2, N=s["K"], A=s["P"], B=s["Q"]), {}
    if module == "interpolate":
        return _resampling(s)
    if module == "interpolate_taps":
        return {"K": 5, "O": 37}, dict(size=70, scale=0.0, mode=4)
    if module == "ctc":
        # labels of samples one behind the other; of every length, the last sample has all steps
        n, t = (41, 43) if s is LARGE else (5, 9)
        lengths = np.arange(n) % 19
        return {"N": n, "T": t, "A": lengths.sum()}, {
            "input_lengths": t - np.arange(n)[::-1] % (t + 1),
            "target_lengths": lengths,
            **dict(step=0, blank=1, zero_infinity=False),
        }
    if path == "index.nonzero_forward":
        return {"K": s["N"]}, {"x": np.ones(s["N"], bool)}
    if path == "sequence.rows_forward":
        return {"M": s["N"] * s["T"]}, {"counts": np.full(s["T"], s["N"])}
    if path == f"{module}.{module}_update" and module in HYPER:
        return {"H": HYPER[module] + 3}, {}
    if path in ("sgd.sgd_rows_update", "sparse_adam.sparse_adam_update"):
        # rows ascend; no weight decay
        return {}, {"rows": np.arange(s["K"]), "hyper": np.array([0.1, 0.9, 0.9, 0.0])}
    if module == "embedding_bag":
        bags = s["M"] if s is LARGE else s["P"]
        return {"B": bags, "A": bags}, {"offsets": np.arange(bags), "mode": 0}
    if path.startswith("loss_distance.pairwise"):
        return {}, {"p": 3.0}
    return {}, {"p": 2} if path == "loss_multiclass.multi_margin_forward" else {}


def _windows(s):
    """Windows of 3 elements, 2 apart, the last of a row cut short; planes of several rows and a remainder."""
    count = (s["P"], s["Q"], s["I"])

    def table(n):
        return np.array([[(2 * o, min(2 * o + 3, 2 * n), 1) for o in range(n)]])

    sizes = dict(Q=1, R=1, S=1, P=s["K"], OD=count[0], OH=count[1], OW=count[2])
    sizes |= dict(ID=2 * count[0], IH=2 * count[1], IW=2 * count[2])
    return sizes, dict(zip(("windows_d", "windows_h", "windows_w"), map(table, count), strict=True))


def _resampling(s):
    """Two taps, the second of the last place missing; planes of several rows and a remainder."""
    sizes = dict(P=s["K"], ID=2, IH=s["Q"], IW=s["I"], OD=3, OH=2 * s["Q"], OW=2 * s["I"], A=2, B=2, C=2)

    def table(size, count):
        first = np.arange(count) * size // count
        return np.array([first, first + 1])

    given = {f"taps_{axis.lower()}": table(sizes[f"I{axis}"], sizes[f"O{axis}"]) for axis in "DHW"}
    return sizes, given


def kernels():
    """{"module.kernel": public function} of kernels/cpu."""
    return {f"{module}.{name}": k for module in warmup.modules() for name, k in warmup.kernels(module).items()}


def arguments(path, specification, dtype, rng, sizes=LARGE):
    """A tuple of arguments, all optional arrays present."""
    more, values = _special(path, sizes)
    if "bitwise" in path:
        dtype = np.int64
    scope = {**sizes, **more}
    # of every length; the last sample has all steps, so that the last elements of arrays are looked at
    lengths = scope["T"] - np.arange(scope["N"])[::-1] % (scope["T"] + 1)
    values = {"lengths": lengths, **values}
    return tuple(_argument(a, scope, values, np.dtype(dtype), rng) for a in specification.arguments)


def _argument(a, scope, values, dtype, rng):
    if a.name in values:
        return values[a.name]
    if not a.is_array:
        return {"float": float, "int": int, "bool": bool}[a.kind](SCALARS.get(a.name, a.kind != "bool"))
    shape = (scope["FLAT"],) if a.any_shape else tuple(eval(d, {}, scope) for d in a.dims)
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
    count = len({name for name, _, _ in jit.compile_log} & set(kernels()))
    print(f"{count} kernels, compiled: {' '.join(compiled) or 'none'}")


if __name__ == "__main__":
    main()
