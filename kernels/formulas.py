"""Elementwise operations as formulas: the one place where CPU and CUDA kernels take them from.

A formula is an expression over the operands of one element. Beside them stand the names zero, one, two and half
(numbers in the dtype of the operands: a literal would promote float32), `cast` (to that dtype) and the functions that
the target's template imports. None: no gradient, or one that is another operation.
"""

# name: (value in x; gradient in dy and in x or y; which of the two the gradient needs)
UNARY = {
    "neg": ("-x", None, ""),
    "abs": ("abs(x)", "dy * (one if x > zero else (-one if x < zero else zero))", "x"),
    "sign": ("one if x > zero else (-one if x < zero else zero)", None, ""),
    "square": ("x * x", "two * dy * x", "x"),
    "reciprocal": ("one / x", "-dy * y * y", "y"),
    "sqrt": ("np.sqrt(x)", "half * dy / y", "y"),
    "rsqrt": ("one / np.sqrt(x)", "-half * dy * y * y * y", "y"),
    "exp": ("exp(x)", "dy * y", "y"),
    "expm1": ("expm1(x)", "dy * (y + one)", "y"),
    "log": ("log(x)", "dy / x", "x"),
    "log1p": ("log1p(x)", "dy / (one + x)", "x"),
    "log2": ("log(x) * cast(1.4426950408889634)", "dy / (x * cast(0.6931471805599453))", "x"),
    "log10": ("log(x) * cast(0.4342944819032518)", "dy / (x * cast(2.302585092994046))", "x"),
    "sin": ("np.sin(x)", "dy * np.cos(x)", "x"),
    "cos": ("np.cos(x)", "-dy * np.sin(x)", "x"),
    "tan": ("np.tan(x)", "dy * (one + y * y)", "y"),
    "atan": ("np.arctan(x)", "dy / (one + x * x)", "x"),
    "tanh": ("tanh(x)", "dy * (one - y * y)", "y"),
    "sigmoid": ("sigmoid(x)", "dy * y * (one - y)", "y"),
    "erf": ("erf(x)", "dy * cast(1.1283791670955126) * exp(-x * x)", "x"),
    "floor": ("np.floor(x)", None, ""),
    "ceil": ("np.ceil(x)", None, ""),
    "round": ("np.rint(x)", None, ""),
    "trunc": ("np.trunc(x)", None, ""),
}

# name: (value in a and b; gradients of a and of b in dy, a and b)
BINARY = {
    "add": ("a + b", None, None),
    "sub": ("a - b", None, None),
    "mul": ("a * b", "dy * b", "dy * a"),
    "div": ("a / b", "dy / b", "-dy * (a / b) / b"),
    "pow": (
        "a ** b",
        "zero if b == zero else dy * b * a ** (b - one)",
        "zero if a == zero and b >= zero else dy * a ** b * np.log(a)",
    ),
    "maximum": (
        "a if a > b or a != a else b",
        "dy if a > b or a != a else (half * dy if a == b else zero)",
        "zero if a > b or a != a else (half * dy if a == b else dy)",
    ),
    "minimum": (
        "a if a < b or a != a else b",
        "dy if a < b or a != a else (half * dy if a == b else zero)",
        "zero if a < b or a != a else (half * dy if a == b else dy)",
    ),
    "floor_divide": ("a // b", None, None),
    "remainder": ("a % b", "dy", "-dy * np.floor(a / b)"),
    "bitwise_and": ("a & b", None, None),
    "bitwise_or": ("a | b", None, None),
    "bitwise_xor": ("a ^ b", None, None),
}

# name: value in a and b; the result is a bool
COMPARISON = {
    "eq": "a == b",
    "ne": "a != b",
    "lt": "a < b",
    "le": "a <= b",
    "gt": "a > b",
    "ge": "a >= b",
}

# an array x and one number, value. name: (value in x and value; gradient in dy, x and value)
CONSTANT = {
    "add": ("x + value", None),
    "rsub": ("value - x", None),
    "mul": ("x * value", None),
    "div": ("x / value", None),
    "rdiv": ("value / x", "-dy * value / (x * x)"),
    "pow": ("x ** value", "zero if value == zero else dy * value * x ** (value - one)"),
    "rpow": ("value ** x", "zero if value == zero else dy * value ** x * np.log(value)"),
    "floor_divide": ("x // value", None),
    "remainder": ("x % value", None),
    "maximum": ("x if x > value or x != x else value", None),
    "minimum": ("x if x < value or x != x else value", None),
}
