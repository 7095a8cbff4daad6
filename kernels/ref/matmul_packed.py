"""Matrix products with an operand that is packed once and used many times: weights at inference, steps of a recurrence.

    packed = np.empty(packed_size(K, N, dtype), dtype)
    matmul_pack_forward(packed, b, transpose_b)
    matmul_packed_forward(y, a, packed, transpose_a, accumulate)

How the elements of `packed` lie is the implementation's own business and differs from machine to machine: it is not
for files. Here it is op(b) itself.
"""


def packed_size(k, n, dtype):
    """Elements of the array that holds a packed (K, N) operand of a dtype."""
    return k * n


def matmul_pack_forward(packed, b, transpose_b):
    """packed = op(b) for matmul_packed_forward, op(m) = m or m.T

    packed       (S,)    [out]  packed_size(K, N, dtype) elements
    b            (R, S2)        (K, N), or (N, K) when transpose_b
    transpose_b  bool           pack b's transpose

    Raises ValueError for a size that does not fit, TypeError for mixed dtypes.
    """
    if packed.size != packed_size(*b.shape, b.dtype):
        raise ValueError(f"matmul_pack_forward: packed: expected {b.size} elements, got {packed.size}")
    packed[...] = (b.T if transpose_b else b).reshape(-1)


def matmul_packed_forward(y, a, packed, transpose_a, accumulate):
    """y (+)= op(a) @ op(b), op(b) packed by matmul_pack_forward

    y            (M, N)  [inout]  result; read only when accumulate
    a            (P, Q)           (M, K), or (K, M) when transpose_a
    packed       (S,)             op(b), of shape (K, N), packed on this machine
    transpose_a  bool             use a's transpose
    accumulate   bool             add to y instead of overwriting it

    K = 0 gives zeros. y does not overlap a or packed.
    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    """
    a = a.T if transpose_a else a
    k, n = a.shape[1], y.shape[1]
    if a.shape[0] != y.shape[0] or packed.size != packed_size(k, n, a.dtype):
        raise ValueError(f"matmul_packed_forward: expected y (M, N) of op(a) (M, K) and {k * n} packed elements")
    product = a @ packed.reshape(k, n)
    y[...] = y + product if accumulate else product
