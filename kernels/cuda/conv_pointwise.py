"""Convolution through a single tap that sees its own place: a product for each image, of matrices as they lie.

    result    y[n] = w @ x[n], on the way back dx[n] = w.T @ dy[n]: rows are channels, columns places
    weight    dw = sum over n of dy[n] @ x[n].T: the depth is places of all images

Nothing is rearranged, for tensor cores either, where places come in whole copies.
"""

import math

import numpy as np

from .conv_gather import given
from .conv_geometry import runs
from .conv_lattice import lattices
from .conv_layout import as_it_lies
from .conv_results import CHANNEL
from .conv_weights import Weight
from .ptx import aligned
from .target import SIMULATOR
from .tile import CHUNK_BYTES, MATRIX, TURNED
from .tile_launch import Side, multiply

# places of an image that fill a tile, and the most images of one launch
ENOUGH, MOST_IMAGES = 4 if SIMULATOR else 32, 65535


def _whole(length, array):
    """Whether rows of `length` elements are whole copies of 16 bytes."""
    return length * array.itemsize % CHUNK_BYTES == 0 and array.pointer % CHUNK_BYTES == 0


def takes(geometry, on_tensor_cores, *arrays):
    """Whether this convolution is one of these; arrays: those of image and result that are read."""
    g = geometry
    places = math.prod(g.result)
    plain = g.groups == g.tap_count == 1 and g.image == g.result and g.strides == (1, 1, 1) and g.paddings == (0, 0, 0)
    if not plain or places < ENOUGH or g.images > MOST_IMAGES:
        return False
    return not on_tensor_cores or all(_whole(places, a) for a in arrays)


def _weight(w, geometry, back, on_tensor_cores, stream):
    """The Side of rows, the same for all images."""
    rows, depth = (geometry.inner, geometry.outer) if back else (geometry.outer, geometry.inner)
    whole = _whole(rows if back else depth, w)
    if on_tensor_cores and not whole:
        side = Weight(w, geometry, back, True, stream).side(next(lattices(geometry, back)))
        return side._replace(values=(np.int64(0), *side.values[1:]))
    return Side(w.reshape(-1), TURNED if back else MATRIX, (np.int64(0), np.int32(rows), np.int32(depth)), whole)


def convolution(y, z, x, w, b, activation, geometry, back, on_tensor_cores, stream):
    """As conv_product.convolution."""
    rows, depth = (geometry.inner, geometry.outer) if back else (geometry.outer, geometry.inner)
    places = math.prod(geometry.result)
    weight = _weight(w, geometry, back, on_tensor_cores, stream)
    for g, *run in runs(geometry, y, z, x):
        y_run, z_run, x_run = (a.reshape(-1) for a in run)
        seen = Side(x_run, TURNED, (np.int64(depth * places), np.int32(places), np.int32(depth)), _whole(places, x_run))
        multiply(
            y_run,
            weight,
            seen,
            rows,
            places,
            depth,
            stream,
            matrices=g.images,
            epilogue=CHANNEL,
            arrays=(z_run, b),
            # the same channels in each image
            scalars=(np.int32(0), activation),
            vectors=places % 4 == 0 and aligned(*(a for a in (y_run, z_run) if a.size)),
        )


def weight_gradient(dweight, dy, x, geometry, accumulate, stream):
    """As conv_product.weight_gradient."""
    for g, dy_run, x_run in runs(geometry, dy, x):
        places = math.prod(g.result)
        sides = given(as_it_lies(dy_run, 1), g), given(as_it_lies(x_run, 1), g)
        sides = [side._replace(chunks=_whole(places, a)) for side, a in zip(sides, (dy_run, x_run), strict=True)]
        multiply(dweight.reshape(-1), *sides, g.outer, g.inner, g.places, stream, scalars=(accumulate,))
        accumulate = True
