"""einsum: products of any tensors along named dimensions, as permutations and batched matrix products."""

from __future__ import annotations

import math
import string
from typing import Any

from ..tensor import Tensor, as_tensor
from .matmul import bmm
from .reduce import sum as total
from .shape import diagonal, permute, reshape

__all__ = ["einsum"]


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum over all indices that the output does not name, of the products of the operands

    einsum("ij,jk->ik", a, b) is a @ b. `...` stands for dimensions that broadcast; without `->` the output has the
    indices that occur once, in alphabetical order.
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected an equation such as 'ij,jk->ik' first, got {type(equation).__name__}")
    tensors = [as_tensor(x) for x in operands]
    terms, output = _parsed(equation.replace(" ", ""), tensors)
    pairs = [_diagonals(x, term) for x, term in zip(tensors, terms, strict=True)]
    _check_sizes(equation, pairs)
    x, term = pairs[0]
    for i in range(1, len(pairs)):
        wanted = set(output).union(*(later for _, later in pairs[i + 1 :]))
        x, term = _product(x, term, *pairs[i], wanted)
    x, term = _summed(x, term, set(output))
    return permute(x, [term.index(label) for label in output]) if term != output else x


def _parsed(equation: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """One string of labels for each operand, and the output's; an ellipsis becomes labels of its own."""
    inputs, arrow, output = equation.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(tensors):
        raise ValueError(f"einsum: expected {len(terms)} operands for {equation!r}, got {len(tensors)}")
    spare = [c for c in string.ascii_letters if c not in equation]
    hidden = [x.ndim - len(t.replace("...", "")) for x, t in zip(tensors, terms, strict=True)]
    most = max((n for n, t in zip(hidden, terms, strict=True) if "..." in t), default=0)
    labels = "".join(spare[:most])
    for i, (n, term) in enumerate(zip(hidden, terms, strict=True)):
        if n < 0 or (n and "..." not in term):
            raise ValueError(f"einsum: expected an operand for {term!r}, got shape {tensors[i].shape}")
        terms[i] = term.replace("...", labels[most - n :] if n else "")
    used = "".join(terms)
    if not all(c in string.ascii_letters for c in used + output.replace("...", "")):
        raise ValueError(f"einsum: expected letters, commas, '...' and '->', got {equation!r}")
    if arrow:
        output = output.replace("...", labels)
    else:
        output = labels + "".join(sorted(c for c in set(used) - set(labels) if used.count(c) == 1))
    if len(set(output)) != len(output) or not set(output) <= set(used):
        raise ValueError(f"einsum: expected every output index once and among the inputs, got {equation!r}")
    return terms, output


def _check_sizes(equation: str, pairs: list) -> None:
    sizes: dict[str, int] = {}
    for x, term in pairs:
        for label, n in zip(term, x.shape, strict=True):
            if n != 1 and sizes.setdefault(label, n) != n:
                raise ValueError(f"einsum: index {label!r} of {equation!r} has sizes {sizes[label]} and {n}")


def _diagonals(x: Tensor, term: str) -> tuple[Tensor, str]:
    """Without labels that occur twice."""
    for label in term:
        while term.count(label) > 1:
            first, second = term.index(label), term.rindex(label)
            x = diagonal(x, 0, first, second)
            term = "".join(c for i, c in enumerate(term) if i not in (first, second)) + label
    return x, term


def _summed(x: Tensor, term: str, wanted: set[str]) -> tuple[Tensor, str]:
    """Summed over the labels that nobody asks for."""
    gone = [i for i, label in enumerate(term) if label not in wanted]
    return (total(x, gone), "".join(c for c in term if c in wanted)) if gone else (x, term)


def _product(a: Tensor, term_a: str, b: Tensor, term_b: str, wanted: set[str]) -> tuple[Tensor, str]:
    """The product of two operands with the labels that are wanted, by one batched matrix product."""
    a, term_a = _summed(a, term_a, wanted | set(term_b))
    b, term_b = _summed(b, term_b, wanted | set(term_a))
    shared = [c for c in term_a if c in term_b]
    # where one of them has size 1 the label broadcasts: it belongs to the other alone
    for label in shared:
        n, m = a.shape[term_a.index(label)], b.shape[term_b.index(label)]
        if n != m:
            a, term_a = (total(a, term_a.index(label)), term_a.replace(label, "")) if n == 1 else (a, term_a)
            b, term_b = (total(b, term_b.index(label)), term_b.replace(label, "")) if m == 1 else (b, term_b)
    a, term_a = _summed(a, term_a, wanted | set(term_b))
    b, term_b = _summed(b, term_b, wanted | set(term_a))
    batch = [c for c in term_a if c in term_b and c in wanted]
    inner = [c for c in term_a if c in term_b and c not in wanted]
    left, right = [c for c in term_a if c not in term_b], [c for c in term_b if c not in term_a]
    sizes = {**dict(zip(term_b, b.shape, strict=True)), **dict(zip(term_a, a.shape, strict=True))}
    B, K, M, N = (math.prod(sizes[c] for c in labels) for labels in (batch, inner, left, right))
    a = reshape(permute(a, [term_a.index(c) for c in (*batch, *left, *inner)]), B, M, K)
    b = reshape(permute(b, [term_b.index(c) for c in (*batch, *inner, *right)]), B, K, N)
    term = "".join((*batch, *left, *right))
    return reshape(bmm(a, b), [sizes[c] for c in term]), term
