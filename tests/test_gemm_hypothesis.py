"""Products of anything that a caller may have at hand: any shape, any view; and what kernels refuse."""

import numpy as np
import pytest
from helpers import arguments_of, same
from hotloop import nn
from hotloop.kernels import scalar
from hypothesis import given
from hypothesis import strategies as st
from products import CPU, bmm, excess, integers, layer_errors, matmul, normal, operands, turned

# mostly small; sometimes over several tiles and chunks
sizes = st.one_of(st.integers(0, 70), st.sampled_from([100, 129, 257, 300]))
transposes = st.tuples(st.booleans(), st.booleans())
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


@given(m=sizes, n=sizes, k=sizes, transpose=transposes, dtype=dtypes, accumulate=st.booleans(), seed=seeds)
def test_cpu_matmul(m, n, k, transpose, dtype, accumulate, seed):
    rng = np.random.default_rng(seed)
    a, b = operands(rng, m, n, k, transpose, dtype)
    start = [normal(rng, (m, n), dtype)] if accumulate else []
    y = matmul(CPU, a, b, transpose, *start, shift=seed % 16)
    assert excess(y, *turned(a, b, transpose), *start) <= 1


@given(batch=st.integers(0, 9), m=sizes, n=sizes, k=sizes, transpose=transposes, dtype=dtypes, seed=seeds)
def test_cpu_bmm(batch, m, n, k, transpose, dtype, seed):
    rng = np.random.default_rng(seed)
    a, b = operands(rng, m, n, k, transpose, dtype, integers)
    a, b = (np.stack([x, *(integers(rng, x.shape, dtype) for _ in range(batch))]) for x in (a, b))
    left, right = turned(a, b, transpose)
    assert np.array_equal(bmm(CPU, a, b, transpose), left @ right)


@st.composite
def matrices(draw, rows, columns):
    """A view of that shape: whole numbers in any layout."""
    rng, dtype = np.random.default_rng(draw(seeds)), np.float32
    kind = draw(st.sampled_from(["plain", "turned", "part", "part turned", "steps", "backwards", "repeated"]))
    if kind == "plain":
        return integers(rng, (rows, columns), dtype)
    if kind == "turned":
        return integers(rng, (columns, rows), dtype).T
    if kind == "part":
        return integers(rng, (rows + 3, columns + 5), dtype)[2 : 2 + rows, 1 : 1 + columns]
    if kind == "part turned":
        return integers(rng, (columns + 1, rows + 2), dtype)[1:, :rows].T
    if kind == "steps":
        return integers(rng, (2 * rows, 3 * columns), dtype)[::2, 1::3]
    if kind == "backwards":
        return integers(rng, (rows, columns), dtype)[::-1, ::-1]
    return np.broadcast_to(integers(rng, (columns,), dtype), (rows, columns))


@given(data=st.data(), m=sizes, n=sizes, k=sizes)
def test_views(data, m, n, k):
    """@ takes any strides, forward and backward."""
    a, b = data.draw(matrices(m, k)), data.draw(matrices(k, n))
    ta, tb = nn.Tensor(a, requires_grad=True), nn.Tensor(b, requires_grad=True)
    y = ta @ tb
    assert np.array_equal(y.numpy(), np.ascontiguousarray(a) @ np.ascontiguousarray(b))
    dy = np.arange(m * n, dtype=np.float32).reshape(m, n) % 7 - 3
    y.backward(nn.Tensor(dy))
    assert np.array_equal(ta.grad, dy @ b.T)
    assert np.array_equal(tb.grad, a.T @ dy)


@given(
    size=st.tuples(sizes, sizes, sizes),
    code=st.sampled_from([0, scalar.RELU]),
    bias=st.booleans(),
    keep=st.booleans(),
    accumulate=st.booleans(),
    seed=seeds,
)
def test_cpu_linear(size, code, bias, keep, accumulate, seed):
    """Forward and all gradients on whole numbers: exact."""
    rng = np.random.default_rng(seed)
    assert not layer_errors(CPU, rng, np.float32, size, code, bias, keep, accumulate, seed % 16)


SQUARE = {"gemm.matmul_forward": (3, (False, False, False)), "linear.linear_forward": (5, (0,))}
SQUARE["linear.linear_backward"] = (8, (0, False))
LAYOUTS = {"every other column": lambda x: x[..., ::2], "Fortran's order": np.asfortranarray}


@pytest.mark.parametrize("path", SQUARE)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cpu_kernels_refuse_what_is_not_contiguous(path, layout):
    """In words, and before anything is written; matrices of 8 x 8, vectors of 8."""
    arrays, scalars = SQUARE[path]
    documented = arguments_of(path)[:arrays]
    for wrong in (a for a in documented if not a.strided):
        given = [np.ones((8,) * len(a.dims), np.float32) for a in documented]
        place = documented.index(wrong)
        if given[place].ndim == 1 and layout == "Fortran's order":
            continue
        doubled = np.ones((8,) * (len(wrong.dims) - 1) + (16,), np.float32)
        given[place] = LAYOUTS[layout](doubled if "column" in layout else given[place])
        before = [x.copy() for x in given]
        with pytest.raises(ValueError, match=rf"{wrong.name}: expected a C-contiguous array"):
            CPU.kernel(path)(*given, *scalars)
        assert all(
            same(np.ascontiguousarray(x), y) for x, y in zip(given, map(np.ascontiguousarray, before), strict=True)
        )
