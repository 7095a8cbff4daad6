"""Convolution as a product of matrices that are never made: see tile.py, and conv_gather.py for the operands.

    result and image   rows are channels, columns are places of all images, the depth is channels and taps
    weight             rows are channels of the result, columns channels and taps, the depth is places of all images

Where the ordinary units multiply, operands are read as they lie. Tensor cores are fed 16 bytes at a time, from images
and weights that are rearranged before to channels last. A result comes out as it shall lie, either way.
"""

import numpy as np

from . import conv_pointwise
from .conv_gather import given, seen, tapped
from .conv_geometry import runs
from .conv_lattice import lattices
from .conv_layout import as_it_lies, channels_last
from .conv_results import CHANNEL, PLANES, TAPS, THERE, output_of, taps_of
from .conv_weights import Weight
from .ptx import aligned
from .tile import STACKED, STORE
from .tile_launch import multiply, tensor_products


def _on_tensor_cores(dtype):
    return dtype.itemsize == 2 or (dtype == np.float32 and tensor_products() > 0)


class Kept(dict):
    """Images and results as operands want them, rearranged once for all products of a call."""

    def held(self, array, groups, last, stream):
        if not last:
            return as_it_lies(array, groups)
        found = self.get(array.pointer)
        if found is None:
            # the array stays, so that its memory is not another's
            found = self[array.pointer] = channels_last(array, groups, stream), array
        return found[0]


def convolution(y, z, x, w, b, activation, geometry, back, stream, kept):
    """y = activation(x convolved with w + b); back: x is the result of the convolution, y its image. kept: a Kept"""
    last = _on_tensor_cores(x.dtype)
    if conv_pointwise.takes(geometry, last, x):
        conv_pointwise.convolution(y, z, x, w, b, activation, geometry, back, last, stream)
        return
    weight = Weight(w, geometry, back, last, stream)
    sizes, others = (geometry.image, geometry.result) if back else (geometry.result, geometry.image)
    for g, y_run, z_run, x_run in runs(geometry, y, z, x):
        held = kept.held(x_run, g.groups, last, stream)
        flat_y, flat_z = y_run.reshape(-1), z_run.reshape(-1)
        for lattice in lattices(g, back):
            output, where = output_of(lattice, sizes, g.inner if back else g.outer)
            side_by_side = output is PLANES and lattice.places % 4 == 0
            multiply(
                flat_y,
                weight.side(lattice),
                seen(held, others, lattice, g.images),
                weight.rows,
                g.images * lattice.places,
                held.group * lattice.tap_count,
                stream,
                matrices=g.groups,
                output=output,
                where=where,
                epilogue=CHANNEL,
                arrays=(flat_z, b),
                scalars=(np.int32(weight.rows), activation),
                vectors=side_by_side and aligned(*(a for a in (flat_y, flat_z) if a.size)),
            )


def weight_gradient(dweight, dy, x, geometry, accumulate, stream, kept):
    """dweight (+)= the gradient; dy: of the convolution's result, x: its image."""
    last = _on_tensor_cores(x.dtype)
    if conv_pointwise.takes(geometry, last, dy, x):
        conv_pointwise.weight_gradient(dweight, dy, x, geometry, accumulate, stream)
        return
    inner, outer = geometry.group
    taps, flat = geometry.tap_count, dweight.reshape(-1)
    for g, dy_run, x_run in runs(geometry, dy, x):
        rows, columns = (kept.held(a, g.groups, last, stream) for a in (dy_run, x_run))
        stored = columns.group
        output, where, epilogue = (TAPS, taps_of(inner, stored, taps), THERE) if last else (STACKED, (), STORE)
        multiply(
            flat,
            given(rows, g),
            tapped(columns, g),
            outer,
            stored * taps,
            g.places,
            stream,
            matrices=g.groups,
            output=output,
            where=where,
            epilogue=epilogue,
            scalars=(accumulate,),
            vectors=False if last else None,
        )
        accumulate = True
