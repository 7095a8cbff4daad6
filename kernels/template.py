"""Kernels written from a table: one piece of source, filled in for each operation of kernels/formulas.py."""


def define(namespace, source, **fields):
    """Define, in a module's `globals()`, what `source` says once its {fields} are filled in.

    Functions made by a closure over functions could not be cached on disk; these are ordinary functions of the module.
    """
    exec(compile(source.format(**fields), namespace["__file__"], "exec"), namespace)
