"""The documented arguments of a kernel, read from its docstring and enforced.

`kernels/ref/<op>.py` documents every argument once, a line each:

    y      (N, H)          [out]  result
    x      (N, D)                 input
    b      (H,) or (0,)           bias; size 0: none
    label  (N,) int64             0 .. C-1
    scale  float                  factor

`Spec` parses these lines. From them come the shape check that is compiled into every kernel, the types a
kernel accepts, and the words of the error when something does not fit.
"""

import re
from dataclasses import dataclass, field

import numpy as np

ROLES = {"out", "acc", "inout", "work"}
SCALARS = {"float": float, "int": int, "bool": bool}
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

_ARRAY = re.compile(
    r"^(?P<name>\w+)\s+\((?P<dims>[^()]*(?:\([^()]*\)[^()]*)*)\)(?P<optional>\s+or\s+\(0,\))?"
    r"(?:\s+(?P<dtype>u?int\d+|float\d+|bool|any|same)\b)?"
    r"(?:\s+\[(?!strided)(?P<role>\w+)\])?(?P<strided>\s+\[strided\])?(?:\s+(?P<text>.*))?$"
)
_SCALAR = re.compile(r"^(?P<name>\w+)\s+(?P<kind>float|int|bool)\b(?:\s+(?P<text>.*))?$")
_LETTERS = re.compile(r"^[A-Z][A-Z0-9]*$")


@dataclass(frozen=True)
class Argument:
    name: str
    kind: str  # "array" or the name of a scalar type
    dims: tuple[str, ...] = ()
    optional: bool = False
    dtype: str = ""  # "": the kernel's floating dtype; "any": unchecked; "same": any, but one for all so marked
    role: str = ""
    strided: bool = False  # may have any strides

    @property
    def is_array(self):
        return self.kind == "array"

    @property
    def any_shape(self):
        return self.dims == ("...",)

    @property
    def written(self):
        return self.role in ("out", "acc", "inout", "work")

    @property
    def shape(self):
        """The shape in words, as documented."""
        text = f"({self.dims[0]},)" if len(self.dims) == 1 and not self.any_shape else f"({', '.join(self.dims)})"
        return text + (" or (0,)" if self.optional else "")


@dataclass(frozen=True)
class Spec:
    name: str
    arguments: tuple[Argument, ...]
    names: tuple[str, ...] = field(default=())

    def refusal(self, args, halves=()):
        """The exception for arguments that the kernel refuses, or None: types first, then shapes.

        halves  floating dtypes that are admitted besides float32 and float64
        """
        return _type_refusal(self, args, (*FLOATS, *halves)) or _shape_refusal(self, args)


def parse(function):
    """The Spec of a reference function: its argument lines, in the order of its signature."""
    found = {}
    for line in (function.__doc__ or "").splitlines():
        line = line.strip()
        if m := _ARRAY.match(line):
            dims = tuple(d.strip() for d in m["dims"].split(",") if d.strip())
            role = m["role"] or ""
            if role and role not in ROLES:
                raise ValueError(f"{function.__name__}: {m['name']}: role [{role}] is none of {sorted(ROLES)}")
            found.setdefault(
                m["name"],
                Argument(m["name"], "array", dims, bool(m["optional"]), m["dtype"] or "", role, bool(m["strided"])),
            )
        elif m := _SCALAR.match(line):
            found.setdefault(m["name"], Argument(m["name"], m["kind"]))
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    missing = [n for n in names if n not in found]
    if missing:
        raise ValueError(f"{function.__module__}.{function.__name__} does not document: {', '.join(missing)}")
    return Spec(function.__name__, tuple(found[n] for n in names), names)


def check_source(spec):
    """Source lines of the shape check: for use in a function whose parameters are spec.names.

    Each line falls through when all is well and returns the 1-based position of the argument that does not fit.
    """
    lines, bound = [], {a.name for a in spec.arguments if a.kind == "int"}
    # a letter is bound where it first stands alone, what must be there and what comes in first: of two arguments that
    # disagree, the output is blamed
    for arg in sorted(_arrays(spec), key=lambda a: (a.optional, a.written)):
        for axis, dim in enumerate(arg.dims):
            if _LETTERS.match(dim) and dim not in bound:
                bound.add(dim)
                lines.append(
                    f"{dim} = {arg.name}.shape[{axis}]"
                    if not arg.optional
                    else f"{dim} = {arg.name}.shape[{axis}] if {arg.name}.size else 0"
                )
    first = next((a for a in spec.arguments if a.any_shape and not a.optional), None)
    for position, arg in enumerate(spec.arguments, 1):
        if not arg.is_array:
            continue
        if arg.any_shape:
            if first is not None and arg is not first:
                test = f"{arg.name}.shape != {first.name}.shape"
                lines.append(f"if {_guard(arg)}{test}: return {position}")
            continue
        for axis, dim in enumerate(arg.dims):
            unbound = set(re.findall(r"\b[A-Z][A-Z0-9]*\b", dim)) - bound
            if unbound:
                raise ValueError(f"{spec.name}: {arg.name}: no argument has the bare dimension {', '.join(unbound)}")
            lines.append(f"if {_guard(arg)}{arg.name}.shape[{axis}] != {dim}: return {position}")
    return lines


def _arrays(spec):
    return [a for a in spec.arguments if a.is_array and not a.any_shape]


def _guard(arg):
    return f"{arg.name}.size != 0 and " if arg.optional else ""


def _type_refusal(spec, args, floats):
    if len(args) != len(spec.arguments):
        return TypeError(f"{spec.name}: expected {len(spec.arguments)} arguments {spec.names}, got {len(args)}")
    floating = same = None
    for arg, value in zip(spec.arguments, args, strict=True):
        where = f"{spec.name}: {arg.name}"
        if not arg.is_array:
            if not isinstance(value, (int, float, bool, np.number, np.bool_)) or (
                arg.kind != "float" and isinstance(value, (float, np.floating))
            ):
                return TypeError(f"{where}: expected {arg.kind}, got {type(value).__name__}")
            continue
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            return TypeError(f"{where}: expected an array of shape {arg.shape}, got {type(value).__name__}")
        dtype = np.dtype(value.dtype)
        if not arg.dtype:
            floating = floating or (dtype if dtype in floats else None)
            if floating is None or dtype != floating:
                expected = (
                    " or ".join(map(str, floats)) if floating is None else f"{floating} as the arguments before it"
                )
                return TypeError(f"{where}: expected {expected}, got {dtype}")
        elif arg.dtype == "same":
            same = same or dtype
            if dtype != same:
                return TypeError(f"{where}: expected {same} as the arguments before it, got {dtype}")
        elif arg.dtype != "any" and dtype != np.dtype(arg.dtype):
            return TypeError(f"{where}: expected {arg.dtype}, got {dtype}")
        if not arg.any_shape and value.ndim != len(arg.dims) and not (arg.optional and value.size == 0):
            return ValueError(f"{where}: expected shape {arg.shape}, got {tuple(value.shape)}")
        if isinstance(value, np.ndarray):
            if not arg.strided and not value.flags.c_contiguous:
                return ValueError(f"{where}: expected a C-contiguous array, got strides {value.strides}")
            if arg.written and not value.flags.writeable:
                return ValueError(f"{where}: expected a writable array for [{arg.role}], got a read-only one")
    return None


def _shape_refusal(spec, args):
    values = dict(zip(spec.names, args, strict=True))
    source = "def check({}):\n{}\n return 0".format(
        ", ".join(spec.names), "\n".join(" " + s for s in check_source(spec))
    )
    scope: dict = {}
    exec(source, scope)  # the very lines that are compiled into the kernel, run in Python to find the culprit
    position = scope["check"](*args)
    if not position:
        return None
    arg = spec.arguments[position - 1]
    others = ", ".join(f"{a.name} {tuple(values[a.name].shape)}" for a in spec.arguments if a.is_array and a is not arg)
    if arg.any_shape:
        return ValueError(
            f"{spec.name}: {arg.name}: expected the shape of the others ({others}), got {values[arg.name].shape}"
        )
    return ValueError(
        f"{spec.name}: {arg.name}: expected shape {arg.shape}, got {tuple(values[arg.name].shape)}; with {others}"
    )
