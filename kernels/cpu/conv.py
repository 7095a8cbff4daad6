"""Convolution on the GEMM core's register tile, without a matrix of patches: see convolve.py and window.py.

Forward is the nest of convolve.py, the gradient of the input conv_input.py, that of the weight conv_weight.py. 3 x 3
taps of stride 1 take fewer products where there are channels enough, in all three: see winograd.py, winograd_weight.py.
A single tap is a plain product: see pointwise.py.
"""

from .. import conv_checks, fused
from ..jit import compiled, kernel, parallel_for, scratch
from . import pointwise
from .activate import activate_grads
from .conv_input import input_gradient
from .conv_weight import bias_sums, weight_gradient
from .convolve import Filter, Result, convolve
from .epilogue import finish_rows, with_activation
from .target import VECTOR_BYTES
from .window import Window
from .winograd import BY_GRADIENT, BY_NEST, BY_SPREAD, Plain, Planes, Taps, suits, winograd
from .winograd_weight import winograd_weight

check_activation, check_kept = compiled(fused.check_activation), compiled(fused.check_kept)
check_geometry = compiled(conv_checks.check_geometry)


@kernel
def conv_forward(y, z, x, w, b, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups):
    """Blocks of places are columns of the tile, output channels its rows: see kernels/cpu/convolve.py."""
    check_activation(activation)
    n, c, in_d, in_h, in_w = x.shape
    k, per_line, kd, kh, kw = w.shape
    check_geometry(c, k, groups, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw))
    windows = (Window(in_d, sd, -pd, dd, kd), Window(in_h, sh, -ph, dh, kh), Window(in_w, sw, -pw, dw, kw))
    taps = kd * kh * kw
    filter_ = Filter(per_line * taps, taps, (0, 0, 0), (1, 1, 1), kh, kw)
    size = (y.shape[2], y.shape[3], y.shape[4])
    result = Result(size, (1, 1, 1), (0, 0, 0), size)
    lines, flat = k // groups, y.reshape(-1)
    epilogue = with_activation(b, z.reshape(-1), activation)
    if pointwise.suits(lines, per_line, (in_d, in_h, in_w), size, (taps, (sd, sh, sw), (pd, ph, pw)), flat):
        places = in_d * in_h * in_w
        source, weights = x.reshape(-1), w.reshape(-1)
        pointwise.pointwise(flat, source, weights, n, groups, lines, per_line, per_line, False, places, epilogue)
        return
    planes = Planes(in_h, in_w, -ph, -pw, y.shape[3], y.shape[4])
    form = (kd, kh, kw), (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), (in_d, y.shape[2])
    lanes = VECTOR_BYTES // y.itemsize
    if suits(n, lines, per_line, planes, form, lanes, BY_NEST):
        weights = Taps(per_line * 9, 9, lines * per_line * 9, False)
        if winograd(flat, x.reshape(-1), w.reshape(-1), n, groups, lines, per_line, planes, weights, epilogue):
            return
    arguments = (n, groups, lines, c // groups, windows, filter_, lines * per_line * taps, result, epilogue)
    convolve(flat, x.reshape(-1), w.reshape(-1), *arguments)
    if w.size == 0 and b.size == 0:
        # nothing was summed, and nothing finished
        finish_rows(epilogue, flat, 0, 0, flat.size)


@kernel
def conv_backward(dx, dweight, db, dy, x, w, y, z, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, accumulate):
    """The gradients that are not wanted are not computed: see kernels/cpu/conv_input.py and conv_weight.py."""
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    n, c = x.shape[0], x.shape[1]
    k, kd, kh, kw = w.shape[0], w.shape[2], w.shape[3], w.shape[4]
    strides, paddings, dilations = (sd, sh, sw), (pd, ph, pw), (dd, dh, dw)
    check_geometry(c, k, groups, strides, paddings, dilations)
    dz = dy.reshape(-1)
    if activation != 0:
        dz = scratch(3, dy.size, dy)
        parallel_for(activate_grads, dy.size, 16384, (dz, dy.reshape(-1), y.reshape(-1), z.reshape(-1), activation))
    size = (dy.shape[2], dy.shape[3], dy.shape[4])
    lines, channels, source = k // groups, c // groups, x.reshape(-1)
    lanes = VECTOR_BYTES // x.itemsize
    form = (kd, kh, kw), strides, paddings, dilations, (x.shape[2], size[0])
    places = size[0] * size[1] * size[2]
    single = pointwise.suits(lines, channels, x.shape[2:], size, (kd * kh * kw, strides, paddings), source)
    if dx.size and single:
        flat, weights = dx.reshape(-1), w.reshape(-1)
        plain = Plain(flat[:0], False)
        pointwise.pointwise(flat, dz, weights, n, groups, channels, lines, channels, True, places, plain)
    elif dx.size:
        # a convolution of dy by the same taps, the last first, with lines and channels exchanged
        planes = Planes(size[1], size[2], ph - 2, pw - 2, x.shape[3], x.shape[4])
        taps = Taps(9, channels * 9, lines * channels * 9, True)
        flat, weights = dx.reshape(-1), w.reshape(-1)
        otherwise, plain = BY_SPREAD if lines > channels else BY_GRADIENT, Plain(flat[:0], False)
        fewer = suits(n, channels, lines, planes, form, lanes, otherwise)
        if not fewer or not winograd(flat, dz, weights, n, groups, channels, lines, planes, taps, plain):
            input_gradient(flat, dz, weights, x.shape, size, (kd, kh, kw), lines, groups, strides, paddings, dilations)
    if dweight.size and n and single and pointwise.worth(lines, channels, places):
        pointwise.pointwise_weight(dweight.reshape(-1), dz, source, n, groups, lines, channels, places, accumulate)
    elif dweight.size:
        planes = Planes(x.shape[3], x.shape[4], -ph, -pw, size[1], size[2])
        flat = dweight.reshape(-1)
        if not suits(n, lines, channels, planes, form, lanes, BY_GRADIENT) or not winograd_weight(
            flat, dz, source, n, groups, lines, channels, planes, accumulate
        ):
            windows = (
                Window(x.shape[2], sd, -pd, dd, kd),
                Window(x.shape[3], sh, -ph, dh, kh),
                Window(x.shape[4], sw, -pw, dw, kw),
            )
            weight_gradient(flat, dz, source, n, groups, lines, channels, windows, size, accumulate)
    if db.size:
        parallel_for(bias_sums, k, max(1, 65536 // max(1, n * places)), (db, dz, n, places, accumulate))
