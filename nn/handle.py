"""What registering a hook returns."""

from __future__ import annotations

import itertools
import math
from typing import Any

_ids = itertools.count()


class RemovableHandle:
    """`remove()` detaches a hook; as a context manager it does so at the end. Hooks run in the order of their ids."""

    def __init__(self, table: dict[float, Any], hook: Any, last: bool = False) -> None:
        self._table = table
        self.id = math.inf if last else next(_ids)
        table[self.id] = hook

    def remove(self) -> None:
        self._table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc) -> None:
        self.remove()
