"""The elastic-net penalty: a sum in float64, and a map for the gradient."""

from .maps import computed, define_map, launch_map
from .ptx import wide
from .target import device, kernel
from .totals import define_total, run_total

_sum = define_total("_penalty", "l1 * abs(x) + l2 * (x * x)", ["l1", "l2"])


@kernel
def penalty_forward(value, w, l1, l2, stream=0):
    """One pass over the weights, and a launch that adds the blocks' sums."""
    run_total(_sum, value, w, False, stream, float(l1), float(l2))


@device
def four_times(scalar):
    value = wide(scalar[0])
    return value, value, value, value


GRADIENT = "g * (l1 * (one if w > zero else (-one if w < zero else zero)) + l2 * w)"
FACTOR = {"made": {"g": "four_times(dvalue)"}, "parameters": ["dvalue"]}

_gradient = define_map(globals(), "_penalty_gradient", {"dw": GRADIENT}, ["w"], ["l1", "l2"], **FACTOR)
_more = define_map(globals(), "_penalty_more", {"dw": f"old + {GRADIENT}"}, ["w", "old"], ["l1", "l2"], **FACTOR)


@kernel(half=True)
def penalty_backward(dw, dvalue, w, l1, l2, accumulate, stream=0):
    """One launch."""
    real = computed(w.dtype)
    operands = (w, dw) if accumulate else (w,)
    launch_map(_more if accumulate else _gradient, stream, dw, *operands, real(l1), real(2 * l2), dvalue)
