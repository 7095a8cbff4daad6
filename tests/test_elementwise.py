"""Elementwise kernels: same shape, broadcast, with a number, unary, selection; every backend, float32 and float64."""

import numpy as np
import pytest
from helpers import absent, agree, poison
from hotloop.kernels.formulas import BINARY, COMPARISON, CONSTANT, UNARY

SHAPES = [(0,), (1,), (17,), (3, 5, 7), (40009,)]
# where each function is defined and smooth enough to compare: (low, high)
DOMAIN = dict.fromkeys(("sqrt", "rsqrt", "log", "log1p", "log2", "log10", "reciprocal"), (0.1, 4.0))
BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor")
ARITHMETIC = [name for name in BINARY if name not in BITWISE]
GRADIENTS = [name for name, (_, da, _) in BINARY.items() if da]


def operands(rng, name, *shapes, dtype):
    low, high = (0.5, 3.0) if name in ("pow", "div", "floor_divide", "remainder") else (-3.0, 3.0)
    return [rng.uniform(low, high, s).astype(dtype) for s in shapes]


def draw(rng, name, shape, dtype):
    return rng.uniform(*DOMAIN.get(name, (-3.0, 3.0)), shape).astype(dtype)


@pytest.mark.parametrize("name", UNARY)
def test_unary(backend, dtype, rng, name):
    for shape in SHAPES:
        x = draw(rng, name, shape, dtype)
        y, _ = agree(backend, f"unary.{name}_forward", poison(shape, dtype), x)
        _, gradient, saved = UNARY[name]
        if gradient:
            dy = rng.standard_normal(shape).astype(dtype)
            agree(backend, f"unary.{name}_backward", poison(shape, dtype), dy, x if saved == "x" else y)


@pytest.mark.parametrize("name", [n for n, (_, gradient, _) in UNARY.items() if gradient])
def test_unary_gradient_is_the_slope(rng, name):
    from hotloop.kernels.ref import unary

    x, h = draw(rng, name, (11,), np.float64), 1e-6
    up, down, y, dx = (np.empty_like(x) for _ in range(4))
    forward = getattr(unary, f"{name}_forward")
    forward(up, x + h)
    forward(down, x - h)
    forward(y, x)
    getattr(unary, f"{name}_backward")(dx, np.ones_like(x), x if UNARY[name][2] == "x" else y)
    np.testing.assert_allclose(dx, (up - down) / (2 * h), rtol=1e-6, atol=1e-8)


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5]


@pytest.mark.parametrize("name", UNARY)
def test_unary_special_values(backend, dtype, name):
    x = np.array(SPECIAL * 3, dtype)
    got, want = poison(x.shape, dtype), np.empty(x.shape)
    backend(f"unary.{name}_forward", got, x)
    from hotloop.kernels.ref import unary

    getattr(unary, f"{name}_forward")(want, x.astype(np.float64))
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(backend, dtype, rng, name):
    for shape in SHAPES:
        a, b = operands(rng, name, shape, shape, dtype=dtype)
        agree(backend, f"elementwise.{name}_forward", poison(shape, dtype), a, b)


@pytest.mark.parametrize("name", GRADIENTS)
def test_arithmetic_gradients(backend, dtype, rng, name):
    for shape in SHAPES:
        a, b = operands(rng, name, shape, shape, dtype=dtype)
        dy = rng.standard_normal(shape).astype(dtype)
        out, none = poison(shape, dtype), absent(dtype)
        for da, db in [(out, out.copy()), (out, none), (none, out)]:
            agree(backend, f"elementwise.{name}_backward", da, db, dy, a, b)


@pytest.mark.parametrize("name", [n for n in GRADIENTS if n != "remainder"])
def test_arithmetic_gradient_is_the_slope(rng, name):
    from hotloop.kernels.ref import elementwise

    a, b = operands(rng, name, (9,), (9,), dtype=np.float64)
    forward, h, one = getattr(elementwise, f"{name}_forward"), 1e-6, np.ones(9)
    da, db, up, down = (np.empty(9) for _ in range(4))
    getattr(elementwise, f"{name}_backward")(da, db, one, a, b)
    for gradient, step_a, step_b in [(da, h, 0), (db, 0, h)]:
        forward(up, a + step_a, b + step_b)
        forward(down, a - step_a, b - step_b)
        np.testing.assert_allclose(gradient, (up - down) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extremes_of_nan_and_ties(backend, dtype, name):
    a = np.array([np.nan, 1, 2, 2, -np.inf], dtype)
    b = np.array([1, np.nan, 2, 3, np.inf], dtype)
    y = poison(5, dtype)
    backend(f"elementwise.{name}_forward", y, a, b)
    np.testing.assert_array_equal(y, getattr(np, name)(a, b))
    agree(backend, f"elementwise.{name}_backward", poison(5, dtype), poison(5, dtype), np.ones(5, dtype), a, b)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "maximum", "minimum", "floor_divide", "remainder", *BITWISE])
@pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8], ids=lambda t: t.__name__)
def test_integers(backend, rng, name, integer):
    a, b = rng.integers(1, 100, (2, 77)).astype(integer)
    if integer is not np.uint8:
        a = -a
    agree(backend, f"elementwise.{name}_forward", poison(77, integer), a, b)


@pytest.mark.parametrize("name", COMPARISON)
def test_comparisons(backend, rng, name):
    a, b = rng.integers(0, 3, (2, 99)).astype(np.float32)
    a[:5] = np.nan
    agree(backend, f"elementwise.{name}_forward", poison(99, bool), a, b)
    agree(backend, f"constant.{name}_forward", poison(99, bool), a, 1.0)
    # integers are compared with the number, not with the number made an integer
    agree(backend, f"constant.{name}_forward", poison(99, bool), b.astype(np.int64), 1.5)


# shapes of the result and of both operands, padded to four dimensions
BROADCASTS = {
    "row": ((1, 1, 6, 41), (6, 41), (41,)),
    "column": ((1, 1, 6, 41), (6, 1), (6, 41)),
    "outer": ((1, 1, 6, 41), (6, 1), (41,)),
    "middle": ((1, 3, 5, 7), (1, 5, 1), (3, 5, 7)),
    "four": ((2, 3, 4, 5), (2, 1, 4, 1), (3, 1, 5)),
    "number": ((1, 1, 1, 33), (1,), (33,)),
    "large": ((1, 1, 90, 700), (90, 700), (700,)),
    "one": ((1, 1, 1, 1), (1,), (1,)),
    "empty": ((1, 1, 0, 5), (0, 5), (5,)),
}


def strides_in(shape, result):
    """Strides in elements of a contiguous operand of that shape inside the result's four dimensions."""
    shape = (1,) * (4 - len(shape)) + shape
    strides, step = [], 1
    for n in reversed(shape):
        strides.insert(0, step if n != 1 else 0)
        step *= n
    return strides


@pytest.mark.parametrize("case", BROADCASTS)
@pytest.mark.parametrize("name", ["add", "mul", "pow", "maximum"])
def test_broadcast(backend, dtype, rng, name, case):
    result, *shapes = BROADCASTS[case]
    a, b = operands(rng, name, *shapes, dtype=dtype)
    strides = [*strides_in(shapes[0], result), *strides_in(shapes[1], result)]
    agree(backend, f"broadcast.{name}_forward", poison(result, dtype), a.reshape(-1), b.reshape(-1), *strides)
    if BINARY[name][1]:
        dy, none = rng.standard_normal(result).astype(dtype), np.empty((0,) * 4, dtype)
        for da, db in [(poison(result, dtype), poison(result, dtype)), (poison(result, dtype), none)]:
            agree(backend, f"broadcast.{name}_backward", da, db, dy, a.reshape(-1), b.reshape(-1), *strides)


@pytest.mark.parametrize("name", [n for n in [*BINARY, *COMPARISON] if n not in ("add", "mul", "pow", "maximum")])
def test_broadcast_of_every_operation(backend, rng, name):
    dtype = np.int64 if name in BITWISE else np.float32
    a, b = (x.astype(dtype) for x in operands(rng, name, (6,), (41,), dtype=np.float32))
    y = poison((1, 1, 6, 41), bool if name in COMPARISON else dtype)
    agree(backend, f"broadcast.{name}_forward", y, a, b, 0, 0, 1, 0, 0, 0, 0, 1)


@pytest.mark.parametrize("strides", [(0, 0, 7, 1), (0, 0, -1, 1)], ids=str)
def test_broadcast_never_leaves_an_operand(backend, strides):
    y, a = np.empty((1, 1, 6, 6), np.float32), np.ones(36, np.float32)
    with pytest.raises(IndexError, match="stride leads out"):
        backend("broadcast.add_forward", y, a, a, *strides, 0, 0, 6, 1)


@pytest.mark.parametrize("name", CONSTANT)
@pytest.mark.parametrize("value", [2.0, 0.5])
def test_constant(backend, dtype, rng, name, value):
    for shape in SHAPES:
        (x,) = operands(rng, "pow", shape, dtype=dtype)
        agree(backend, f"constant.{name}_forward", poison(shape, dtype), x, value)
        if CONSTANT[name][1]:
            dy = rng.standard_normal(shape).astype(dtype)
            agree(backend, f"constant.{name}_backward", poison(shape, dtype), dy, x, value)


@pytest.mark.parametrize("name", [n for n, (_, gradient) in CONSTANT.items() if gradient])
def test_constant_gradient_is_the_slope(rng, name):
    from hotloop.kernels.ref import constant

    x, h = rng.uniform(0.5, 2, 9), 1e-6
    up, down, dx = (np.empty(9) for _ in range(3))
    getattr(constant, f"{name}_forward")(up, x + h, 1.7)
    getattr(constant, f"{name}_forward")(down, x - h, 1.7)
    getattr(constant, f"{name}_backward")(dx, np.ones(9), x, 1.7)
    np.testing.assert_allclose(dx, (up - down) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize("to", [np.float64, np.float32, np.int64, np.uint8, bool], ids=lambda t: np.dtype(t).name)
@pytest.mark.parametrize("of", [np.float64, np.float32, np.int64, np.uint8, bool], ids=lambda t: np.dtype(t).name)
def test_copy_converts(backend, rng, of, to):
    x = rng.uniform(0, 3, (4, 50)).astype(of)
    y = poison(x.shape, to)
    backend("elementwise.copy_forward", y, x)
    np.testing.assert_array_equal(y, x.astype(to))


@pytest.mark.parametrize("value", [0.0, 3.0, -1.0, np.inf, np.nan])
def test_fill(backend, dtype, value):
    y = poison((7, 11), dtype)
    backend("elementwise.fill_forward", y, value)
    np.testing.assert_array_equal(y, np.full((7, 11), value, dtype))


def test_fill_integers_and_bools(backend):
    for dtype, value in [(np.int64, -5.0), (np.uint8, 200.0), (bool, 1.0), (bool, 0.0)]:
        y = poison(33, dtype)
        backend("elementwise.fill_forward", y, value)
        np.testing.assert_array_equal(y, np.full(33, value, dtype))


def test_arange(backend, dtype):
    agree(backend, "elementwise.arange_forward", poison(50, dtype), -3.0, 0.25)
    agree(backend, "elementwise.arange_forward", poison(50, np.int64), -3.0, 2.0)


VIEWS = {
    "transposed": lambda x: x.transpose(0, 1, 3, 2),
    "reversed": lambda x: x[:, :, ::-1],
    "every second": lambda x: x[:, ::2, :, 1::2],
    "permuted": lambda x: x.transpose(3, 1, 0, 2),
    "repeated": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "empty": lambda x: x[:, :0],
    "dense": lambda x: x,
}


@pytest.mark.parametrize("view", VIEWS)
def test_assign_reads_and_writes_through_strides(backend, dtype, rng, view):
    for shape in [(1, 3, 5, 7), (1, 2, 70, 45)]:
        x = VIEWS[view](rng.standard_normal(shape).astype(dtype))
        y = poison(x.shape, dtype)
        backend("elementwise.assign_forward", y, x)
        np.testing.assert_array_equal(y, x)
        if view != "repeated":
            into = np.zeros(shape, dtype)
            target = VIEWS[view](into)
            backend("elementwise.assign_forward", target, y)
            want = np.zeros(shape, dtype)
            VIEWS[view](want)[...] = y
            np.testing.assert_array_equal(into, want)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_selection(backend, dtype, rng, shape):
    a, b, dy = rng.standard_normal((3, *shape)).astype(dtype)
    mask, out, none = rng.random(shape) < 0.4, poison(shape, dtype), absent(dtype)
    agree(backend, "select.where_forward", out, mask, a, b)
    for da, db in [(out, out.copy()), (out, none), (none, out)]:
        agree(backend, "select.where_backward", da, db, dy, mask)
    agree(backend, "select.masked_fill_forward", out, a, mask, -7.5)
    for low, high in [(-0.5, 0.7), (-np.inf, 0.2), (0.1, np.inf), (0.5, -0.5)]:
        agree(backend, "select.clamp_forward", out, a, low, high)
        agree(backend, "select.clamp_backward", out, dy, a, low, high)
    agree(backend, "select.lerp_forward", out, a, b, 0.3)


@pytest.mark.parametrize("diagonal", [-9, -1, 0, 1, 3, 9])
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 7), (2, 7, 3), (0, 2, 2), (2, 1, 1)], ids=str)
def test_triangles(backend, dtype, rng, shape, diagonal):
    x = rng.standard_normal(shape).astype(dtype)
    for name in ("tril", "triu"):
        agree(backend, f"select.{name}_forward", poison(shape, dtype), x, diagonal)


def test_clamp_keeps_nan(backend, dtype):
    x, y = np.array([np.nan, 5, -5, np.inf], dtype), poison(4, dtype)
    backend("select.clamp_forward", y, x, -1.0, 1.0)
    np.testing.assert_array_equal(y, [np.nan, 1, -1, 1])


def test_the_result_may_be_an_operand(dtype, rng):
    from hotloop.kernels.cpu import constant, elementwise

    x = rng.standard_normal((13, 7)).astype(dtype)
    want = x + x
    elementwise.add_forward(x, x, x)
    np.testing.assert_array_equal(x, want)
    constant.mul_forward(x, x, 0.5)
    np.testing.assert_array_equal(x, want * dtype.type(0.5))


@pytest.mark.parametrize("bad", ["shape", "dtype", "strides"])
def test_refusals(bad):
    from hotloop.kernels.cpu import elementwise

    x = np.ones((4, 6), np.float32)
    turned = np.ones((6, 4), np.float32)
    other = {"shape": turned, "dtype": x.astype(np.float64), "strides": turned.T}
    with pytest.raises(TypeError if bad == "dtype" else ValueError, match="add_forward"):
        elementwise.add_forward(np.empty_like(x), x, other[bad])
