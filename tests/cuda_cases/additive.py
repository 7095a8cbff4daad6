"""Additive attention: several blocks of keys and of units, gradients that are not wanted, nothing to add up."""

from helpers import absent, poison

from . import case

SHAPES = ((2, 3, 19, 5), (1, 1, 3, 9), (3, 1, 2, 1), (2, 2, 0, 3), (2, 0, 2, 3), (0, 2, 2, 3))


def cases(rng, dtype):
    none = absent(dtype)
    for n, length, keys, units in SHAPES:
        shapes = (n, length, keys), (n, length, units), (n, keys, units), (units,)
        ds, *inputs = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        yield case("additive.additive_forward", poison(ds.shape, dtype), *inputs)
        dq, dk = (poison(a.shape, dtype) for a in inputs[:2])
        for accumulate in (False, True):
            dv = rng.standard_normal(units).astype(dtype)
            yield case("additive.additive_backward", dq, dk, dv, ds, *inputs, accumulate)
        if n == 2:
            yield case("additive.additive_backward", dq, none, none, ds, *inputs, True)
            yield case("additive.additive_backward", none, dk, none, ds, *inputs, True)
            yield case("additive.additive_backward", none, none, dv, ds, *inputs, True)
