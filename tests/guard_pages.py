"""Kernels, run with every operand flush against a protected page: a program for test_guard_pages.py.

One element too far, read or written, ends the process. Each case is named before it runs.
"""

import ctypes
import itertools
import mmap

import families
import numpy as np
from helpers import Backend, arguments_of, close
from hotloop.kernels.pad_modes import MODES
from hotloop.kernels.scalar import GELU, RELU
from recurrent_options import ALL, Case
from test_pool import table

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_kept = []


def protect(page):
    """Let nobody read or write the page at that address."""
    if _libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
        raise OSError(ctypes.get_errno(), "mprotect")


def guarded(values, end):
    """A copy of `values` whose last element (or first, if not end) lies next to a page that may not be touched."""
    values = np.ascontiguousarray(values)
    room = max(1, -(-values.nbytes // PAGE)) * PAGE
    memory = mmap.mmap(-1, room + 2 * PAGE)
    _kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect(start)
    protect(start + PAGE + room)
    offset = PAGE + (room - values.nbytes if end else 0)
    array = np.frombuffer(memory, values.dtype, values.size, offset).reshape(values.shape)
    array[...] = values
    return array


def run(path, *args):
    """The kernel on guarded copies at either end, and the results compared with ref's."""
    documented = arguments_of(path)
    want = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    want = [w.copy() if isinstance(w, np.ndarray) else w for w in want]
    Backend("ref")(path, *want)
    shapes = [a.shape if isinstance(a, np.ndarray) else a for a in args]
    for end in (True, False):
        print(path, shapes, "end" if end else "start", flush=True)
        given = [guarded(a, end) if isinstance(a, np.ndarray) else a for a in args]
        Backend("cpu").kernel(path)(*given)
        for argument, got, right in zip(documented, given, want, strict=True):
            if argument.written and argument.role != "work":
                if right.dtype.kind == "i":
                    assert (got == right).all(), argument.name
                else:
                    close(got, right, name=argument.name)
    _kept.clear()


def products(dtype):
    rng = np.random.default_rng(0)
    sizes = [
        (1, 1, 1),
        (3, 5, 7),
        (2, 65, 64),
        (4, 127, 33),
        (4, 64, 1),
        (5, 16, 16),
        (13, 31, 15),
        (14, 32, 16),
        (15, 33, 17),
        (17, 48, 8),
        (27, 63, 31),
        (29, 65, 257),
        (1, 700, 9),
        (61, 7, 300),
        (130, 150, 140),
    ]
    for (m, n, k), transpose_a, transpose_b in itertools.product(sizes, (False, True), (False, True)):
        a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
        b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
        y = rng.standard_normal((m, n)).astype(dtype)
        run("gemm.matmul_forward", y, a, b, transpose_a, transpose_b, k % 2 == 1)
        if m < 100:
            run("gemm.bmm_forward", y[None], a[None], b[None], transpose_a, transpose_b, False)


def layers(dtype):
    rng = np.random.default_rng(1)
    for n, d, h in [(1, 1, 1), (1, 33, 17), (7, 5, 3), (32, 4, 33), (61, 70, 35), (150, 130, 140)]:
        x, w, b, dy = (rng.standard_normal(s).astype(dtype) for s in ((n, d), (h, d), (h,), (n, h)))
        for activation in (RELU, GELU):
            y, z = np.empty_like(dy), np.empty_like(dy)
            run("linear.linear_forward", y, z, x, w, b, activation)
            Backend("ref")("linear.linear_forward", y, z, x, w, b, activation)
            dx, dw, db = np.empty_like(x), np.ones_like(w), np.ones_like(b)
            run("linear.linear_backward", dx, dw, db, dy, x, w, y, z, activation, True)


def convolutions(dtype):
    rng = np.random.default_rng(3)
    # x, w, strides, paddings, dilations, groups
    cases = [
        ((2, 1, 1, 9, 13), (5, 1, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
        ((2, 17, 1, 7, 7), (15, 17, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
        ((2, 17, 1, 7, 7), (15, 17, 1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 1),
        ((1, 3, 1, 10, 21), (33, 3, 1, 3, 3), (1, 3, 3), (0, 0, 0), (1, 1, 1), 1),
        ((1, 5, 1, 9, 17), (6, 5, 1, 3, 2), (1, 1, 1), (0, 2, 3), (1, 2, 3), 1),
        ((3, 16, 1, 5, 5), (16, 16, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
        ((2, 6, 1, 6, 19), (4, 3, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 2),
        ((2, 3, 1, 9, 19), (3, 1, 1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 3),
        ((2, 3, 1, 9, 35), (6, 1, 1, 5, 3), (1, 2, 2), (0, 2, 1), (1, 1, 1), 3),
        ((2, 4, 1, 1, 37), (8, 4, 1, 1, 5), (1, 1, 1), (0, 0, 2), (1, 1, 1), 1),
        ((1, 3, 4, 5, 6), (4, 3, 2, 3, 3), (1, 2, 1), (0, 1, 1), (1, 1, 1), 1),
    ]
    for x_shape, w_shape, strides, paddings, dilations, groups in cases:
        sizes = zip(x_shape[2:], w_shape[2:], strides, paddings, dilations, strict=True)
        size = ((i + 2 * p - d * (k - 1) - 1) // s + 1 for i, k, s, p, d in sizes)
        shapes = x_shape, w_shape, w_shape[:1], (x_shape[0], w_shape[0], *size)
        x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        y, none, numbers = np.empty_like(dy), np.empty(0, dtype), (*strides, *paddings, *dilations, groups)
        run("conv.conv_forward", y, none, x, w, b, RELU, *numbers)
        Backend("ref")("conv.conv_forward", y, none, x, w, b, RELU, *numbers)
        dx, dw, db = np.empty_like(x), np.ones_like(w), np.ones_like(b)
        run("conv.conv_backward", dx, dw, db, dy, x, w, y, none, RELU, *numbers, True)


def transposed_convolutions(dtype):
    rng = np.random.default_rng(4)
    # x, w, strides, paddings, output paddings, groups
    cases = [
        ((2, 17, 1, 7, 7), (17, 15, 1, 3, 3), (1, 1, 1), (0, 1, 1), (0, 0, 0), 1),
        ((2, 5, 1, 6, 19), (5, 9, 1, 4, 4), (1, 2, 2), (0, 1, 1), (0, 0, 1), 1),
        ((1, 8, 1, 3, 33), (8, 3, 1, 2, 3), (1, 3, 3), (0, 0, 1), (0, 2, 0), 2),
        ((3, 4, 1, 5, 16), (4, 1, 1, 3, 3), (1, 2, 2), (0, 1, 1), (0, 0, 0), 4),
        ((1, 4, 2, 3, 5), (4, 5, 2, 3, 2), (1, 2, 1), (0, 1, 1), (0, 0, 0), 1),
    ]
    for x_shape, w_shape, strides, paddings, beyond, groups in cases:
        sizes = zip(x_shape[2:], w_shape[2:], strides, paddings, beyond, strict=True)
        size = ((i - 1) * s - 2 * p + k + o for i, k, s, p, o in sizes)
        outputs = w_shape[1] * groups
        shapes = x_shape, w_shape, (outputs,), (x_shape[0], outputs, *size)
        x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        y, none, numbers = np.empty_like(dy), np.empty(0, dtype), (*strides, *paddings, 1, 1, 1, groups)
        run("conv_transpose.conv_transpose_forward", y, none, x, w, b, RELU, *numbers)
        Backend("ref")("conv_transpose.conv_transpose_forward", y, none, x, w, b, RELU, *numbers)
        gradients = np.empty_like(x), np.ones_like(w), np.ones_like(b)
        run("conv_transpose.conv_transpose_backward", *gradients, dy, x, w, y, none, RELU, *numbers, True)


def pools(dtype):
    """Every kind of windows that has loops of its own, and rows shorter and longer than a vector."""
    rng = np.random.default_rng(3)
    for width in (7, 16, 37):
        # kernel, stride, padding, dilation
        for window in ((2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), (5, 2, 2, 1), (3, 1, 2, 2), (2, 3, 0, 1)):
            axes = (1, 1, 1, 0, 1, 0), (6, *window, 0), (width, *window, 0)
            for operation in ("max", "average")[: 1 if window[3] > 1 else 2]:
                windows = [table(*axis, operation == "average") for axis in axes]
                x = rng.standard_normal((2, 1, 6, width)).astype(dtype)
                y = rng.standard_normal((2, *(t.shape[1] for t in windows))).astype(dtype)
                saved, flags = ((np.zeros(y.shape, np.int32),), (False,)) if operation == "max" else ((), ())
                run(f"pool_{operation}.{operation}_pool_forward", y, *saved, x, *windows, *flags)
                Backend("ref")(f"pool_{operation}.{operation}_pool_forward", y.copy(), *saved, x, *windows, *flags)
                run(f"pool_{operation}.{operation}_pool_backward", x, y, *saved, *windows)


def paddings(dtype):
    """Rows that are shorter and longer than the vectors in which they are copied, with and without cuts."""
    rng = np.random.default_rng(4)
    for width, (front, back), mode in itertools.product((3, 5, 16, 19, 37), ((0, 0), (2, 1), (-1, 2)), MODES.values()):
        x = rng.standard_normal((2, 1, 2, width)).astype(dtype)
        y = np.empty((2, 1, 3, width + front + back), dtype)
        run("pad.pad_forward", y, x, 0, 1, front, mode, 0.5)
        run("pad.pad_backward", x, rng.standard_normal(y.shape).astype(dtype), 0, 1, front, mode)


def tables(dtype):
    """Lines narrower and wider than the sums that stay in registers; the first and the last row without an id."""
    rng = np.random.default_rng(5)
    none, nothing = np.empty(0, np.int64), np.empty(0, dtype)
    for width, ids in itertools.product((1, 15, 16, 19, 131, 405), ([0, 3, 3, 5], [1, 2, 2, 2])):
        w, dy, ids = rng.standard_normal((6, width)).astype(dtype), rng.standard_normal((4, width)), np.array(ids)
        dy = dy.astype(dtype)
        run("embedding.embedding_backward", w, dy, ids, -1, False, False)
        run("embedding.embedding_backward", w, dy, ids, 3, True, True)
        run("embedding_bag.embedding_bag_forward", dy[:2].copy(), none, w, ids, none, nothing, 0, 3)


def rotations(dtype):
    """Pairs that fill no vector, one, and more, with nothing and with something behind them."""
    rng = np.random.default_rng(7)
    for pairs, rest, interleaved in itertools.product((1, 7, 8, 16, 19), (0, 1, 17), (False, True)):
        x, y = rng.standard_normal((2, 2, 3, 1, 2 * pairs + rest)).astype(dtype)
        tables = rng.standard_normal((2, 2, 3, pairs)).astype(dtype)
        run("rotary.rotary_forward", y, x, *tables, interleaved)
        run("rotary.rotary_backward", y, x, *tables, interleaved)


def alignments():
    """Labels and units that fill no block or vector, one, and more."""
    rng, lengths = np.random.default_rng(8), np.array([40, 38])
    for labels, step in itertools.product((0, 1, 15, 16, 17, 33), (False, True)):
        x, targets = rng.standard_normal((40, 2, 40)), (np.arange(2 * labels) + 1) % 40
        arrays = np.empty(2), np.empty_like(x), x, targets, lengths, np.full(2, labels)
        run("ctc.ctc_forward", *arrays, labels if step else 0, 0, True, 0)
    for units in (3, 15, 16, 17, 19, 20, 130):
        q, k, v = (rng.standard_normal(shape) for shape in ((2, 3, units), (2, 66, units), units))
        scores = rng.standard_normal((2, 3, 66))
        run("additive.additive_backward", np.empty_like(q), np.empty_like(k), np.ones_like(v), scores, q, k, v, True)
        run("additive.additive_forward", scores, q, k, v)


def attentions(dtype):
    """Sizes around those of tiles and vectors; weights that are kept and that are made again, masks and none."""
    rng, state = np.random.default_rng(7), np.array([3, 4], np.uint64)
    for n, h, g, l, s, d, e in [(1, 1, 1, 1, 1, 1, 1), (2, 2, 1, 15, 33, 17, 7), (1, 2, 2, 65, 70, 16, 32)]:
        q, k, v, y = (
            rng.standard_normal(a).astype(dtype) for a in ((n, h, l, d), (n, g, s, d), (n, g, s, e), (n, h, l, e))
        )
        p, lse = rng.standard_normal((n, h, l, s)).astype(dtype), np.empty((n, h, l), dtype)
        for masked in (False, True):
            none, last = np.empty((0, 0, 0, 0), dtype), (state, 0.5, masked, 0.3 * masked)
            masks = (p.copy(), rng.random(p.shape) < 0.8) if masked else (none, none.astype(bool))
            for weights in (none, p):
                run("attention.attention_forward", y, lse, weights, q, k, v, *masks, *last)
                Backend("ref")("attention.attention_forward", y, lse, weights, q, k, v, *masks, *last)
                results = (
                    q.copy(),
                    k.copy(),
                    v.copy(),
                    weights.copy(),
                    rng.standard_normal(y.shape).astype(dtype),
                    weights,
                )
                run("attention.attention_backward", *results, q, k, v, *masks, y, lse, weights, *last)


def recurrences():
    """Options that are there and that are not, either form, forwards and backwards; the last sample has all steps."""
    rng, lengths = np.random.default_rng(6), np.array([3, 1, 0, 2, 3])
    for kind, options in ALL.items():
        for on, flag in itertools.product([(), options, *((o,) for o in options)], (False, True)):
            case = Case(kind, rng, np.float32, (3, 5, 17), on, lengths, reverse=flag, flag=flag)
            run(case.path("forward"), *case.call("forward", case.given | case.empties("forward")))
            run(case.path("backward"), *case.backward(case.gradients()))


def every_kernel():
    """Numba checks no bounds: arrays need the same proof. Results are compared in the tests of each kernel."""
    rng = np.random.default_rng(2)
    for path, kernel in families.kernels().items():
        args = families.arguments(path, kernel.kernel.spec, np.float32, rng, families.SMALL)
        for end in (True, False):
            print(path, "end" if end else "start", flush=True)
            kernel(*(guarded(a, end) if isinstance(a, np.ndarray) else a for a in args))
            _kept.clear()


def main():
    for dtype in (np.float32, np.float64):
        products(dtype)
        layers(dtype)
        convolutions(dtype)
        transposed_convolutions(dtype)
        pools(dtype)
        paddings(dtype)
        tables(dtype)
        rotations(dtype)
        attentions(dtype)
    recurrences()
    alignments()
    every_kernel()
    print("finished")


if __name__ == "__main__":
    main()
