"""The gradient of a convolution's input: a product that is spread over the taps, or convolutions of dy.

Each remainder of a place modulo the stride sees taps of its own, an arithmetic progression of them, and is a
convolution of dy with stride 1 by those taps (convolve.py). Where channels are fewer than lines, and with strides, a
product does less work (spread.py).
"""

from ..jit import compiled
from .convolve import Filter, Result, convolve
from .epilogue import with_activation
from .spread import spread
from .window import Window


@compiled
def _seen_from(place, size, stride, padding, dilation, taps):
    """The taps through which places place + j * stride of the input are seen: (Window over dy, first tap, tap step)."""
    a, common = stride, dilation
    while a:
        a, common = common % a, a
    step = stride // common
    for first in range(min(step, taps)):
        if (place + padding - first * dilation) % stride == 0:
            count = (taps - first + step - 1) // step
            return (
                Window(size, 1, (place + padding - first * dilation) // stride, -(dilation // common), count),
                first,
                step,
            )
    return Window(size, 1, 0, 1, 0), 0, 1


@compiled
def _by_product(channels, lines, taps, strides):
    """Whether a product whose results are spread does less than convolutions."""
    if channels == 1 and lines == 1:
        return False
    if strides == (1, 1, 1):
        return taps > 1 and lines > channels
    return 4 * lines >= channels


@compiled
def input_gradient(dx, dz, w, shape, dy_size, kernel_size, lines, groups, strides, paddings, dilations):
    """dx, of the given shape, from the gradient dz of the results: (images, groups x lines, dy_size). Flat arrays."""
    n, c, in_d, in_h, in_w = shape
    kd, kh, kw = kernel_size
    channels, taps = c // groups, kd * kh * kw
    if dx.size and dz.size and w.size and _by_product(channels, lines, taps, strides):
        z = Window(in_d, strides[0], -paddings[0], dilations[0], kd)
        y = Window(in_h, strides[1], -paddings[1], dilations[1], kh)
        x = Window(in_w, strides[2], -paddings[2], dilations[2], kw)
        spread(dx, dz, w, n, groups, lines, channels, (z, y, x), dy_size)
        return
    epilogue = with_activation(dx[:0], dx[:0], 0)
    for rz in range(min(strides[0], in_d)):
        z, first_z, step_z = _seen_from(rz, dy_size[0], strides[0], paddings[0], dilations[0], kd)
        for ry in range(min(strides[1], in_h)):
            y, first_y, step_y = _seen_from(ry, dy_size[1], strides[1], paddings[1], dilations[1], kh)
            for rx in range(min(strides[2], in_w)):
                x, first_x, step_x = _seen_from(rx, dy_size[2], strides[2], paddings[2], dilations[2], kw)
                filter_ = Filter(taps, channels * taps, (first_z, first_y, first_x), (step_z, step_y, step_x), kh, kw)
                size = (
                    (in_d - rz + strides[0] - 1) // strides[0],
                    (in_h - ry + strides[1] - 1) // strides[1],
                    (in_w - rx + strides[2] - 1) // strides[2],
                )
                result = Result(size, strides, (rz, ry, rx), (in_d, in_h, in_w))
                per_group = lines * channels * taps
                convolve(dx, dz, w, n, groups, channels, lines, (z, y, x), filter_, per_group, result, epilogue)
