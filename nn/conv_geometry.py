"""The numbers of a convolution: what may be asked of it, whether input and weight fit, and how large the result is."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Geometry", "batched", "check", "geometry_of", "in_five", "kernel_numbers", "places_of", "tuple_of"]


class Geometry(NamedTuple):
    """A tuple entry for each dimension of the convolution."""

    stride: tuple[int, ...]
    front: tuple[int, ...]  # padding
    back: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    # of a transposed convolution: how much is added to the end of the result
    beyond: tuple[int, ...] | None = None

    @property
    def transposed(self) -> bool:
        return self.beyond is not None

    def channels(self, w) -> tuple[int, int]:
        """Of the input and of the result, by the shape of the weight."""
        first, second = w.shape[0], w.shape[1] * self.groups
        return (first, second) if self.transposed else (second, first)


def tuple_of(value: Any, dims: int, name: str, layer: str, least: int) -> tuple[int, ...]:
    """A number, or one for each dimension (a single one stands for all)."""
    values = (value,) * dims if hasattr(value, "__index__") or isinstance(value, str) else tuple(value)
    if len(values) == 1:
        values *= dims
    if len(values) != dims or any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        raise ValueError(f"{layer}: expected {name} as a whole number or {dims} of them, got {value!r}")
    if min(values) < least:
        raise ValueError(f"{layer}: expected {name} of {least} or more, got {value!r}")
    return tuple(int(v) for v in values)


def geometry_of(dims: int, kernel, stride, padding, dilation, groups, layer: str, output_padding=None) -> Geometry:
    """The checked numbers; `output_padding` makes it a transposed convolution."""
    stride = tuple_of(stride, dims, "stride", layer, 1)
    dilation = tuple_of(dilation, dims, "dilation", layer, 1)
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1:
        raise ValueError(f"{layer}: expected groups of 1 or more, got {groups!r}")
    if output_padding is not None:
        front = tuple_of(padding, dims, "padding", layer, 0)
        beyond = tuple_of(output_padding, dims, "output_padding", layer, 0)
        return Geometry(stride, front, front, dilation, groups, beyond)
    if padding == "same":
        if stride != (1,) * dims:
            raise ValueError(f"{layer}: expected stride 1 for padding 'same', got {stride}")
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        # what is odd goes behind, as in torch
        return Geometry(stride, tuple(t // 2 for t in total), tuple(t - t // 2 for t in total), dilation, groups)
    if isinstance(padding, str) and padding != "valid":
        raise ValueError(f"{layer}: expected padding 'same', 'valid' or whole numbers, got {padding!r}")
    front = tuple_of(0 if padding == "valid" else padding, dims, "padding", layer, 0)
    return Geometry(stride, front, front, dilation, groups)


def check(x, w, b, geometry: Geometry, layer: str) -> None:
    """Say what does not fit."""
    dims, groups = len(geometry.stride), geometry.groups
    check_weight(w, dims, geometry.transposed, layer)
    if not hasattr(x, "shape"):
        raise TypeError(f"{layer}: expected input to be a Tensor or an array, got {type(x).__name__}")
    channels, results = geometry.channels(w)
    if len(x.shape) not in (dims + 1, dims + 2) or x.shape[-dims - 1] != channels:
        sizes = sizes_of(dims)
        raise ValueError(
            f"{layer}: expected input (N, {channels}, {sizes}) or ({channels}, {sizes}), got shape {x.shape}"
        )
    if w.shape[0] % groups:
        which = "in" if geometry.transposed else "out"
        raise ValueError(f"{layer}: expected {which} channels divisible by groups, got {w.shape[0]} and {groups}")
    if 0 in x.shape[-dims:]:
        raise ValueError(f"{layer}: expected an input of one place or more, got shape {x.shape}")
    if b is not None and b.shape != (results,):
        raise ValueError(f"{layer}: expected bias ({results},), got shape {b.shape}")
    for name, a in (("input", x), ("bias", b)):
        if a is not None and a.dtype != w.dtype:
            raise TypeError(
                f"{layer}: expected {name} of the weight's dtype {w.dtype}, got {a.dtype}; convert one of them with "
                f".to({name}.dtype) or .to(weight.dtype)"
            )


def check_weight(w, dims: int, transposed: bool, layer: str) -> None:
    if len(w.shape) != dims + 2 or 0 in w.shape:
        shape = "(in, out / groups" if transposed else "(out, in / groups"
        raise ValueError(f"{layer}: expected weight {shape}, {dims} kernel sizes), none of them 0, got shape {w.shape}")


def sizes_of(dims: int) -> str:
    """The last dimensions of an input in words."""
    return ", ".join("DHW"[3 - dims :] if dims > 1 else "L")


def places_of(size, kernel, geometry: Geometry, layer: str) -> tuple[int, ...]:
    """How many results there are in each dimension."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, geometry.dilation, strict=True)]
    if geometry.beyond is not None:
        return _places_transposed(size, spans, geometry, layer)
    padded = [i + f + b for i, f, b in zip(size, geometry.front, geometry.back, strict=True)]
    if any(span > room for span, room in zip(spans, padded, strict=True)):
        raise ValueError(
            f"{layer}: expected a kernel no larger than the padded input, got {tuple(spans)} (dilated) over "
            f"{tuple(padded)}"
        )
    return tuple((room - span) // s + 1 for room, span, s in zip(padded, spans, geometry.stride, strict=True))


def _places_transposed(size, spans, geometry: Geometry, layer: str) -> tuple[int, ...]:
    stride, padding, dilation, beyond = geometry.stride, geometry.front, geometry.dilation, geometry.beyond
    assert beyond is not None
    if any(o >= max(s, d) for o, s, d in zip(beyond, stride, dilation, strict=True)):
        raise ValueError(
            f"{layer}: expected output_padding smaller than either stride or dilation, got {beyond} with stride "
            f"{stride} and dilation {dilation}"
        )
    found = tuple(
        (i - 1) * s - 2 * p + span + o for i, s, p, span, o in zip(size, stride, padding, spans, beyond, strict=True)
    )
    if min(found) < 1:
        raise ValueError(
            f"{layer}: expected a result of one place or more, got {found} of an input of {tuple(size)} with padding "
            f"{padding}"
        )
    return found


def kernel_numbers(geometry: Geometry) -> tuple[int, ...]:
    """The kernel's numbers: dimensions that are not there have stride 1, padding 0, dilation 1."""
    lead = 3 - len(geometry.stride)
    return (
        *((1,) * lead + geometry.stride),
        *((0,) * lead + geometry.front),
        *((1,) * lead + geometry.dilation),
        geometry.groups,
    )


def batched(x, dims: int):
    """x (N, C, ...) of one that may lack N."""
    return x if len(x.shape) == dims + 2 else x.reshape(1, *x.shape)


def in_five(a):
    """(N, C, ...) or a weight with unit dimensions in front of those of its places."""
    return a.reshape(*a.shape[:2], *(1,) * (5 - len(a.shape)), *a.shape[2:])
