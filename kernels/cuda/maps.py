"""Maps: kernels whose result at a place is a formula of the operands at that place. The one source they are made of.

A thread makes some vectors of four neighbours, each a block's width from the one before. It takes all of them from
every operand before it computes or stores anything: that many loads are under way at once, and a result may lie where
an operand does. Where an array does not begin on a vector's boundary, and at the end, single elements stand in for a
vector; the rest of the code is the same.
"""

import re

import numpy as np

from . import functions
from .array import Array
from .half import HALVES
from .ptx import VECTOR, load4, narrow, on_boundary, store4, wide  # noqa: F401  (in the source)
from .target import THREADS, cuda, device, jit, launch  # noqa: F401  (in the source)

# vectors of a thread, where elements have more than 16 bits and where they have not: 32 bytes of each operand
LOADS, LOADS_OF_HALVES = 2, 4
# from one vector of a thread to its next one, and from block to block, in elements
STEP = VECTOR * THREADS
TILE = LOADS * STEP


@device
def some4(array, i, n):
    """Elements i .. i + 3, widened; what lies beyond the n-th is some other element."""
    last = n - 1
    return (
        wide(array[min(i, last)]),
        wide(array[min(i + 1, last)]),
        wide(array[min(i + 2, last)]),
        wide(array[min(i + 3, last)]),
    )


@device
def take4(array, i, n, whole):
    return load4(array, i) if whole else some4(array, i, n)


@device
def put_some4(array, i, n, values):
    """Narrow four values into elements i .. i + 3, as many as there are."""
    if i < n:
        array[i] = narrow(array, values[0])
    if i + 1 < n:
        array[i + 1] = narrow(array, values[1])
    if i + 2 < n:
        array[i + 2] = narrow(array, values[2])
    if i + 3 < n:
        array[i + 3] = narrow(array, values[3])


@device
def put4(array, i, n, whole, values):
    if whole:
        store4(array, i, values)
    else:
        put_some4(array, i, n, values)


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
    first = cuda.blockIdx.x * {tile} + cuda.threadIdx.x * VECTOR
    if first < n:
        whole = {straight} and first + {reach} <= n
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


def _branches(paths, parts):
    """Lines that load by the first of the paths whose condition holds, every operand of every part."""
    for at, (condition, loads) in enumerate(paths):
        word = "if" if at == 0 else "elif" if condition else "else"
        if any(loads):
            yield f"{word} {condition}:" if condition else f"{word}:"
            for part in range(parts):
                yield from (f"    {name}{part} = {load.format(part=part)}" for name, load in loads.items())


def _source(name, results, operands, scalars, made, parameters, before, fast, slow, loads):
    arrays, values = [f"to_{r}" for r in results], list(results.values())
    used = names_in(*values)
    read, given = [o for o in dict.fromkeys([*operands, *made]) if o in used], [s for s in scalars if s in used]
    lie = [o for o in read if o not in made and o not in slow]
    vectors = {o: f"load4(of_{o}, i{{part}})" for o in lie}
    singly = {o: f"some4(of_{o}, i{{part}}, n)" for o in lie} | {o: slow[o] for o in read if o in slow}
    paths = [(condition, vectors | {o: taken for o, taken in takes.items() if o in read}) for condition, takes in fast]
    body = [f"i{part} = first + {part} * STEP" for part in range(loads)]
    body += [line.format(part=part) for part in range(loads) for line in before]
    body += _branches([*paths, ("", singly)], loads) if singly else []
    body += [f"{o}{part} = {taken.format(part=part)}" for part in range(loads) for o, taken in made.items()]
    stores = []
    for part in range(loads):
        for k in range(VECTOR):
            body.append(f"r{part}{k} = formula({', '.join([f'{o}{part}[{k}]' for o in read] + given)})")
        for at, array in enumerate(arrays):
            pick = f"[{at}]" if len(arrays) > 1 else ""
            stores.append((array, f"i{part}", "(" + ", ".join(f"r{part}{k}{pick}" for k in range(VECTOR)) + ")"))
    body += ["if whole:", *(f"    store4({array}, {i}, {four})" for array, i, four in stores)]
    body += ["else:", *(f"    put_some4({array}, {i}, n, {four})" for array, i, four in stores)]
    return formula_source(read, values, given) + KERNEL.format(
        name=name,
        arguments=", ".join([*arrays, *(f"of_{o}" for o in operands), *scalars, *parameters]),
        result=arrays[0],
        tile=f"({loads} * STEP)",
        reach=f"({loads - 1} * STEP + VECTOR)",
        straight=" and ".join(f"on_boundary({a})" for a in [*arrays, *(f"of_{o}" for o in lie)]),
        body="\n".join("        " + line for line in body),
    )


# a map -> what makes the one for 16-bit elements, and those that have been made
_recipes: dict = {}
_of_halves: dict = {}


def define_map(
    namespace, name, results, operands, scalars=(), called=(), made=(), parameters=(), before=(), fast=None, slow=()
):
    """namespace[name], also returned: a kernel of the results, the operands and the scalars, for `launch_map`.

    results     {name of an array: formula over operands, scalars, CONSTANTS and what functions.py has}
    operands    names of arrays; those that no formula uses are not read
    called      {name: device function} that formulas and the expressions below call besides
    made        {name: expression} of operands that are no arrays: their four elements at i{part}
    parameters  what such expressions are made of, behind the scalars
    fast, slow  how operands are taken that do not lie as the results do: [(condition, {operand: expression})], and
                the expressions where none of the conditions holds
    before      lines for each part that precede the loads
    """
    fast = [("whole", {})] if fast is None else fast

    def make(loads):
        source = _source(name, results, operands, scalars, dict(made), parameters, before, fast, dict(slow), loads)
        # what formulas call stands beside what the source does
        elementary = {n: f for n, f in vars(functions).items() if not n.startswith("_")}
        scope = {**globals(), **namespace, **elementary, "np": functions, **dict(called)}
        exec(compile(source, f"<map {name}>", "exec"), scope)
        return scope[name]

    function = namespace[name] = make(LOADS)
    _recipes[function] = make
    return function


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
    """Launch a map; the first argument is a result, and a second array is an operand or another result."""
    loads = LOADS
    if args[0].itemsize <= 2 and (len(args) == 1 or type(args[1]) is not Array or args[1].itemsize <= 2):
        loads = LOADS_OF_HALVES
        if function not in _of_halves:
            _of_halves[function] = _recipes[function](loads)
        function = _of_halves[function]
    launch(function, -(-args[0].size // (loads * STEP)), THREADS, stream, *args)


def computed(dtype):
    """The type that elements of a dtype are computed in: float32 for the 16-bit floats."""
    return np.float32 if dtype in HALVES else dtype.type
