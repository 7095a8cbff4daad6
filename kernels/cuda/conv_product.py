"""Convolution as a product of matrices that are never made: see tile.py, and conv_gather.py for the operands.

    result and image   rows are channels, columns are places of all images, the depth is channels and taps
    weight             rows are channels of the result, columns channels and taps, the depth is places of all images

Where the ordinary units multiply, operands are read as they lie. Tensor cores are fed 16 bytes at a time, from images
and weights that are rearranged before to channels last. A result comes out as it shall lie, either way.
"""

import numpy as np

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


def convolution(y, z, x, w, b, activation, geometry, back, stream):
    """y = activation(x convolved with w + b); back: x is the result of the convolution, y its image."""
    last = _on_tensor_cores(x.dtype)
    weight = Weight(w, geometry, back, last, stream)
    sizes, others = (geometry.image, geometry.result) if back else (geometry.result, geometry.image)
    for g, y_run, z_run, x_run in runs(geometry, y, z, x):
        held = channels_last(x_run, g.groups, stream) if last else as_it_lies(x_run, g.groups)
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


def weight_gradient(dweight, dy, x, geometry, accumulate, stream):
    """dweight (+)= the gradient; dy: of the convolution's result, x: its image."""
    last = _on_tensor_cores(x.dtype)
    inner, outer = geometry.group
    taps, flat = geometry.tap_count, dweight.reshape(-1)
    for g, dy_run, x_run in runs(geometry, dy, x):
        held = [channels_last(a, g.groups, stream) if last else as_it_lies(a, g.groups) for a in (dy_run, x_run)]
        stored = held[1].group
        output, where, epilogue = (TAPS, taps_of(inner, stored, taps), THERE) if last else (STACKED, (), STORE)
        multiply(
            flat,
            given(held[0], g),
            tapped(held[1], g),
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
