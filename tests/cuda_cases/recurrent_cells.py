"""One step of each recurrent network, with and without states and biases."""

from helpers import Backend
from test_recurrent_cells import CELLS, Case

from . import case


def cases(rng, dtype):
    ref = Backend("ref")
    for cell in CELLS:
        for shape, options in (((3, 2, 5), {}), ((5, 3, 4), dict(state=False)), ((2, 2, 6), dict(bias=False))):
            form = Case(rng, dtype, cell, shape, **options)
            accumulate = not options
            yield case(form.path("forward"), *form.outputs(), *form.inputs, name=cell)
            gradients = form.gradients(rng, accumulate)
            yield case(form.path("backward"), *gradients, *form.after(ref, accumulate), name=cell, tol=1e-5)
        form = Case(rng, dtype, cell, (0, 2, 3))
        yield case(form.path("backward"), *form.gradients(rng, False), *form.after(ref), name=f"{cell}-no-samples")
