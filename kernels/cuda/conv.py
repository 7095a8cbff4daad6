"""Convolution, its gradients, and what the transposed one shares with it: which of the ways each is computed."""

from ..fused import check_activation, check_kept
from . import conv_direct, conv_product
from .conv_direct_weight import direct_weight_parts
from .conv_geometry import geometry_of
from .conv_product import Kept
from .conv_sums import add_parts, results, wide_dtype
from .target import SIMULATOR, empty, kernel

# rows of a product, channels of a group, that are too few to fill its tiles
FEW = 2 if SIMULATOR else 8


def convolve(y, z, x, w, b, activation, geometry, back, stream, kept):
    """y = activation(x convolved with w + b); back: x is the result of the convolution, y its image."""
    if not y.size:
        return
    if geometry.group[0 if back else 1] <= FEW:
        conv_direct.direct(y, z, x, w, b, activation, geometry, back, stream)
    else:
        conv_product.convolution(y, z, x, w, b, activation, geometry, back, stream, kept)


def parameter_gradients(dweight, db, dz, x, sums, geometry, accumulate, stream, kept):
    """dz: gradient of the convolution's result, x: its image, sums: parts of db."""
    parts = empty((0,), wide_dtype(dz))
    if dweight.size and dz.size and x.size:
        if geometry.group[1] <= FEW:
            parts = direct_weight_parts(dz, x, geometry, stream)
        else:
            conv_product.weight_gradient(dweight, dz, x, geometry, accumulate, stream, kept)
            dweight = dweight.reshape(-1)[:0]
    if dweight.size or db.size:
        add_parts(dweight, parts, db, sums, accumulate, stream)


@kernel(half=True)
def conv_forward(y, z, x, w, b, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, stream=0):
    """One launch; one more where tiles are few and their depth is split, two for tensor cores (conv_product.py)."""
    check_activation(activation)
    geometry = geometry_of(x, y, w, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), groups)
    convolve(y, z, x, w, b, activation, geometry, False, stream, Kept())


@kernel(half=True)
def conv_backward(
    dx, dweight, db, dy, x, w, y, z, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, accumulate, stream=0
):
    """A pass over dy for dz and the bias, then a product for each gradient that is wanted; with strides, that of the
    input is a product for each remainder of its places (conv_lattice.py)."""
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    geometry = geometry_of(x, dy, w, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), groups)
    dz, sums = results(db.size > 0, dy, y, z, activation, stream)
    nothing, kept = w.reshape(-1)[:0], Kept()
    convolve(dx, nothing, dz, w, nothing, 0, geometry, True, stream, kept)
    parameter_gradients(dweight, db, dz, x, sums, geometry, accumulate, stream, kept)
