"""What `jit.kernel` builds: the entry that checks its arguments, and the public function in front of it.

A call from Python goes: public function -> entry (compiled: shape checks, body). Types are checked where Numba
resolves them: the first time they are seen, so that the checks cost later calls nothing.
"""

import inspect
import time

import numba
import numpy as np
from numba import types
from numba.core import errors
from numba.extending import overload

from . import cache, spec, threads
from .jit import cached, compile_log, compiled, standalone


class Kernel:
    """What stands behind a public kernel: the compiled body, the entry that checks, the function people call."""

    def __init__(self, function, specification, documentation):
        self.spec, self.name = specification, function.__name__
        self.full_name = f"{function.__module__.rpartition('.')[2]}.{self.name}"
        self.arguments = ", ".join(specification.names)
        self.body = compiled(function)
        checks = [*spec.check_source(specification), f"body({self.flat()})", "return 0"]
        entry = self._define(function, self.name, checks)
        self.entry = standalone(entry)
        self.entry._compile_for_args = self._admit
        self.public = self._define(
            function,
            self.name,
            [
                "try:",
                *self._flattening(),
                *self._absence(),
                f"    status = entry({self.arguments})",
                "except AttributeError:",
                f"    refuse(({self.arguments},))",
                "except (ValueError, IndexError) as error:",
                f"    explain(error, ({self.arguments},))",
                "else:",
                f"    if status: refuse(({self.arguments},))",
            ],
        )
        built = inspect.cleandoc(function.__doc__ or "")
        self.public.__doc__ = inspect.cleandoc(documentation) + (f"\n\n{built}\n" if built else "\n")
        self.public.kernel = self
        self._overload()

    def flat(self):
        return ", ".join(f"{a.name}.reshape(-1)" if a.any_shape else a.name for a in self.spec.arguments)

    def _flattening(self):
        """Lines that bring operands of any shape, when they fit, to one dimension: the form that is compiled."""
        flat = [a for a in self.spec.arguments if a.any_shape]
        first = next((a.name for a in flat if not a.optional), None)
        if not first:
            return []
        fits = [f"{a.name}.flags.c_contiguous" for a in flat]
        for a in flat:
            if a.name != first:
                empty = f" or not {a.name}.size" if a.optional else ""
                fits.append(f"({a.name}.shape == {first}.shape{empty})")
        reshaped = "; ".join(f"{a.name} = {a.name}.reshape(-1)" for a in flat)
        return [f"    if {first}.ndim != 1 and {' and '.join(fits)}: {reshaped}"]

    def _absence(self):
        """Lines that give an absent array of one dimension the dimensions that are compiled."""
        for a in self.spec.arguments:
            if a.optional and len(a.dims) > 1:
                empty = (0,) * len(a.dims)
                yield f"    if {a.name}.ndim == 1 and not {a.name}.size: {a.name} = {a.name}.reshape({empty})"

    def _define(self, function, name, lines):
        """A function written for this kernel, at the kernel's own place in its file (tracebacks, cache key)."""
        code = function.__code__
        source = "\n" * (code.co_firstlineno - 1) + f"def {name}({self.arguments}):\n"
        source += "\n".join("    " + line for line in lines)
        scope = {"__name__": function.__module__, "body": self.body, "refuse": self.refuse}
        scope.update(explain=self.explain, entry=getattr(self, "entry", None))
        exec(compile(source, code.co_filename, "exec"), scope)
        return scope[name]

    def refuse(self, args):
        raise self.spec.refusal(args) or ValueError(f"{self.full_name}: the arguments do not fit {self.spec.arguments}")

    def explain(self, error, args):
        """Raise what the body raised, with what it was given: compiled code can only raise constant words."""
        if getattr(error, "explained", False):
            raise error
        got = ", ".join(
            f"{a.name} {tuple(v.shape)}" if a.is_array else f"{a.name} {v}"
            for a, v in zip(self.spec.arguments, args, strict=True)
        )
        raise type(error)(f"{error}; got {got}") from None

    def _admit(self, *args, **kwargs):
        """Called by Numba for argument types that this process has not seen: refuse, bring to form, or compile."""
        if kwargs or len(args) != len(self.spec.arguments):
            raise TypeError(f"{self.name}: expected the arguments ({self.arguments})")
        if refusal := self.spec.refusal(args):
            refusal.explained = True
            raise refusal
        formed = tuple(map(_bring_to_form, self.spec.arguments, args))
        signature = tuple(numba.typeof(a) for a in formed)
        if signature not in self.entry.overloads:
            self.compile(signature)
        # Numba calls what it gets with the arguments as they came
        return lambda *unformed: self.entry(*formed)

    def compile(self, signature):
        """Compile for one tuple of Numba types, or load what an earlier process compiled."""
        threads.start()
        cached(self.entry)
        began = time.perf_counter()
        self.entry.compile(signature)
        loaded = sum(self.entry.stats.cache_hits.values()) if self.entry.stats else 0
        fresh = loaded == getattr(self, "_loaded", 0)
        self._loaded = loaded
        compile_log.append((self.full_name, time.perf_counter() - began, "compiled" if fresh else "loaded"))

    def _overload(self):
        """Let the public function be called inside compiled code: types are checked there at compile time."""

        def typed(*types_):
            reasons = [_type_problem(a, t) for a, t in zip(self.spec.arguments, types_, strict=True)]
            for reason in filter(None, reasons):
                raise errors.TypingError(f"{self.full_name}: {reason}")
            for kind in ("", "same"):
                found = {
                    t.dtype for a, t in zip(self.spec.arguments, types_, strict=True) if a.is_array and a.dtype == kind
                }
                if len(found) > 1:
                    raise errors.TypingError(f"{self.full_name}: mixed dtypes {sorted(map(str, found))}")
            cached(self.entry)
            return self._inner(types_)

        typed.__signature__ = inspect.signature(self.public)
        overload(self.public, strict=False)(typed)

    def _inner(self, types_):
        message = f"{self.full_name}: the shapes do not fit " + ", ".join(
            f"{a.name} {a.shape}" for a in self.spec.arguments if a.is_array
        )
        call = ", ".join(_formed_source(a, t) for a, t in zip(self.spec.arguments, types_, strict=True))
        wrong = " or ".join([*self._disagreements(types_), f"entry({call}) != 0"])
        source = f"def inner({self.arguments}):\n    keep()\n    if {wrong}:\n        raise ValueError({message!r})\n"
        # with the name of a module its constants are kept in a user's cache
        function = self.body.py_func
        keep = cache.keep_state(inspect.getfile(function))
        scope = {"entry": self.entry, "keep": keep, "__name__": function.__module__}
        exec(source, scope)
        return scope["inner"]

    def _disagreements(self, types_):
        """Conditions under which arrays of any shape are not of one: once flat, they would hide it."""
        flat = [(a, t) for a, t in zip(self.spec.arguments, types_, strict=True) if a.any_shape]
        first, type_ = next(((a, t) for a, t in flat if not a.optional), (None, None))
        for a, t in flat:
            if a is not first:
                present = f"{a.name}.size != 0" if a.optional else "True"
                differ = f"{a.name}.shape != {first.name}.shape" if t.ndim == type_.ndim else "True"
                yield f"({present} and {differ})"


def _bring_to_form(argument, value):
    """A value that is admissible, in the one form that the kernel is compiled for."""
    if not argument.is_array:
        return spec.SCALARS[argument.kind](value)
    ndim = 1 if argument.any_shape else len(argument.dims)
    if argument.optional and value.size == 0:
        return np.empty((0,) * ndim, value.dtype)
    if argument.any_shape and not argument.strided:
        value = value.reshape(-1)
    if not value.flags.writeable:
        # compiled code does not write to it; a read-only array would be a type, and a compilation, of its own
        value = _writable_view(value)
    return value


class _Interface:
    def __init__(self, array):
        self.base = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _writable_view(array):
    return np.asarray(_Interface(array))


def _type_problem(argument, type_):
    if not argument.is_array:
        number = types.Number if argument.kind == "float" else types.Integer
        fits = isinstance(type_, (number, types.Boolean)) or isinstance(getattr(type_, "literal_type", None), number)
        return None if fits else f"{argument.name}: expected {argument.kind}, got {type_}"
    if not isinstance(type_, types.Array):
        return f"{argument.name}: expected an array, got {type_}"
    if not argument.strided and type_.layout != "C":
        return f"{argument.name}: expected a C-contiguous array, got {type_}; use np.ascontiguousarray"
    if argument.written and not type_.mutable:
        return f"{argument.name}: expected a writable array, got {type_}"
    if not argument.dtype and type_.dtype not in (types.float32, types.float64):
        return f"{argument.name}: expected float32 or float64, got {type_.dtype}"
    if argument.dtype not in ("", "any", "same") and str(type_.dtype) != argument.dtype:
        return f"{argument.name}: expected {argument.dtype}, got {type_.dtype}"
    ndim = len(argument.dims)
    if not argument.any_shape and type_.ndim != ndim and not argument.optional:
        return f"{argument.name}: expected shape {argument.shape}, got an array of {type_.ndim} dimensions"
    return None


def _formed_source(argument, type_):
    if not argument.is_array:
        return f"{argument.kind}({argument.name})"
    ndim = 1 if argument.any_shape else len(argument.dims)
    if type_.ndim == ndim or argument.strided:
        return argument.name
    # an absent optional array may come with one dimension; reshape refuses it if it is not empty
    return f"{argument.name}.reshape({(-1,) if argument.any_shape else (0,) * ndim})"
