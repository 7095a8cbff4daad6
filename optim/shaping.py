"""Options that a rule may have beside its own: what becomes of gradients before they are used, of parameters after.

clipvalue        no element of a gradient is larger: g = min(max(g, -clipvalue), clipvalue)
global_clipnorm  g = g * min(1, global_clipnorm / (norm + 1e-6)), where norm is that of all gradients of the groups that
                 have this option, seen as one vector; before clipvalue
l1               l1 * sign(p) is added to g: the slope of the penalty l1 * sum |p|. With weight_decay, whose penalty is
                 weight_decay / 2 * sum p**2, an elastic net
constraint       called with each parameter that was updated, which it changes in place or whose new values it returns:
                 see optim/constraints.py, or a function of one's own. No part of a state_dict: it is no number

All are keywords of the optimizers and options of groups. PyTorch has none of them in its optimizers; Keras has, and
these are its names and meanings (torch.nn.utils.clip_grad_norm_'s formula for the norm, 1e-6 and all). They are done in
the pass that updates: gradients are read as they are, and not written; the norm reads them once more. With maximize the
penalty still pulls to zero. The nn.utils functions stand alone, and change the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

import numpy as np

from ..nn.doors import call, empty
from ..nn.tape import no_grad

FLOAT64 = np.dtype(np.float64)
# those that become numbers behind a rule's own, in the kernel's hyper
NUMBERS = ("clipvalue", "global_clipnorm", "l1")


class Shaping(TypedDict, total=False):
    """Keywords of optimizers."""

    clipvalue: float | None
    global_clipnorm: float | None
    l1: float
    constraint: Callable[[Any], Any] | None


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options themselves; TypeError for others."""
    for name in options:
        if name not in Shaping.__annotations__:
            expected = ", ".join(Shaping.__annotations__)
            raise TypeError(
                f"an optimizer got an unexpected keyword argument {name!r}; beside its own there are {expected}"
            )
    return options


def check(group: dict[str, Any], rule) -> None:
    """Raise for what is out of range, or what the rule does not do."""
    for name in ("clipvalue", "global_clipnorm"):
        if group.get(name) is not None and not group[name] > 0:
            raise ValueError(f"Invalid {name} value: {group[name]}; expected {name} > 0, or None")
    if not group.get("l1", 0) >= 0:
        raise ValueError(f"Invalid l1 value: {group['l1']}; expected l1 >= 0")
    if group.get("constraint") is not None and not callable(group["constraint"]):
        raise TypeError(f"constraint: expected a function of a parameter, got a {type(group['constraint']).__name__}")
    wanted = [name for name in NUMBERS if group.get(name)]
    if wanted and not rule.shaped:
        raise ValueError(f"{rule.__name__} does not support {wanted[0]}; expected nn.utils or the loss to do it")


def numbers(group: dict[str, Any]) -> list[float]:
    """(scale, bound, l1) for the kernel; empty without such an option: the kernel does nothing then."""
    if not any(group.get(name) for name in NUMBERS):
        return []
    return [1.0, group.get("clipvalue") or float("inf"), group.get("l1") or 0.0]


def normed(group: dict[str, Any]) -> bool:
    return group.get("global_clipnorm") is not None


def clip_norm(groups: Iterable) -> None:
    """Write the scale that each group's limit asks for to where its kernels read it."""
    groups = [group for group in groups if normed(group) and group.blocks]
    if not groups:
        return
    device = groups[0].blocks[0].device
    total, norm = (empty((1,), FLOAT64, device) for _ in range(2))
    call("elementwise.fill_forward", total, 0.0)
    for group in groups:
        for block in group.blocks:
            for piece in block.gradients():
                call("gradient_norm.gradient_norm_forward", total, piece, 2.0)
    call("gradient_norm.gradient_norm_root_forward", norm, total, 2.0)
    for group in groups:
        for hyper in group.hyper.values():
            scale = hyper[len(hyper) - 3 : len(hyper) - 2]
            call("gradient_norm.gradient_scale_forward", scale, norm, float(group["global_clipnorm"]))


def constrain(group) -> None:
    """Let the group's constraint have the parameters that were updated."""
    with no_grad():
        for block in group.blocks:
            for p in block.parameters:
                if p._has_grad:
                    projected = group["constraint"](p)
                    if projected is not None and projected is not p:
                        p.copy_(projected)
