"""What a kernel of attention is compiled for, and the arguments that it takes then."""

from typing import NamedTuple

import numpy as np

from .attention_cores import Shape


class Version(NamedTuple):
    """What is compiled: of which kernel, for which numbers, and what it is asked for besides.

    parts   rows are longer than the shape's width
    factor  scores are products times a positive number, which is left to the exponentials
    """

    form: str
    dtype: np.dtype
    shape: Shape
    parts: bool = False
    factor: bool = False
    bias: bool = False
    keep: bool = False
    drop: bool = False
    slopes: bool = False  # dp is given
    scores: bool = False  # dscores is wanted
    weights: bool = False  # p is wanted, and nothing else


# of each form: operands of rows, of columns, results
FORMS = {
    "forward": (("q",), ("k", "v"), ("y",)),
    "queries": (("q", "dy"), ("k", "v"), ("dq",)),
    "keys": (("k", "v"), ("q", "dy"), ("dk", "dv")),
}


def strides_of(version):
    """The arrays that are given by strides, in the order in which a kernel takes them."""
    rows, columns, results = FORMS[version.form]
    results = () if version.weights else results
    used = [n for n in (*rows, *columns) if not (version.weights and n in ("dy", "v"))]
    return [*results, *used]


def arguments_of(version):
    """(arrays, scalars) of a kernel, by name."""
    arrays, strided = [], strides_of(version)
    arrays += strided
    arrays += {"forward": ["lse"], "queries": ["bases", "deltas"], "keys": ["bases", "deltas"]}[version.form]
    extra = {"bias": "bias", "keep": "keep", "drop": "state", "slopes": "dp", "scores": "dscores", "weights": "p"}
    arrays += [name for flag, name in extra.items() if getattr(version, flag)]
    scalars = ["heads", "share", "queries", "keys", "depth", "width", "tiles", "causal", "factor", "final"]
    scalars += [f"{name}_{axis}" for name in strided for axis in "nhl"]
    scalars += [f"{name}_{axis}" for name in ("bias", "keep") if getattr(version, name) for axis in "nhls"]
    scalars += ["below", "rest"] * version.drop
    return arrays, scalars
