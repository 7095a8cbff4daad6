"""Normalisation kernels: against ref, ref against finite differences, large means, bits."""

import hotloop
import numpy as np
import pytest
from helpers import DTYPES, Backend, absent, agree, close, finite_difference, poison, same

EPS = 1e-5
# sums of up to 5000 numbers of the dtype, in blocks
TOL = {DTYPES[0]: 3e-6, DTYPES[1]: 3e-14}
# a mean of 1e4 takes 13 bits; in float64 ref's own mean and deviations are rounded, in float32 it has bits to spare
TOL_FAR = {DTYPES[0]: 3e-6, DTYPES[1]: 3e-11}

ROWS = [(0, 3), (5, 7), (33, 100), (300, 130), (3, 5000)]
# (O, G, P, I): no samples; points; lines shorter and longer than a vector; several blocks
GROUPS = [(0, 3, 2, 5), (3, 2, 3, 1), (2, 3, 4, 49), (3, 1, 2, 2500), (2, 4, 1, 130)]
# (O, C, I): no samples; columns in several tiles and blocks; lines; several blocks of parts, and of whole lines
CHANNELS = [(0, 3, 20), (0, 3, 1), (70, 3, 1), (130, 150, 1), (70, 33, 6), (33, 5, 49), (3, 2, 5000), (3, 2, 17)]


def draw(rng, shape, dtype, far=0.0):
    return (rng.standard_normal(shape) + far).astype(dtype)


def normalise(backend, name, x, parameters, tol):
    """(mean, rstd) of x; the forward agrees with ref."""
    statistics = {"layer": x.shape[:1], "rms": x.shape[:1], "group": x.shape[:2], "batch": x.shape[1:2]}[name]
    module = {"layer": "norm", "rms": "norm", "group": "norm_group", "batch": "norm_batch"}[name]
    kept = [np.empty(statistics) for _ in range(1 if name == "rms" else 2)]
    more = [absent(x.dtype)] * 2 if name == "batch" else []
    written = agree(
        backend, f"{module}.{name}_norm_forward", np.empty_like(x), *kept, x, *parameters, *more, EPS, tol=tol
    )
    return written[1 : 1 + len(kept)]


def check(backend, name, shape, channels, dtype, rng, far=0.0):
    """Forward and backward of a kernel with and without parameters, dx, and accumulation."""
    module = {"layer": "norm", "rms": "norm", "group": "norm_group", "batch": "norm_batch"}[name]
    tol = (TOL_FAR if far else TOL)[dtype]
    x, dy, nothing = draw(rng, shape, dtype, far), draw(rng, shape, dtype), absent(dtype)
    w, b, dw, db = draw(rng, (4, channels), dtype)
    given = [False] if name == "batch" else []
    count = 1 if name == "rms" else 2
    for parameters in ([w, b][:count], [nothing] * count, [nothing, b][:count], [w, nothing][:count]):
        kept = normalise(backend, name, x, parameters, tol)
    kept = normalise(backend, name, x, [w, b][:count], tol)
    path = f"{module}.{name}_norm_backward"
    for dx, gradients, weight, accumulate in (
        (np.empty_like(x), [dw, db], w, True),
        (np.empty_like(x), [nothing, nothing], nothing, False),
        (nothing, [dw, db], w, False),
    ):
        # differences of sums
        agree(backend, path, dx, *gradients[:count], dy, x, weight, *kept, *given, accumulate, tol=4 * tol)
    if name == "batch" and x.size:
        agree(backend, path, np.empty_like(x), dw, db, dy, x, w, *kept, True, False, tol=4 * tol)
        empty = np.empty(channels)
        agree(backend, "norm_batch.batch_norm_forward", np.empty_like(x), empty, empty, x, w, b, b, w * w, EPS, tol=tol)


@pytest.mark.parametrize("shape", ROWS, ids=str)
@pytest.mark.parametrize("name", ["layer", "rms"])
def test_rows(backend, dtype, rng, name, shape):
    check(backend, name, shape, shape[1], dtype, rng)


@pytest.mark.parametrize("shape", GROUPS, ids=str)
def test_groups(backend, dtype, rng, shape):
    check(backend, "group", shape, shape[1] * shape[2], dtype, rng)


@pytest.mark.parametrize("shape", CHANNELS, ids=str)
def test_channels(backend, dtype, rng, shape):
    check(backend, "batch", shape, shape[1], dtype, rng)


@pytest.mark.parametrize(
    ("name", "shape", "channels"),
    [("layer", (5, 700), 700), ("group", (2, 2, 3, 900), 6), ("batch", (90, 7, 1), 7), ("batch", (9, 3, 900), 3)],
    ids=str,
)
def test_large_means_cancel_nothing(backend, dtype, rng, name, shape, channels):
    check(backend, name, shape, channels, dtype, rng, far=1e4)


@pytest.mark.parametrize("shape", [(16, 2, 1), (8, 2, 4000)], ids=str)
def test_samples_far_apart(backend, dtype, rng, shape):
    """Blocks whose means lie a thousand deviations apart."""
    x = draw(rng, shape, dtype)
    x[: shape[0] // 2] += 1000
    normalise(backend, "batch", x, [absent(dtype)] * 2, TOL[dtype])


@pytest.mark.parametrize("momentum", [0.1, -1.0])
@pytest.mark.parametrize("seen", [[3], []], ids=str)
@pytest.mark.parametrize(("samples", "count"), [(1, 20), (4, 9), (1, 1), (3, 0), (0, 7)])
def test_running_statistics(backend, dtype, rng, momentum, seen, samples, count):
    mean, rstd = rng.uniform(0.5, 2, (2, samples, 5))
    running = rng.uniform(0.5, 2, (2, 5)).astype(dtype)
    agree(backend, "norm_batch.running_update", *running, np.array(seen, np.int64), mean, rstd, count, momentum, EPS)


@pytest.mark.parametrize(
    ("name", "shape", "channels"),
    [("layer", (3, 5), 5), ("rms", (3, 5), 5), ("group", (2, 2, 2, 3), 4), ("batch", (3, 2, 2), 2)],
)
def test_ref_gradient_is_the_slope(rng, name, shape, channels):
    ref, module = Backend("ref"), {"group": "norm_group", "batch": "norm_batch"}.get(name, "norm")
    x, dy, y = draw(rng, shape, np.float64), draw(rng, shape, np.float64), np.empty(shape)
    count = 1 if name == "rms" else 2
    parameters = list(draw(rng, (count, channels), np.float64))
    more = [absent(np.float64)] * 2 if name == "batch" else []
    kept = normalise(ref, name, x, parameters, 0.0)

    def loss():
        ref(f"{module}.{name}_norm_forward", y, *(k.copy() for k in kept), x, *parameters, *more, EPS)
        return float((dy * y).sum())

    gradients = [poison(v.shape, np.float64) for v in (x, *parameters)]
    given = [False] if name == "batch" else []
    ref(f"{module}.{name}_norm_backward", *gradients, dy, x, parameters[0], *kept, *given, False)
    for got, at in zip(gradients, (x, *parameters), strict=True):
        # central differences with a step of 1e-5: 1e-10 of the third derivative, 1e-11 by cancellation
        close(got, finite_difference(loss, at), 1e-7, name)


@pytest.mark.parametrize("name", ["layer", "batch", "columns", "group"])
def test_bits_do_not_depend_on_threads(rng, name):
    shape, channels = {
        "layer": ((300, 130), 130),
        "batch": ((12, 9, 600), 9),
        "columns": ((130, 300, 1), 300),
        "group": ((4, 3, 4, 700), 12),
    }[name]
    cpu, kernel = Backend("cpu"), name.replace("columns", "batch")
    module = {"layer": "norm", "group": "norm_group"}.get(name, "norm_batch")
    x, dy = draw(rng, (2, *shape), np.float32)
    w, b = draw(rng, (2, channels), np.float32)
    kept = [np.empty({"layer": 300, "group": (4, 3)}.get(name, channels)) for _ in range(2)]
    more, given = ([absent()] * 2, [False]) if module == "norm_batch" else ([], [])
    found = []
    threads = hotloop.get_num_threads()
    try:
        for count in (1, 2, 2):
            hotloop.set_num_threads(count)
            out = [np.empty_like(x), np.empty_like(x), np.empty_like(w), np.empty_like(w)]
            cpu(f"{module}.{kernel}_norm_forward", out[0], *kept, x, w, b, *more, EPS)
            cpu(f"{module}.{kernel}_norm_backward", *out[1:], dy, x, w, *kept, *given, False)
            found.append([*out, *(k.copy() for k in kept)])
    finally:
        hotloop.set_num_threads(threads)
    for other in found[1:]:
        assert all(same(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 1, 5), (2, 7, 1), (3, 6, 17), (1, 9, 700)], ids=str)
def test_local_response(backend, dtype, rng, shape, size):
    x, dy, numbers = 3 * draw(rng, shape, dtype), draw(rng, shape, dtype), (size, 0.7, 0.75, 1.5)
    _, scale, *_ = agree(
        backend, "norm_response.local_response_norm_forward", np.empty_like(x), np.empty_like(x), x, *numbers
    )
    # differences of two terms of like size
    tol = 3 * TOL[dtype]
    path = "norm_response.local_response_norm_backward"
    agree(backend, path, np.empty_like(x), dy, x, scale, *numbers[:3], tol=tol)


@pytest.mark.parametrize("size", [2, 3])
def test_local_response_gradient_is_the_slope(rng, size):
    ref = Backend("ref")
    x, dy, y, scale, dx = (draw(rng, (2, 4, 3), np.float64) for _ in range(5))

    def loss():
        ref("norm_response.local_response_norm_forward", y, scale, x, size, 0.7, 0.75, 1.5)
        return float((dy * y).sum())

    want = finite_difference(loss, x)
    loss()
    ref("norm_response.local_response_norm_backward", dx, dy, x, scale, size, 0.7, 0.75)
    # central differences with a step of 1e-5: 1e-10 of the third derivative, 1e-11 by cancellation
    close(dx, want, 1e-8)


def test_a_window_of_no_channels_is_refused(backend):
    x = np.ones((2, 3, 4), np.float32)
    with pytest.raises(ValueError, match="size"):
        backend("norm_response.local_response_norm_forward", x.copy(), x.copy(), x, 0, 1.0, 1.0, 1.0)
