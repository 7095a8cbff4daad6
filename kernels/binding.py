"""Formulas that are written once, as plain functions of a module, and compiled for each target."""

import types


def bind(formulas, decorate, **functions):
    """Every function of the module `formulas`, decorated for one target and calling that target's `functions` by the
    names that the module has for them."""
    own = vars(formulas)
    namespace = {**own, **functions}
    for name, formula in own.items():
        if isinstance(formula, types.FunctionType) and name not in functions:
            # the same code, looking its names up in `namespace`
            namespace[name] = decorate(types.FunctionType(formula.__code__, namespace, name))
    return types.SimpleNamespace(**{n: f for n, f in namespace.items() if not n.startswith("__")})
