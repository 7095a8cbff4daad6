"""The arguments of one kernel, refused or brought to the form its body expects."""

from .. import spec
from .array import Array
from .half import HALVES
from .target import adopt, empty


class Admission:
    """Called with a kernel's arguments, gives them as its body takes them; raises what kernels/ref documents.

    half  whether float16 and bfloat16 are admitted where ref has floats
    """

    def __init__(self, specification, half=False):
        self.spec, self.half = specification, half
        lines = [*spec.check_source(specification), "return 0"]
        source = f"def check({', '.join(specification.names)}):\n" + "\n".join("    " + line for line in lines)
        scope: dict = {}
        exec(source, scope)
        self.misfit = scope["check"]
        self.admitted: set = set()

    def __call__(self, args):
        args = tuple(map(self._adopt, self.spec.arguments, args))
        # what decides about types, once for each combination; shapes every time
        kinds = tuple([(a.dtype, a.ndim, a.size == 0) if type(a) is Array else type(a) for a in args])
        if kinds not in self.admitted:
            if refusal := self.spec.refusal(args, HALVES if self.half else ()):
                raise refusal
            self.admitted.add(kinds)
        for argument, value in zip(self.spec.arguments, args, strict=True):
            if argument.is_array and not argument.strided and not value.flags.c_contiguous:
                raise ValueError(
                    f"{self.spec.name}: {argument.name}: expected a C-contiguous array, got strides {value.strides}"
                )
        if self.misfit(*args):
            raise self.spec.refusal(args, HALVES if self.half else ())
        return map(_bring_to_form, self.spec.arguments, args)

    def _adopt(self, argument, value):
        if not argument.is_array or type(value) is Array:
            return value
        try:
            return adopt(value)
        except TypeError as error:
            raise TypeError(f"{self.spec.name}: {argument.name}: {error}") from None


def _bring_to_form(argument, value):
    """One form for each argument, so that the launches below it are compiled once."""
    if not argument.is_array:
        return spec.SCALARS[argument.kind](value)
    ndim = 1 if argument.any_shape else len(argument.dims)
    if value.ndim == ndim or argument.strided:
        return value
    return value.reshape(-1) if argument.any_shape else empty((0,) * ndim, value.dtype)
