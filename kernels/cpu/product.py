"""The product of two matrices, compiled once for all kernels that need nothing else (shared.py)."""

import numba
import numpy as np

from .. import shared
from ..jit import compiled, standalone
from ..shared import prepare
from ..state import as_pointer
from .epilogue import with_activation
from .nest import gemm, prepare_gemm
from .pack import Matrix, address_of


@compiled
def _product(like, m, n, k, a, b, c, ldc, accumulate, bias, z, activation):
    """a, b: (address, size, stride, layout); c, bias and z: (address, size)."""
    lines = Matrix(numba.carray(as_pointer(a[0]), (a[1],), like), a[2], m, a[3])
    columns = Matrix(numba.carray(as_pointer(b[0]), (b[1],), like), b[2], n, b[3])
    flat = numba.carray(as_pointer(c[0]), (c[1],), like)
    first, kept = numba.carray(as_pointer(bias[0]), (bias[1],), like), numba.carray(as_pointer(z[0]), (z[1],), like)
    gemm(m, n, k, lines, columns, flat, ldc, accumulate != 0, with_activation(first, kept, activation))


@standalone
def product_32(m, n, k, a, sa, la, oa, b, sb, lb, ob, c, sc, ldc, accumulate, bias, sbias, z, sz, activation):
    left, right, result = (a, sa, la, oa), (b, sb, lb, ob), (c, sc)
    _product(np.float32, m, n, k, left, right, result, ldc, accumulate, (bias, sbias), (z, sz), activation)


@standalone
def product_64(m, n, k, a, sa, la, oa, b, sb, lb, ob, c, sc, ldc, accumulate, bias, sbias, z, sz, activation):
    left, right, result = (a, sa, la, oa), (b, sb, lb, ob), (c, sc)
    _product(np.float64, m, n, k, left, right, result, ldc, accumulate, (bias, sbias), (z, sz), activation)


@compiled
def activated_product(m, n, k, a, b, c, ldc, accumulate, bias, z, activation):
    """c = activation(c? + a @ b + bias) for two pack.Matrix; z (or size 0) keeps what the activation was given."""
    slot = shared.PRODUCT if c.itemsize == 4 else shared.PRODUCT + 1
    left = (address_of(a.data), a.data.size, a.stride, a.layout)
    right = (address_of(b.data), b.data.size, b.stride, b.layout)
    result = (address_of(c), c.size, ldc, np.intp(accumulate))
    after = (address_of(bias), bias.size, address_of(z), z.size, np.intp(activation))
    shared.call(slot, (m, n, k, *left, *right, *result, *after))


@compiled
def product(m, n, k, a, b, c, ldc, accumulate):
    """c (+)= a @ b for two pack.Matrix."""
    activated_product(m, n, k, a, b, c, ldc, accumulate, c[:0], c[:0], 0)


@compiled
def prepare_product(c):
    """What a parallel region does before its body calls product: see shared.prepare."""
    prepare(shared.PRODUCT if c.itemsize == 4 else shared.PRODUCT + 1)
    prepare_gemm(c)
