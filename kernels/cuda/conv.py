"""Convolution, its gradients, and what the transposed one shares with it."""

from ..fused import check_activation, check_kept
from .conv_direct import direct
from .conv_direct_weight import direct_weight_parts
from .conv_geometry import geometry_of
from .conv_sums import add_parts, results, wide_dtype
from .target import empty, kernel


def convolve(y, z, x, w, b, activation, geometry, back, stream):
    """y = activation(x convolved with w + b); back: x is the result of the convolution, y its image."""
    direct(y, z, x, w, b, activation, geometry, back, stream)


def weight_parts(dweight, dy, x, geometry, stream):
    """Parts of the gradient of the weight, to be added; dy: of the convolution's result, x: its image."""
    if not dweight.size or not dy.size or not x.size:
        return empty((0,), wide_dtype(dweight))
    return direct_weight_parts(dy, x, geometry, stream)


@kernel(half=True)
def conv_forward(y, z, x, w, b, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, stream=0):
    """One launch."""
    check_activation(activation)
    geometry = geometry_of(x, y, w, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), groups)
    convolve(y, z, x, w, b, activation, geometry, False, stream)


@kernel(half=True)
def conv_backward(
    dx, dweight, db, dy, x, w, y, z, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, accumulate, stream=0
):
    """A pass over dy for dz and the bias, then the products; the gradients that are not wanted are not computed."""
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    geometry = geometry_of(x, dy, w, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), groups)
    dz, sums = results(db.size > 0, dy, y, z, activation, stream)
    if dx.size:
        nothing = dx.reshape(-1)[:0]
        convolve(dx, nothing, dz, w, nothing, 0, geometry, True, stream)
    if dweight.size or db.size:
        add_parts(dweight, weight_parts(dweight, dz, x, geometry, stream), db, sums, accumulate, stream)
