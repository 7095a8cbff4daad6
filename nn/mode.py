"""Whether operations are recorded: a switch of each Python thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]


class _Mode(threading.local):
    enabled = True
    # the 16-bit dtype of autocast.py, inside it
    autocast: Any = None


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether this thread records operations."""
    return mode.enabled


class set_grad_enabled:
    """Switch recording on or off, at once; as a context manager, until its end. A decorator as well."""

    def __init__(self, enabled: bool) -> None:
        if not isinstance(enabled, bool):
            raise TypeError(f"set_grad_enabled: expected True or False, got {enabled!r}")
        self._enabled = enabled
        self._before = [mode.enabled]
        mode.enabled = self._enabled

    def __enter__(self) -> None:
        mode.enabled = self._enabled

    def __exit__(self, *exc) -> None:
        mode.enabled = self._before[-1]

    def __call__(self, function: Callable) -> Callable:
        # used as a decorator: the switch was not meant for now
        mode.enabled = self._before[-1]
        return _switched(function, self._enabled)


class _Switch:
    """A context manager and decorator that switches recording to `_to` and back; may be entered again inside itself."""

    _to: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.enabled)
        mode.enabled = self._to

    def __exit__(self, *exc) -> None:
        mode.enabled = self._before.pop()

    def __new__(cls, function: Callable | None = None) -> Any:
        return object.__new__(cls) if function is None else _switched(function, cls._to)

    def __call__(self, function: Callable) -> Callable:
        return _switched(function, self._to)


class no_grad(_Switch):
    """Operations inside are not recorded: `with no_grad():`, or as a decorator of a function."""

    _to = False


class inference_mode(_Switch):
    """As `no_grad`, which keeps nothing for backward either: for code that says so in torch's way.

    `inference_mode(False)` is as `enable_grad`. What is made inside may be used, and changed, outside like any tensor.
    """

    def __new__(cls, mode: Any = True) -> Any:
        return _switched(mode, False) if callable(mode) else object.__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"inference_mode: expected True or False, got {mode!r}")
        super().__init__()
        self._to = not mode


class enable_grad(_Switch):
    """Operations inside are recorded, also within `no_grad`."""

    _to = True


def _switched(function: Callable, to: bool) -> Callable:
    @functools.wraps(function)
    def run(*args, **kwargs):
        before = mode.enabled
        mode.enabled = to
        try:
            return function(*args, **kwargs)
        finally:
            mode.enabled = before

    return run
