"""Formulas of one number: every activation and its gradient, written once and compiled for each target.

A formula is a leaf: numbers in, a number out. It calls exp, expm1, log1p, tanh and erf by their bare names, which are
Python's own here; `bind` gives a copy of all formulas in which those names are the target's functions:

    formulas = bind(inlined, exp=exp, expm1=expm1, log1p=log1p, tanh=tanh, erf=erf)
    silu = formulas["silu"]

`f_grad(dy, x, ...)` is the gradient of `f(x, ...)` times dy; where torch selects (0 or dy) rather than multiplies, so
do we, which keeps an infinite dy out of the flat side. Constants are made in the type of the argument, and both
sides of a choice are computed before it, so that a loop over a formula becomes vector instructions with a blend.
"""

import types
from math import erf, exp, expm1, log1p, tanh

# activations that linear fuses into its epilogue, by torch's default parameters
IDENTITY, RELU, TANH, SIGMOID, GELU, GELU_TANH, SILU, LEAKY_RELU, ELU = range(9)
ACTIVATIONS = {
    None: IDENTITY,
    "relu": RELU,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "gelu": GELU,
    "gelu_tanh": GELU_TANH,
    "silu": SILU,
    "leaky_relu": LEAKY_RELU,
    "elu": ELU,
}
# their derivative needs z; that of all others is a function of y = activate(code, z)
NEEDS_INPUT = frozenset({GELU, GELU_TANH, SILU})

# kernels that are one loop over a formula: (scalars, those of the backward, what backward is computed from)
KERNELS = {
    "relu": ((), (), "x"),
    "leaky_relu": (("negative_slope",), ("negative_slope",), "x"),
    "threshold": (("threshold", "value"), ("threshold",), "x"),
    "hardtanh": (("min_val", "max_val"), ("min_val", "max_val"), "x"),
    "hardsigmoid": ((), (), "x"),
    "hardswish": ((), (), "x"),
    "hardshrink": (("lambd",), ("lambd",), "x"),
    "softshrink": (("lambd",), ("lambd",), "x"),
    "elu": (("alpha",), ("alpha",), "x"),
    "celu": (("alpha",), ("alpha",), "x"),
    "selu": ((), (), "x"),
    "sigmoid": ((), (), "y"),
    "tanh": ((), (), "y"),
    "tanhshrink": ((), (), "x"),
    "log_sigmoid": ((), (), "x"),
    "softplus": (("beta", "threshold"), ("beta", "threshold"), "x"),
    "softsign": ((), (), "x"),
    "silu": ((), (), "x"),
    "mish": ((), (), "x"),
    "gelu": ((), (), "x"),
    "gelu_tanh": ((), (), "x"),
}

SQRT_HALF = 0.7071067811865476
# 1 / sqrt(2 pi): the normal density at 0
NORMAL_PEAK = 0.3989422804014327
# gelu_tanh: 0.5 * (1 + tanh(u)) = sigmoid(2 u), u = sqrt(2 / pi) * (x + 0.044715 x^3)
GELU_SCALE = 1.5957691216057308
GELU_CUBIC = 0.044715
# Klambauer et al. 2017: the fixed point that keeps mean 0 and variance 1
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def exp_below(x):
    """exp where x <= 0; elsewhere any number. A target may have a shorter one."""
    return exp(x)


def expm1_below(x):
    """expm1 where x <= 0; elsewhere any number."""
    return expm1(x)


def relu(x):
    return type(x)(0) if x <= 0 else x


def relu_grad(dy, x):
    return type(x)(0) if x <= 0 else dy


def leaky_relu(x, negative_slope):
    return x if x > 0 else x * negative_slope


def leaky_relu_grad(dy, x, negative_slope):
    return dy if x > 0 else dy * negative_slope


def threshold(x, at, value):
    return value if x <= at else x


def threshold_grad(dy, x, at):
    return type(x)(0) if x <= at else dy


def hardtanh(x, min_val, max_val):
    low = min_val if x < min_val else x
    return max_val if low > max_val else low


def hardtanh_grad(dy, x, min_val, max_val):
    return type(x)(0) if (x <= min_val) | (x >= max_val) else dy


def hardsigmoid(x):
    c = type(x)
    return hardtanh(x + c(3), c(0), c(6)) * c(1 / 6)


def hardsigmoid_grad(dy, x):
    c = type(x)
    return dy * c(1 / 6) if (x > -3) & (x < 3) else c(0)


def hardswish(x):
    c = type(x)
    return x * hardtanh(x + c(3), c(0), c(6)) * c(1 / 6)


def hardswish_grad(dy, x):
    c = type(x)
    inner = dy * (x * c(1 / 3) + c(0.5))
    right = inner if x < 3 else dy
    return c(0) if x <= -3 else right


def hardshrink(x, lambd):
    return type(x)(0) if (x >= -lambd) & (x <= lambd) else x


def softshrink(x, lambd):
    # x * 0 keeps the NaN
    inner = x + lambd if x < -lambd else x * type(x)(0)
    return x - lambd if x > lambd else inner


def hardshrink_grad(dy, x, lambd):
    return type(x)(0) if (x >= -lambd) & (x <= lambd) else dy


def softshrink_grad(dy, x, lambd):
    return hardshrink_grad(dy, x, lambd)


def elu(x, alpha):
    left = alpha * expm1_below(x)
    return left if x <= 0 else x


def elu_grad(dy, x, alpha):
    left = dy * alpha * exp_below(x)
    return left if x <= 0 else dy


def celu(x, alpha):
    # a negative alpha turns the sign of x / alpha
    left = alpha * expm1(x / alpha)
    return left if x <= 0 else x


def celu_grad(dy, x, alpha):
    left = dy * exp(x / alpha)
    return left if x <= 0 else dy


def selu(x):
    c = type(x)
    left = c(SELU_ALPHA * SELU_SCALE) * expm1_below(x)
    return left if x <= 0 else c(SELU_SCALE) * x


def selu_grad(dy, x):
    c = type(x)
    left = dy * c(SELU_ALPHA * SELU_SCALE) * exp_below(x)
    return left if x <= 0 else dy * c(SELU_SCALE)


def sigmoid(x):
    # exp of a negative number: nothing overflows, and small results keep their digits
    one = type(x)(1)
    e = exp_below(-abs(x))
    return (e if x < 0 else one) / (one + e)


def sigmoid_grad(dy, y):
    return dy * y * (type(y)(1) - y)


def tanh_grad(dy, y):
    return dy * (type(y)(1) - y * y)


def tanhshrink(x):
    return x - tanh(x)


def tanhshrink_grad(dy, x):
    t = tanh(x)
    return dy * t * t


def log_sigmoid(x):
    negative = x if x < 0 else type(x)(0)
    return negative - log1p(exp_below(-abs(x)))


def log_sigmoid_grad(dy, x):
    return dy * sigmoid(-x)


def softplus(x, beta, threshold):
    z = x * beta
    positive = z if z > 0 else type(x)(0)
    smooth = (positive + log1p(exp_below(-abs(z)))) / beta
    return x if z > threshold else smooth


def softplus_grad(dy, x, beta, threshold):
    z = x * beta
    smooth = dy * sigmoid(z)
    return dy if z > threshold else smooth


def softsign(x):
    return x / (type(x)(1) + abs(x))


def softsign_grad(dy, x):
    d = type(x)(1) + abs(x)
    return dy / (d * d)


def silu(x):
    return x * sigmoid(x)


def silu_grad(dy, x):
    # sigmoid(-x), not 1 - sigmoid(x): x times the rounding error of that would show
    return dy * sigmoid(x) * (type(x)(1) + x * sigmoid(-x))


def tanh_softplus(x):
    """a, b with tanh(log(1 + exp(x))) = a / (a + b)."""
    # e (e + 2) over 2, e = exp(x); both times exp(-2 x) where x > 0, so that nothing overflows
    c = type(x)
    t = exp_below(-abs(x))
    a = t * (t + c(2)) if x < 0 else c(1) + c(2) * t
    b = c(2) if x < 0 else c(2) * t * t
    return a, b


def mish(x):
    a, b = tanh_softplus(x)
    return x * (a / (a + b))


def mish_grad(dy, x):
    a, b = tanh_softplus(x)
    scale = type(x)(1) / (a + b)
    t = a * scale
    # 1 - t^2 = (1 - t) (1 + t)
    return dy * (t + x * sigmoid(x) * (b * scale) * (type(x)(1) + t))


def normal_cdf(x):
    c = type(x)
    return c(0.5) + c(0.5) * erf(x * c(SQRT_HALF))


def gelu(x):
    return x * normal_cdf(x)


def gelu_grad(dy, x):
    c = type(x)
    density = c(NORMAL_PEAK) * exp_below(c(-0.5) * x * x)
    return dy * (normal_cdf(x) + x * density)


def gelu_tanh(x):
    c = type(x)
    return x * sigmoid(c(GELU_SCALE) * (x + c(GELU_CUBIC) * x * x * x))


def gelu_tanh_grad(dy, x):
    c = type(x)
    v = c(GELU_SCALE) * (x + c(GELU_CUBIC) * x * x * x)
    slope = c(GELU_SCALE) * (c(1) + c(3 * GELU_CUBIC) * x * x)
    return dy * sigmoid(v) * (c(1) + x * slope * sigmoid(-v))


def activate(code, z):
    """The activation of ACTIVATIONS with that code; `code` is best a constant, then all other branches fold away."""
    c = type(z)
    if code == RELU:
        return relu(z)
    if code == TANH:
        return tanh(z)
    if code == SIGMOID:
        return sigmoid(z)
    if code == GELU:
        return gelu(z)
    if code == GELU_TANH:
        return gelu_tanh(z)
    if code == SILU:
        return silu(z)
    if code == LEAKY_RELU:
        return leaky_relu(z, c(0.01))
    if code == ELU:
        return elu(z, c(1))
    return z


def activate_grad(code, dy, y, z):
    """dy times the derivative of y = activate(code, z); z is looked at only for codes in NEEDS_INPUT."""
    c = type(y)
    if code == RELU:
        return relu_grad(dy, y)
    if code == TANH:
        return tanh_grad(dy, y)
    if code == SIGMOID:
        return sigmoid_grad(dy, y)
    if code == GELU:
        return gelu_grad(dy, z)
    if code == GELU_TANH:
        return gelu_tanh_grad(dy, z)
    if code == SILU:
        return silu_grad(dy, z)
    if code == LEAKY_RELU:
        return leaky_relu_grad(dy, y, c(0.01))
    if code == ELU:
        # exp(z) = y + 1 on the left
        return dy if y > 0 else dy * (y + c(1))
    return dy


def bind(decorate, **functions):
    """Every formula of this module by name, decorated for one target and calling that target's `functions`.

    A formula that `functions` replaces (sigmoid, say) is taken as it is.
    """
    own = {n: f for n, f in globals().items() if isinstance(f, types.FunctionType) and n != "bind"}
    namespace = {**globals(), **functions}
    for name in own.keys() - functions.keys():
        # the same code, looking its names up in `namespace`
        namespace[name] = decorate(types.FunctionType(own[name].__code__, namespace, name))
    return {name: namespace[name] for name in own.keys() | functions.keys()}
