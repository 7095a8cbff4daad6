"""Where tensors live, by name."""

from __future__ import annotations

from typing import Any

__all__ = ["as_device", "cuda_device", "device"]


class device(str):
    """The name "cpu" or "cuda", with the attributes of torch.device; "cuda:0" is "cuda", the current device.

    >>> device("cuda:0") == "cuda", device("cuda").type, device("cpu").index
    (True, 'cuda', None)
    """

    __slots__ = ()

    def __new__(cls, name: Any, index: int | None = None) -> device:
        text = str(getattr(name, "type", name))
        if type(name) is int:
            text = f"cuda:{name}"
        elif index is not None:
            text = f"{text}:{index}"
        if text not in ("cpu", "cuda", "cuda:0"):
            raise ValueError(f"expected the device 'cpu' or 'cuda', got {text!r}")
        return str.__new__(cls, text.partition(":")[0])

    @property
    def type(self) -> str:
        return str(self)

    @property
    def index(self) -> int | None:  # type: ignore[override]  # str has a method of this name; torch an attribute
        """The number of the device: 0 for CUDA, None for the CPU."""
        return 0 if self == "cuda" else None

    def __repr__(self) -> str:
        return f"device(type={str(self)!r})"


DEVICES = {name: device(name) for name in ("cpu", "cuda")}


def as_device(name: Any) -> device | None:
    """A device from what people write for one; None stays."""
    if name is None or type(name) is device:
        return name
    return DEVICES.get(name) if type(name) is str and name in DEVICES else device(name)


def cuda_device(name: Any) -> device:
    """The device that `cuda(name)` means; None: the current one."""
    chosen = device("cuda" if name is None else name)
    if chosen != "cuda":
        raise ValueError(f"cuda: expected a CUDA device, got {name!r}")
    return chosen
