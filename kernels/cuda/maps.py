"""Maps: kernels whose result at a place is a formula of the operands at that place. The one source they are made of.

A block makes TILE elements of the result. A thread takes LOADS vectors of four neighbours from every operand before it
computes or stores anything: that many loads are under way at once, and a result may lie where an operand does. Where
an array does not begin on a vector's boundary, and at the end, single elements stand in for a vector; the rest of the
code is the same.
"""

import re

import numpy as np

from . import functions
from .array import Array
from .half import HALVES
from .ptx import VECTOR, load4, narrow, on_boundary, store4, wide  # noqa: F401  (in the source)
from .target import THREADS, cuda, device, jit, launch  # noqa: F401  (in the source)

LOADS = 2
# from one vector of a thread to its next one, and from block to block, in elements
STEP = VECTOR * THREADS
TILE = LOADS * STEP


@device
def take4(array, i, n, whole):
    """Elements i .. i + 3, widened; what lies beyond the n-th is some other element."""
    if whole:
        return load4(array, i)
    last = n - 1
    return (
        wide(array[min(i, last)]),
        wide(array[min(i + 1, last)]),
        wide(array[min(i + 2, last)]),
        wide(array[min(i + 3, last)]),
    )


@device
def put4(array, i, n, whole, values):
    """Narrow four values into elements i .. i + 3, as many as there are."""
    if whole:
        store4(array, i, values)
    else:
        if i < n:
            array[i] = narrow(array, values[0])
        if i + 1 < n:
            array[i + 1] = narrow(array, values[1])
        if i + 2 < n:
            array[i + 2] = narrow(array, values[2])
        if i + 3 < n:
            array[i + 3] = narrow(array, values[3])


# names that formulas use, in terms of `kind`, the type they are computed in
CONSTANTS = {"cast": "kind", "zero": "kind(0)", "one": "kind(1)", "two": "kind(2)", "half": "kind(0.5)"}

FORMULA = """
@device
def formula({arguments}):
    {constants}
    return {value}
"""

KERNEL = """
@jit
def {name}({arguments}):
    n = {result}.size
    first = cuda.blockIdx.x * TILE + cuda.threadIdx.x * VECTOR
    if first < n:
        straight = {straight}
{body}
"""


# Python's operators for floats are not exact on a device
EXACT = (re.compile(r"(\w+) // (\w+)"), r"floor_divide(\1, \2)"), (re.compile(r"(\w+) % (\w+)"), r"remainder(\1, \2)")


def names_in(*expressions):
    return {name for e in expressions for name in compile(e, "formula", "eval").co_names}


def formula_source(operands, values, scalars=()):
    """Source of `formula`: operands and scalars of one element in, its value out, or a tuple of several."""
    used = names_in(*values)
    for operator, function in EXACT:
        values = [operator.sub(function, v) for v in values]
    constants = [f"{name} = {made}" for name, made in CONSTANTS.items() if name in used]
    if constants:
        constants.insert(0, f"kind = type({operands[0]})")
    return FORMULA.format(
        arguments=", ".join([*operands, *scalars]),
        constants="\n    ".join(constants) or "# nothing but the operands",
        value=values[0] if len(values) == 1 else f"({', '.join(values)})",
    )


def stores(results, part, whole, calls):
    """Lines that store what four calls of the formula give."""
    lines = [f"r{part}{k} = {call}" for k, call in enumerate(calls)]
    for at, result in enumerate(results):
        pick = f"[{at}]" if len(results) > 1 else ""
        four = ", ".join(f"r{part}{k}{pick}" for k in range(VECTOR))
        lines.append(f"put4({result}, i{part}, n, {whole}, ({four}))")
    return lines


def define_map(namespace, name, results, operands, scalars=(), called=(), takes=(), parameters=(), before=()):
    """namespace[name], also returned: a kernel of the results, the operands and the scalars, for `launch_map`.

    results     {name of an array: formula over operands, scalars, CONSTANTS and what functions.py has}
    operands    names of arrays; those that no formula uses are not read
    called      {name: device function} that the formulas call besides
    takes       {operand: expression} for its four elements at i{part}, where it does not lie as the results do, or is
                no array at all: then it is not among the operands
    parameters  what these expressions are made of, behind the scalars
    before      lines that precede the loads of a part
    """
    arrays, values, takes = list(results), list(results.values()), dict(takes)
    used = names_in(*values)
    read, given = [o for o in dict.fromkeys([*operands, *takes]) if o in used], [s for s in scalars if s in used]
    body = []
    for part in range(LOADS):
        body.append(f"i{part} = first + {part} * STEP")
        body.append(f"whole{part} = straight and i{part} + VECTOR <= n")
        body += [line.format(part=part) for line in before]
        for o in read:
            taken = takes.get(o, f"take4(of_{o}, i{{part}}, n, whole{{part}})")
            body.append(f"{o}{part} = {taken.format(part=part)}")
    for part in range(LOADS):
        calls = [f"formula({', '.join([f'{o}{part}[{k}]' for o in read] + given)})" for k in range(VECTOR)]
        body += stores([f"to_{r}" for r in arrays], part, f"whole{part}", calls)
    lie = [f"to_{r}" for r in arrays] + [f"of_{o}" for o in read if o not in takes]
    listed = [*(f"to_{r}" for r in arrays), *(f"of_{o}" for o in operands), *scalars, *parameters]
    source = formula_source(read, values, given) + KERNEL.format(
        name=name,
        arguments=", ".join(listed),
        result=f"to_{arrays[0]}",
        straight=" and ".join(f"on_boundary({a})" for a in lie),
        body="\n".join("        " + line for line in body),
    )
    # what formulas call stands beside what the source does
    elementary = {n: f for n, f in vars(functions).items() if not n.startswith("_")}
    scope = {**globals(), **namespace, **elementary, "np": functions, **dict(called)}
    exec(compile(source, f"<map {name}>", "exec"), scope)
    namespace[name] = scope[name]
    return scope[name]


def raw(array):
    """The array as integers of its elements' size: for maps that only move elements."""
    # signed ones: uint16 is how kernels see bfloat16
    return Array(array.owner, array.pointer, array.shape, np.dtype(f"i{array.itemsize}"), array.strides)


def refuse_uint16(*arrays):
    if any(a.dtype == np.uint16 for a in arrays):
        raise TypeError("uint16: expected another dtype; CUDA kernels see bfloat16 in its place")


def in_dtype(value, dtype):
    """A number as the bits of an element of an array."""
    with np.errstate(all="ignore"):
        return np.array(value, np.float64).astype(dtype).view(f"i{dtype.itemsize}")[()]


def launch_map(function, stream, *args):
    """Launch a map; the first argument is a result."""
    launch(function, -(-args[0].size // TILE), THREADS, stream, *args)


def computed(dtype):
    """The type that elements of a dtype are computed in: float32 for the 16-bit floats."""
    return np.float32 if dtype in HALVES else dtype.type
