"""Copies, fills and arithmetic on arrays of one shape.

An output may be one of the inputs (in place): every element is read before it is written.
"""

import numpy as np

from .documented import documented


def copy_forward(y, x):
    """y = x, converted to y's dtype (to integers by truncation, to bool by x != 0)

    y  (...) any [out]  copy
    x  (...) any        original
    """
    y[...] = x


def assign_forward(y, x):
    """y = x through any strides: transposes, slices and broadcasts become memory, and the other way round

    y  (P, Q, R, S) any [inout] [strided]  elements outside the view keep their values
    x  (P, Q, R, S) any [strided]          original; stride 0 broadcasts; never shares memory with y

    Shapes of fewer dimensions are padded with 1 in front, longer ones collapsed by the caller.
    """
    y[...] = x


def fill_forward(y, value):
    """y = value

    y      (...) any [out]
    value  float            converted to y's dtype
    """
    y[...] = np.float64(value).astype(y.dtype)


def arange_forward(y, start, step):
    """y[i] = start + i * step

    y      (N,) any [out]
    start  float
    step   float
    """
    y[...] = start + np.arange(y.size) * step


forward = documented("""
    y  (...) same [out]  may be a or b
    a  (...) same        left operand
    b  (...) same        right operand
    """)

compare = documented("""
    y  (...) bool [out]
    a  (...) same        left operand
    b  (...) same        right operand
    """)

backward = documented("""
    da  (...) or (0,) [out]  size 0: not wanted
    db  (...) or (0,) [out]  size 0: not wanted
    dy  (...)                gradient of the result
    a   (...)                left operand
    b   (...)                right operand
    """)


def _write(out, gradient):
    if out.size:
        out[...] = gradient


@forward
def add_forward(y, a, b):
    """y = a + b"""
    y[...] = a + b


@forward
def sub_forward(y, a, b):
    """y = a - b"""
    y[...] = a - b


@forward
def mul_forward(y, a, b):
    """y = a * b"""
    y[...] = a * b


@backward
def mul_backward(da, db, dy, a, b):
    """da = dy * b;  db = dy * a"""
    _write(da, dy * b)
    _write(db, dy * a)


@forward
def div_forward(y, a, b):
    """y = a / b"""
    y[...] = a / b


@backward
def div_backward(da, db, dy, a, b):
    """da = dy / b;  db = -dy * a / b^2"""
    _write(da, dy / b)
    _write(db, -dy * (a / b) / b)


@forward
def pow_forward(y, a, b):
    """y = a ** b"""
    y[...] = a**b


@backward
def pow_backward(da, db, dy, a, b):
    """da = dy * b * a ** (b - 1), 0 where b = 0;  db = dy * a ** b * log(a), 0 where a = 0 <= b"""
    with np.errstate(all="ignore"):
        _write(da, np.where(b == 0, 0, dy * b * a ** (b - 1)))
        _write(db, np.where((a == 0) & (b >= 0), 0, dy * a**b * np.log(a)))


@forward
def maximum_forward(y, a, b):
    """y = the larger of a and b; NaN if either is"""
    y[...] = np.maximum(a, b)


@backward
def maximum_backward(da, db, dy, a, b):
    """dy to the larger operand, half to each where they are equal"""
    left = (a > b) | np.isnan(a)
    _write(da, np.where(left, dy, np.where(a == b, dy / 2, 0)))
    _write(db, np.where(left, 0, np.where(a == b, dy / 2, dy)))


@forward
def minimum_forward(y, a, b):
    """y = the smaller of a and b; NaN if either is"""
    y[...] = np.minimum(a, b)


@backward
def minimum_backward(da, db, dy, a, b):
    """dy to the smaller operand, half to each where they are equal"""
    left = (a < b) | np.isnan(a)
    _write(da, np.where(left, dy, np.where(a == b, dy / 2, 0)))
    _write(db, np.where(left, 0, np.where(a == b, dy / 2, dy)))


@forward
def floor_divide_forward(y, a, b):
    """y = floor(a / b); an integer divided by 0 gives 0"""
    with np.errstate(all="ignore"):
        y[...] = a // b


@forward
def remainder_forward(y, a, b):
    """y = a - b * floor(a / b), of the sign of b; an integer divided by 0 gives 0"""
    with np.errstate(all="ignore"):
        y[...] = a % b


@backward
def remainder_backward(da, db, dy, a, b):
    """da = dy;  db = -dy * floor(a / b)"""
    _write(da, dy)
    _write(db, -dy * np.floor(a / b))


@forward
def bitwise_and_forward(y, a, b):
    """y = a & b, integers or bool"""
    y[...] = a & b


@forward
def bitwise_or_forward(y, a, b):
    """y = a | b, integers or bool"""
    y[...] = a | b


@forward
def bitwise_xor_forward(y, a, b):
    """y = a ^ b, integers or bool"""
    y[...] = a ^ b


@compare
def eq_forward(y, a, b):
    """y = a == b"""
    y[...] = a == b


@compare
def ne_forward(y, a, b):
    """y = a != b"""
    y[...] = a != b


@compare
def lt_forward(y, a, b):
    """y = a < b"""
    y[...] = a < b


@compare
def le_forward(y, a, b):
    """y = a <= b"""
    y[...] = a <= b


@compare
def gt_forward(y, a, b):
    """y = a > b"""
    y[...] = a > b


@compare
def ge_forward(y, a, b):
    """y = a >= b"""
    y[...] = a >= b
