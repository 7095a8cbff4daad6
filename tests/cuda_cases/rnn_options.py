"""The simple recurrent network with each option and all of them."""

from recurrent_options import ALL, Case

from . import case
from .lstm import MIXED


def option_cases(rng, dtype, kind, flags=(True,)):
    """Calls of both kernels of a kind: no option, each alone, all; forwards and back, lengths or none, both flags."""
    sets = [(), *((option,) for option in ALL[kind]), ALL[kind]]
    forms = []
    for k, on in enumerate(sets):
        for flag in flags if k in (0, len(sets) - 1) else flags[k % len(flags) :][:1]:
            lengths = MIXED if k % 2 else None
            name = "-".join(on) or "none"
            forms.append(
                (f"{name}-{flag}", Case(kind, rng, dtype, (3, 3, 6), on, lengths, k % 3 == 1, flag), k % 2 == 0)
            )
    forms.append(("no-samples", Case(kind, rng, dtype, (2, 0, 4), ALL[kind]), False))
    forms.append(("no-steps", Case(kind, rng, dtype, (0, 2, 4), ALL[kind]), False))
    for name, form, accumulate in forms:
        forward = form.call("forward", form.given | form.empties("forward"))
        # what is normalised over a few numbers bends strongly
        yield case(form.path("forward"), *forward, name=name, tol=1e-5)
        yield case(form.path("backward"), *form.backward(form.gradients(accumulate), accumulate), name=name, tol=2e-5)


def cases(rng, dtype):
    yield from option_cases(rng, dtype, "rnn", (True, False))
