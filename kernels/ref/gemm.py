"""Matrix products."""

import numpy as np


def matmul_forward(y, a, b, transpose_a, transpose_b, accumulate):
    """y (+)= op(a) @ op(b), op(m) = m or m.T

    y            (M, N)   [inout]  result; read only when accumulate
    a            (P, Q)            (M, K), or (K, M) when transpose_a
    b            (R, S)            (K, N), or (N, K) when transpose_b
    transpose_a  bool              use a's transpose
    transpose_b  bool              use b's transpose
    accumulate   bool              add to y instead of overwriting it

    K = 0 gives zeros. y does not overlap a or b.
    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: as numpy.matmul.
    """
    product = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
    if product.shape != y.shape:
        raise ValueError(f"matmul_forward: y: expected shape {product.shape}, got {y.shape}")
    y[...] = y + product if accumulate else product


def bmm_forward(y, a, b, transpose_a, transpose_b, accumulate):
    """y[i] (+)= op(a[i]) @ op(b[i])

    y            (B, M, N)  [inout]  results; read only when accumulate
    a            (B, P, Q)           (B, M, K), or (B, K, M) when transpose_a
    b            (B, R, S)           (B, K, N), or (B, N, K) when transpose_b
    transpose_a  bool                use the transposes of a
    transpose_b  bool                use the transposes of b
    accumulate   bool                add to y instead of overwriting it

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: as torch.bmm.
    """
    product = np.matmul(np.swapaxes(a, 1, 2) if transpose_a else a, np.swapaxes(b, 1, 2) if transpose_b else b)
    if product.shape != y.shape:
        raise ValueError(f"bmm_forward: y: expected shape {product.shape}, got {y.shape}")
    y[...] = y + product if accumulate else product
