"""Transposed convolution: a convolution whose gradient of the input is the result, and the other way round.

forward             transposed.py
gradient of input   a convolution of dy: see convolve.py
gradient of weight  conv_weight.py, x and dy in each other's place
"""

from .. import conv_checks, fused
from ..jit import compiled, kernel, parallel_for, scratch
from .activate import activate_grads
from .conv_weight import bias_sums, weight_gradient
from .convolve import Filter, Result, convolve
from .epilogue import with_activation
from .transposed import Shape, transposed
from .window import Window

check_activation, check_kept = compiled(fused.check_activation), compiled(fused.check_kept)
check_geometry = compiled(conv_checks.check_geometry)


@kernel
def conv_transpose_forward(y, z, x, w, b, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups):
    """Products of all taps with a block of places, added up where they belong: see kernels/cpu/transposed.py."""
    check_activation(activation)
    c, k = x.shape[1], y.shape[1]
    strides, paddings, dilations = (sd, sh, sw), (pd, ph, pw), (dd, dh, dw)
    check_geometry(c, k, groups, strides, paddings, dilations)
    sizes = (x.shape[2], x.shape[3], x.shape[4]), (y.shape[2], y.shape[3], y.shape[4])
    shape = Shape(sizes[0], sizes[1], (w.shape[2], w.shape[3], w.shape[4]), strides, paddings, dilations)
    epilogue = with_activation(b, z.reshape(-1), activation)
    flat = (y.reshape(-1), x.reshape(-1), w.reshape(-1))
    transposed(*flat, x.shape[0], groups, k // groups, c // groups, shape, epilogue)


@kernel
def conv_transpose_backward(
    dx, dweight, db, dy, x, w, y, z, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, accumulate
):
    """The gradients that are not wanted are not computed: see kernels/cpu/convolve.py and conv_weight.py."""
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    n, k, out_d, out_h, out_w = dy.shape
    c, per_line, kd, kh, kw = w.shape
    check_geometry(c, k, groups, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw))
    dz = dy.reshape(-1)
    if activation != 0:
        dz = scratch(3, dy.size, dy)
        parallel_for(activate_grads, dy.size, 16384, (dz, dy.reshape(-1), y.reshape(-1), z.reshape(-1), activation))
    windows = (Window(out_d, sd, -pd, dd, kd), Window(out_h, sh, -ph, dh, kh), Window(out_w, sw, -pw, dw, kw))
    size, lines, taps = (x.shape[2], x.shape[3], x.shape[4]), c // groups, kd * kh * kw
    if dx.size:
        filter_ = Filter(per_line * taps, taps, (0, 0, 0), (1, 1, 1), kh, kw)
        result, nothing = Result(size, (1, 1, 1), (0, 0, 0), size), with_activation(dx.reshape(-1)[:0], dz[:0], 0)
        arguments = (n, groups, lines, per_line, windows, filter_, lines * per_line * taps, result, nothing)
        convolve(dx.reshape(-1), dz, w.reshape(-1), *arguments)
    if dweight.size:
        flat = dweight.reshape(-1)
        weight_gradient(flat, x.reshape(-1), dz, n, groups, lines, per_line, windows, size, accumulate)
    if db.size:
        places = out_d * out_h * out_w
        parallel_for(bias_sums, k, max(1, 65536 // max(1, n * places)), (db, dz, n, places, accumulate))
