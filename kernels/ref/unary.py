"""Functions of one array, element by element. The output may be the input (in place), a gradient the gradient given."""

import math

import numpy as np

from .documented import documented

# arithmetic that integers have too
forward_any = documented("""
    y  (...) same [out]  may be x
    x  (...) same
    """)

forward = documented("""
    y  (...) [out]  may be x
    x  (...)
    """)

backward_x = documented("""
    dx  (...) [out]  may be dy
    dy  (...)        gradient of the result
    x   (...)        input of the forward
    """)

backward_y = documented("""
    dx  (...) [out]  may be dy
    dy  (...)        gradient of the result
    y   (...)        result of the forward
    """)


@forward_any
def neg_forward(y, x):
    """y = -x"""
    y[...] = -x


@forward_any
def abs_forward(y, x):
    """y = |x|"""
    y[...] = np.abs(x)


@backward_x
def abs_backward(dx, dy, x):
    """dx = dy * sign(x); 0 at 0 and at NaN"""
    dx[...] = np.where(x > 0, dy, np.where(x < 0, -dy, 0))


@forward_any
def sign_forward(y, x):
    """y = 1, 0 or -1; 0 for NaN"""
    y[...] = np.where(x > 0, 1, np.where(x < 0, -1, 0))


@forward_any
def square_forward(y, x):
    """y = x * x"""
    y[...] = x * x


@backward_x
def square_backward(dx, dy, x):
    """dx = 2 * dy * x"""
    dx[...] = 2 * dy * x


@forward
def reciprocal_forward(y, x):
    """y = 1 / x"""
    with np.errstate(all="ignore"):
        y[...] = 1 / x


@backward_y
def reciprocal_backward(dx, dy, y):
    """dx = -dy * y^2"""
    dx[...] = -dy * y * y


@forward
def sqrt_forward(y, x):
    """y = sqrt(x); NaN for negative x"""
    with np.errstate(all="ignore"):
        y[...] = np.sqrt(x)


@backward_y
def sqrt_backward(dx, dy, y):
    """dx = dy / (2 y)"""
    with np.errstate(all="ignore"):
        dx[...] = dy / (2 * y)


@forward
def rsqrt_forward(y, x):
    """y = 1 / sqrt(x)"""
    with np.errstate(all="ignore"):
        y[...] = 1 / np.sqrt(x)


@backward_y
def rsqrt_backward(dx, dy, y):
    """dx = -dy * y^3 / 2"""
    dx[...] = -dy * y**3 / 2


@forward
def exp_forward(y, x):
    """y = e^x"""
    with np.errstate(all="ignore"):
        y[...] = np.exp(x)


@backward_y
def exp_backward(dx, dy, y):
    """dx = dy * y"""
    dx[...] = dy * y


@forward
def expm1_forward(y, x):
    """y = e^x - 1, exact near 0"""
    with np.errstate(all="ignore"):
        y[...] = np.expm1(x)


@backward_y
def expm1_backward(dx, dy, y):
    """dx = dy * (y + 1)"""
    dx[...] = dy * (y + 1)


@forward
def log_forward(y, x):
    """y = ln x; -inf at 0, NaN for negative x"""
    with np.errstate(all="ignore"):
        y[...] = np.log(x)


@backward_x
def log_backward(dx, dy, x):
    """dx = dy / x"""
    with np.errstate(all="ignore"):
        dx[...] = dy / x


@forward
def log1p_forward(y, x):
    """y = ln(1 + x), exact near 0"""
    with np.errstate(all="ignore"):
        y[...] = np.log1p(x)


@backward_x
def log1p_backward(dx, dy, x):
    """dx = dy / (1 + x)"""
    with np.errstate(all="ignore"):
        dx[...] = dy / (1 + x)


@forward
def log2_forward(y, x):
    """y = logarithm of x to base 2"""
    with np.errstate(all="ignore"):
        y[...] = np.log2(x)


@backward_x
def log2_backward(dx, dy, x):
    """dx = dy / (x ln 2)"""
    with np.errstate(all="ignore"):
        dx[...] = dy / (x * np.log(2))


@forward
def log10_forward(y, x):
    """y = logarithm of x to base 10"""
    with np.errstate(all="ignore"):
        y[...] = np.log10(x)


@backward_x
def log10_backward(dx, dy, x):
    """dx = dy / (x ln 10)"""
    with np.errstate(all="ignore"):
        dx[...] = dy / (x * np.log(10))


@forward
def sin_forward(y, x):
    """y = sin x"""
    with np.errstate(all="ignore"):
        y[...] = np.sin(x)


@backward_x
def sin_backward(dx, dy, x):
    """dx = dy * cos x"""
    dx[...] = dy * np.cos(x)


@forward
def cos_forward(y, x):
    """y = cos x"""
    with np.errstate(all="ignore"):
        y[...] = np.cos(x)


@backward_x
def cos_backward(dx, dy, x):
    """dx = -dy * sin x"""
    dx[...] = -dy * np.sin(x)


@forward
def tan_forward(y, x):
    """y = tan x"""
    with np.errstate(all="ignore"):
        y[...] = np.tan(x)


@backward_y
def tan_backward(dx, dy, y):
    """dx = dy * (1 + y^2)"""
    dx[...] = dy * (1 + y * y)


@forward
def atan_forward(y, x):
    """y = arc tangent of x"""
    y[...] = np.arctan(x)


@backward_x
def atan_backward(dx, dy, x):
    """dx = dy / (1 + x^2)"""
    dx[...] = dy / (1 + x * x)


@forward
def tanh_forward(y, x):
    """y = tanh x"""
    y[...] = np.tanh(x)


@backward_y
def tanh_backward(dx, dy, y):
    """dx = dy * (1 - y^2)"""
    dx[...] = dy * (1 - y * y)


@forward
def sigmoid_forward(y, x):
    """y = 1 / (1 + e^-x)"""
    with np.errstate(all="ignore"):
        y[...] = 1 / (1 + np.exp(-x))


@backward_y
def sigmoid_backward(dx, dy, y):
    """dx = dy * y * (1 - y)"""
    dx[...] = dy * y * (1 - y)


@forward
def erf_forward(y, x):
    """y = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x"""
    y[...] = np.vectorize(math.erf, otypes=[np.float64])(x)


@backward_x
def erf_backward(dx, dy, x):
    """dx = dy * 2 / sqrt(pi) * e^(-x^2)"""
    dx[...] = dy * 2 / np.sqrt(np.pi) * np.exp(-x * x)


@forward
def floor_forward(y, x):
    """y = largest integer not above x"""
    y[...] = np.floor(x)


@forward
def ceil_forward(y, x):
    """y = smallest integer not below x"""
    y[...] = np.ceil(x)


@forward
def round_forward(y, x):
    """y = nearest integer, halves to even"""
    y[...] = np.rint(x)


@forward
def trunc_forward(y, x):
    """y = x without its fraction"""
    y[...] = np.trunc(x)
