"""Arithmetic and comparisons between an array and one number. The output may be the input (in place)."""

import numpy as np

from .documented import documented

forward = documented("""
    y      (...) same [out]  may be x
    x      (...) same
    value  float             converted to x's dtype
    """)

compare = documented("""
    y      (...) bool [out]
    x      (...) any
    value  float             rounded to x's dtype where that is floating
    """)

backward = documented("""
    dx     (...) [out]  may be dy
    dy     (...)        gradient of the result
    x      (...)        input of the forward
    value  float
    """)


def _number(value, x):
    return np.float64(value).astype(x.dtype)


def _operand(value, x):
    return _number(value, x) if x.dtype.kind == "f" else np.float64(value)


@forward
def add_forward(y, x, value):
    """y = x + value"""
    y[...] = x + _number(value, x)


@forward
def rsub_forward(y, x, value):
    """y = value - x"""
    y[...] = _number(value, x) - x


@forward
def mul_forward(y, x, value):
    """y = x * value"""
    y[...] = x * _number(value, x)


@forward
def div_forward(y, x, value):
    """y = x / value"""
    y[...] = x / _number(value, x)


@forward
def rdiv_forward(y, x, value):
    """y = value / x"""
    y[...] = _number(value, x) / x


@backward
def rdiv_backward(dx, dy, x, value):
    """dx = -dy * value / x^2"""
    dx[...] = -dy * value / (x * x)


@forward
def pow_forward(y, x, value):
    """y = x ** value"""
    y[...] = x ** _number(value, x)


@backward
def pow_backward(dx, dy, x, value):
    """dx = dy * value * x ** (value - 1); 0 when value is 0"""
    dx[...] = dy * value * x ** (value - 1) if value else 0


@forward
def rpow_forward(y, x, value):
    """y = value ** x"""
    y[...] = _number(value, x) ** x


@backward
def rpow_backward(dx, dy, x, value):
    """dx = dy * value ** x * log(value); 0 when value is 0"""
    dx[...] = dy * np.power(value, x) * np.log(value) if value else 0


@forward
def floor_divide_forward(y, x, value):
    """y = floor(x / value); an integer divided by 0 gives 0"""
    with np.errstate(all="ignore"):
        y[...] = x // _number(value, x)


@forward
def remainder_forward(y, x, value):
    """y = x - value * floor(x / value), of the sign of value; an integer divided by 0 gives 0"""
    with np.errstate(all="ignore"):
        y[...] = x % _number(value, x)


@forward
def maximum_forward(y, x, value):
    """y = the larger of x and value; NaN if either is"""
    y[...] = np.maximum(x, _number(value, x))


@forward
def minimum_forward(y, x, value):
    """y = the smaller of x and value; NaN if either is"""
    y[...] = np.minimum(x, _number(value, x))


@compare
def eq_forward(y, x, value):
    """y = x == value"""
    y[...] = x == _operand(value, x)


@compare
def ne_forward(y, x, value):
    """y = x != value"""
    y[...] = x != _operand(value, x)


@compare
def lt_forward(y, x, value):
    """y = x < value"""
    y[...] = x < _operand(value, x)


@compare
def le_forward(y, x, value):
    """y = x <= value"""
    y[...] = x <= _operand(value, x)


@compare
def gt_forward(y, x, value):
    """y = x > value"""
    y[...] = x > _operand(value, x)


@compare
def ge_forward(y, x, value):
    """y = x >= value"""
    y[...] = x >= _operand(value, x)
