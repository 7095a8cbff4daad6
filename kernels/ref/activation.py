"""Activations, element by element, and their gradients, as the functions of torch.nn.functional.

At a kink the gradient is torch's: that of the side named here. sigmoid and tanh go backward from their output.
"""

import math

import numpy as np

from .documented import documented

erf = np.vectorize(math.erf, otypes=[np.float64])

forward = documented("""
    y  (...) [out]  result
    x  (...)        input
    """)

backward = documented("""
    dx  (...) [out]  gradient of the input
    dy  (...)        gradient of the result
    x   (...)        input of the forward
    """)

backward_from_output = documented("""
    dx  (...) [out]  gradient of the input
    dy  (...)        gradient of the result
    y   (...)        result of the forward
    """)

negative_slope = documented("""
    negative_slope  float  slope on the left of 0
    """)

alpha = documented("""
    alpha  float  -alpha is the limit on the left
    """)

lambd = documented("""
    lambd  float  half the width of the flat part, >= 0
    """)

bounds = documented("""
    min_val  float  lower bound
    max_val  float  upper bound
    """)

knee = documented("""
    beta       float  sharpness
    threshold  float  y = x where beta x is greater
    """)


def sigma(x):
    return np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x)))


@forward
def relu_forward(y, x):
    """y = 0 where x <= 0, else x"""
    y[...] = np.where(x <= 0, 0, x)


@backward
def relu_backward(dx, dy, x):
    """dx = 0 where x <= 0, else dy"""
    dx[...] = np.where(x <= 0, 0, dy)


@negative_slope
@forward
def leaky_relu_forward(y, x, negative_slope):
    """y = x where x > 0, else negative_slope x"""
    y[...] = np.where(x > 0, x, negative_slope * x)


@negative_slope
@backward
def leaky_relu_backward(dx, dy, x, negative_slope):
    """dx = dy where x > 0, else negative_slope dy"""
    dx[...] = np.where(x > 0, dy, negative_slope * dy)


@forward
def threshold_forward(y, x, threshold, value):
    """y = value where x <= threshold, else x

    threshold  float
    value      float
    """
    y[...] = np.where(x <= threshold, value, x)


@backward
def threshold_backward(dx, dy, x, threshold):
    """dx = 0 where x <= threshold, else dy

    threshold  float
    """
    dx[...] = np.where(x <= threshold, 0, dy)


@bounds
@forward
def hardtanh_forward(y, x, min_val, max_val):
    """y = min(max(x, min_val), max_val)"""
    y[...] = np.minimum(np.maximum(x, min_val), max_val)


@bounds
@backward
def hardtanh_backward(dx, dy, x, min_val, max_val):
    """dx = 0 where x <= min_val or x >= max_val, else dy"""
    dx[...] = np.where((x <= min_val) | (x >= max_val), 0, dy)


@forward
def hardsigmoid_forward(y, x):
    """y = min(max(x + 3, 0), 6) / 6"""
    y[...] = np.minimum(np.maximum(x + 3, 0), 6) / 6


@backward
def hardsigmoid_backward(dx, dy, x):
    """dx = dy / 6 where -3 < x < 3, else 0"""
    dx[...] = np.where((x > -3) & (x < 3), dy / 6, 0)


@forward
def hardswish_forward(y, x):
    """y = x min(max(x + 3, 0), 6) / 6"""
    y[...] = x * np.minimum(np.maximum(x + 3, 0), 6) / 6


@backward
def hardswish_backward(dx, dy, x):
    """dx = 0 where x <= -3; dy (x / 3 + 1/2) where -3 < x < 3; else dy"""
    dx[...] = np.where(x <= -3, 0, np.where(x < 3, dy * (x / 3 + 0.5), dy))


@lambd
@forward
def hardshrink_forward(y, x, lambd):
    """y = 0 where -lambd <= x <= lambd, else x"""
    y[...] = np.where((x >= -lambd) & (x <= lambd), 0, x)


@lambd
@backward
def hardshrink_backward(dx, dy, x, lambd):
    """dx = 0 where -lambd <= x <= lambd, else dy"""
    dx[...] = np.where((x >= -lambd) & (x <= lambd), 0, dy)


@lambd
@forward
def softshrink_forward(y, x, lambd):
    """y = x - lambd where x > lambd; x + lambd where x < -lambd; else 0"""
    y[...] = np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, x * 0))


@lambd
@backward
def softshrink_backward(dx, dy, x, lambd):
    """dx = 0 where -lambd <= x <= lambd, else dy"""
    dx[...] = np.where((x >= -lambd) & (x <= lambd), 0, dy)


@alpha
@forward
def elu_forward(y, x, alpha):
    """y = x where x > 0, else alpha (exp(x) - 1)"""
    y[...] = np.where(x <= 0, alpha * np.expm1(np.minimum(x, 0)), x)


@alpha
@backward
def elu_backward(dx, dy, x, alpha):
    """dx = dy where x > 0, else dy alpha exp(x)"""
    dx[...] = np.where(x <= 0, dy * alpha * np.exp(np.minimum(x, 0)), dy)


@alpha
@forward
def celu_forward(y, x, alpha):
    """y = x where x > 0, else alpha (exp(x / alpha) - 1)"""
    y[...] = np.where(x <= 0, alpha * np.expm1(np.minimum(x, 0) / alpha), x)


@alpha
@backward
def celu_backward(dx, dy, x, alpha):
    """dx = dy where x > 0, else dy exp(x / alpha)"""
    dx[...] = np.where(x <= 0, dy * np.exp(np.minimum(x, 0) / alpha), dy)


# Klambauer et al. 2017
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@forward
def selu_forward(y, x):
    """y = 1.0507 x where x > 0, else 1.0507 * 1.6733 (exp(x) - 1)"""
    y[...] = SELU_SCALE * np.where(x <= 0, SELU_ALPHA * np.expm1(np.minimum(x, 0)), x)


@backward
def selu_backward(dx, dy, x):
    """dx = 1.0507 dy where x > 0, else 1.0507 * 1.6733 dy exp(x)"""
    dx[...] = SELU_SCALE * np.where(x <= 0, SELU_ALPHA * dy * np.exp(np.minimum(x, 0)), dy)


@forward
def sigmoid_forward(y, x):
    """y = 1 / (1 + exp(-x))"""
    y[...] = sigma(x)


@backward_from_output
def sigmoid_backward(dx, dy, y):
    """dx = dy y (1 - y)"""
    dx[...] = dy * y * (1 - y)


@forward
def tanh_forward(y, x):
    """y = tanh(x)"""
    y[...] = np.tanh(x)


@backward_from_output
def tanh_backward(dx, dy, y):
    """dx = dy (1 - y^2)"""
    dx[...] = dy * (1 - y * y)


@forward
def tanhshrink_forward(y, x):
    """y = x - tanh(x)"""
    y[...] = x - np.tanh(x)


@backward
def tanhshrink_backward(dx, dy, x):
    """dx = dy tanh(x)^2"""
    dx[...] = dy * np.tanh(x) ** 2


@forward
def log_sigmoid_forward(y, x):
    """y = log(1 / (1 + exp(-x)))"""
    y[...] = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


@backward
def log_sigmoid_backward(dx, dy, x):
    """dx = dy / (1 + exp(x))"""
    dx[...] = dy * sigma(-x)


@knee
@forward
def softplus_forward(y, x, beta, threshold):
    """y = log(1 + exp(beta x)) / beta where beta x <= threshold, else x"""
    z = beta * x
    y[...] = np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


@knee
@backward
def softplus_backward(dx, dy, x, beta, threshold):
    """dx = dy / (1 + exp(-beta x)) where beta x <= threshold, else dy"""
    z = beta * x
    dx[...] = np.where(z > threshold, dy, dy * sigma(z))


@forward
def softsign_forward(y, x):
    """y = x / (1 + |x|)"""
    y[...] = x / (1 + np.abs(x))


@backward
def softsign_backward(dx, dy, x):
    """dx = dy / (1 + |x|)^2"""
    dx[...] = dy / (1 + np.abs(x)) ** 2


@forward
def silu_forward(y, x):
    """y = x sigmoid(x)"""
    y[...] = x * sigma(x)


@backward
def silu_backward(dx, dy, x):
    """dx = dy s (1 + x (1 - s)), s = sigmoid(x)"""
    s = sigma(x)
    dx[...] = dy * s * (1 + x * (1 - s))


@forward
def mish_forward(y, x):
    """y = x tanh(log(1 + exp(x)))"""
    y[...] = x * np.tanh(np.logaddexp(0, x))


@backward
def mish_backward(dx, dy, x):
    """dx = dy (t + x sigmoid(x) (1 - t^2)), t = tanh(log(1 + exp(x)))"""
    t = np.tanh(np.logaddexp(0, x))
    dx[...] = dy * (t + x * sigma(x) * (1 - t * t))


@forward
def gelu_forward(y, x):
    """y = x (1 + erf(x / sqrt(2))) / 2"""
    y[...] = x * 0.5 * (1 + erf(x / math.sqrt(2)))


@backward
def gelu_backward(dx, dy, x):
    """dx = dy (P(x) + x p(x)), p the normal density, P its integral"""
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    dx[...] = dy * (0.5 * (1 + erf(x / math.sqrt(2))) + x * density)


@forward
def gelu_tanh_forward(y, x):
    """y = x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3)"""
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    y[...] = 0.5 * x * (1 + np.tanh(u))


@backward
def gelu_tanh_backward(dx, dy, x):
    """dx = dy (1 + t + x (1 - t^2) u') / 2, t = tanh(u), u as in the forward"""
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    dx[...] = dy * 0.5 * (1 + t + x * (1 - t * t) * slope)
