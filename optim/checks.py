"""Options out of range: what the rules refuse, in PyTorch's words with what was expected added."""

from __future__ import annotations

# how messages name them
TEXT = {"lr": "learning rate", "eps": "epsilon value"}


def not_negative(group: dict, *names: str) -> None:
    for name in names:
        if not group[name] >= 0:
            text = TEXT.get(name, f"{name} value")
            raise ValueError(f"Invalid {text}: {group[name]}; expected {name} >= 0")


def pair(group: dict, name: str) -> None:
    if not isinstance(group[name], (tuple, list)) or len(group[name]) != 2:
        raise ValueError(f"{name}: expected two numbers, got {group[name]!r}")


def betas(group: dict) -> None:
    pair(group, "betas")
    for i, beta in enumerate(group["betas"]):
        if not 0 <= beta < 1:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}; expected 0 <= beta < 1")
