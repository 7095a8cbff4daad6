"""The roofline picture: what kernels reach on one core, under the ceilings of that core. Writes bench/roofline.svg.

A kernel that does few operations for each byte it needs is bound by the slanted lines, memory or the cache in which its
operands lie; one that does many, by the flat ones. Bytes are those that must move once: operands in, results out.
"""

import os
from pathlib import Path

import ceilings
import hotloop
import matplotlib
import numpy as np
from hotloop.kernels.cpu.activation import gelu_forward, relu_forward
from hotloop.kernels.cpu.adam import adam_update
from hotloop.kernels.cpu.gemm import matmul_forward
from hotloop.kernels.cpu.linear import linear_backward, linear_forward
from hotloop.kernels.cpu.sgd import sgd_update
from hotloop.kernels.scalar import RELU

PICTURE = Path(__file__).resolve().parent / "roofline.svg"
ELEMENTS = {"2 k": 2**11, "32 k": 2**15, "8 M": 2**23}
CACHES = {"L1": 2**14, "L2": 2**19, "L3": 2**23, "memory": 2**28}


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def product(n):
    y, a, b = random(n, n), random(n, n), random(n, n)
    return 2 * n**3, 12 * n**2, lambda: matmul_forward(y, a, b, False, False, False)


def layer(n, d, h):
    y, x, w, b, absent = random(n, h), random(n, d), random(h, d), random(h), np.empty((0, 0), np.float32)
    moved = 4 * (n * h + n * d + h * d)
    return 2 * n * d * h, moved, lambda: linear_forward(y, absent, x, w, b, RELU)


def layer_backward(n, d, h):
    y, x, w, dy, absent = random(n, h), random(n, d), random(h, d), random(n, h), np.empty((0, 0), np.float32)
    dx, dw, db = random(n, d), random(h, d), random(h)
    moved = 4 * (2 * n * h + 2 * n * d + 2 * h * d)
    return 4 * n * d * h, moved, lambda: linear_backward(dx, dw, db, dy, x, w, y, absent, RELU, False)


def elementwise(kernel, operations, n):
    y, x = random(n), random(n)
    return operations * n, 8 * n, lambda: kernel(y, x)


def adam(n):
    param, m, v, grad, absent = random(n), np.zeros(n, np.float32), np.ones(n, np.float32), random(n), random(0)
    step, hyper = np.zeros(1), np.array([1e-4, 0.9, 0.999, 1e-8, 0.0])
    # 3 for m, 4 for v, 5 for the step, of which a root and a division
    return 12 * n, 28 * n, lambda: adam_update(param, m, v, absent, grad, step, hyper, False, False)


def sgd(n):
    param, grad, absent, step, hyper = random(n), random(n), random(0), np.zeros(1), np.array([1e-4, 0.0, 0.0, 0.0])
    return 2 * n, 12 * n, lambda: sgd_update(param, absent, grad, step, hyper, False, False)


# (family, marker, where its labels stand, [(label, (operations, bytes, call))])
FAMILIES = [
    ("matrix product, n x n", "o", (-5, -15), [(str(n), product(n)) for n in (16, 32, 64, 128, 256, 512, 1024, 2048)]),
    ("linear + ReLU, 784 to 128, forward", "s", (7, -4), [(str(n), layer(n, 784, 128)) for n in (1, 4, 32, 256)]),
    ("the same, backward", "D", (-22, 4), [(str(n), layer_backward(n, 784, 128)) for n in (32, 256)]),
    # operations as counted in the machine code of the loop, a fused multiply-add as two
    ("ReLU", "^", (7, -4), [(name, elementwise(relu_forward, 1, n)) for name, n in ELEMENTS.items()]),
    ("GELU", "v", (7, -4), [(name, elementwise(gelu_forward, 34, n)) for name, n in ELEMENTS.items()]),
    ("Adam", "P", (7, -4), [("10 k", adam(10_000)), ("10 M", adam(10_000_000))]),
    ("SGD", "X", (7, -4), [("10 k", sgd(10_000)), ("10 M", sgd(10_000_000))]),
]


def draw(roofs, slopes, families):
    """roofs {name: flop/s}, slopes {name: bytes/s}, families as FAMILIES with points (label, flop/byte, GFLOP/s)."""
    matplotlib.use("svg")
    # the same picture for the same figures, text as text
    matplotlib.rcParams.update({"svg.hashsalt": "hotloop", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 6.5), layout="constrained")
    top = max(roofs.values())
    left, right = 0.025, 600.0
    for name, speed in roofs.items():
        axes.plot([speed / max(slopes.values()), right], [speed / 1e9] * 2, color="black", lw=1.2)
        axes.text(right, speed / 1e9 * 1.06, f"{name} {speed / 1e9:.0f} GFLOP/s", ha="right", color="black")
    for name, bandwidth in slopes.items():
        ridge = top / bandwidth
        axes.plot([left, ridge], [left * bandwidth / 1e9, top / 1e9], color="grey", lw=0.9, ls="--")
        axes.text(left * 1.04, left * bandwidth / 1e9 * 1.12, f"{name} {bandwidth / 1e9:.0f} GB/s", color="grey")
    for name, marker, place, points in families:
        (drawn,) = axes.plot(
            *zip(*(point[1:] for point in points), strict=True), marker, ms=7, ls=":", lw=0.7, label=name
        )
        for label, intensity, speed in points:
            how = {"xytext": place, "textcoords": "offset points", "color": drawn.get_color(), "fontsize": 9}
            axes.annotate(label, (intensity, speed), **how)
    axes.set(
        xscale="log", yscale="log", xlim=(left, right), ylim=(left * min(slopes.values()) / 1e9 / 2, top / 1e9 * 1.6)
    )
    axes.set(xlabel="operations for each byte that must move", ylabel="GFLOP/s", title="float32 kernels on one core")
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None})


def main():
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    hotloop.set_num_threads(1)
    roofs = {"FMA": ceilings.flops("float32")}
    if ceilings.AMX:
        roofs["AMX, 6 products"] = ceilings.amx_flops()
    slopes = {name: ceilings.bandwidth(size) for name, size in CACHES.items()}
    families = []
    for name, marker, place, kernels in FAMILIES:
        points = []
        for label, (operations, moved, call) in kernels:
            speed = operations / ceilings.typical(call)
            points.append((label, operations / moved, speed / 1e9))
            print(f"{name:36s} {label:>8s} {operations / moved:8.2f} flop/byte {speed / 1e9:8.1f} GFLOP/s")
        families.append((name, marker, place, points))
    draw(roofs, slopes, families)


if __name__ == "__main__":
    main()
