"""Transposed convolution: a convolution whose gradient of the input is the result, and the other way round."""

from ..fused import check_activation, check_kept
from .conv import convolve, parameter_gradients
from .conv_geometry import geometry_of
from .conv_product import Kept
from .conv_sums import results
from .target import kernel


@kernel(half=True)
def conv_transpose_forward(y, z, x, w, b, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, stream=0):
    """As the gradient of the input in conv.py, with bias and activation."""
    check_activation(activation)
    geometry = geometry_of(y, x, w, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), groups)
    convolve(y, z, x, w, b, activation, geometry, True, stream, Kept())


@kernel(half=True)
def conv_transpose_backward(
    dx, dweight, db, dy, x, w, y, z, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, accumulate, stream=0
):
    """As in conv.py, x and dy in each other's place."""
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    geometry = geometry_of(dy, x, w, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), groups)
    dz, sums = results(db.size > 0, dy, y, z, activation, stream)
    nothing, kept = w.reshape(-1)[:0], Kept()
    convolve(dx, nothing, dz, w, nothing, 0, geometry, False, stream, kept)
    parameter_gradients(dweight, db, x, dz, sums, geometry, accumulate, stream, kept)
