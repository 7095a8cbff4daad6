"""Convolutions of one tap: each image of a group is a product of matrices, weights (lines, channels) by places.

Nothing is staged, and the product reads images where they lie. Large products are shared by threads, one after the
other; small ones go to a thread each.
"""

from ..jit import compiled, parallel_for
from .epilogue import finish_rows, in_registers
from .pack import matrix, panel_width
from .product import prepare_product, product
from .tiles import CHUNK_WORK

LARGE = 8 * CHUNK_WORK  # multiply-adds of a product that threads share


@compiled
def suits(lines, channels, source, size, form, like):
    """Whether a convolution has this form, and places enough to fill a tile. source, size: of the planes."""
    taps, strides, paddings = form
    same = taps == 1 and strides == (1, 1, 1) and paddings == (0, 0, 0) and source == size
    return same and min(lines, channels) > 1 and size[0] * size[1] * size[2] >= panel_width(like)


@compiled
def _results(begin, end, y, x, w, groups, lines, depth, stride, turned, places, epilogue):
    """Images and groups begin .. end."""
    bias = epilogue.bias
    for number in range(begin, end):
        group, at = number % groups, number * lines * places
        result = y[at : at + lines * places]
        if bias.size:
            for i in range(lines):
                row = result[i * places : (i + 1) * places]
                row[:] = bias[group * lines + i]
        weights = matrix(w[group * lines * depth :], stride, lines, not turned)
        planes = matrix(x[number * depth * places :], places, places, False)
        product(lines, places, depth, weights, planes, result, places, bias.size > 0)
        if not in_registers(epilogue) or epilogue.relu:
            finish_rows(epilogue, y, at, at, lines * places)


@compiled
def pointwise(y, x, w, images, groups, lines, depth, stride, turned, places, epilogue):
    """y (images, groups x lines, places) of x (images, groups x depth, places).

    w: of each group (lines, depth), or its transpose where it is turned, `stride` elements from row to row; epilogue
    as in convolve. All arrays are flat.
    """
    arguments = (y, x, w, groups, lines, depth, stride, turned, places, epilogue)
    work = float(lines) * depth * places
    prepare_product(y)
    grain = images * groups if work > LARGE else max(1, int(CHUNK_WORK / work))
    parallel_for(_results, images * groups, grain, arguments)


@compiled
def pointwise_weight(dw, dz, x, images, groups, lines, channels, places, accumulate):
    """dw (+)= the gradient of the weights: image after image, each a product whose depth is its places."""
    size = lines * channels
    for group in range(groups):
        result = dw[group * size : (group + 1) * size]
        for image in range(images):
            number = image * groups + group
            grads = matrix(dz[number * lines * places :], places, lines, True)
            planes = matrix(x[number * channels * places :], places, channels, True)
            product(lines, channels, places, grads, planes, result, channels, accumulate or image > 0)


@compiled
def worth(lines, channels, places):
    """Whether an image's gradient of the weights is a product that threads share."""
    return float(lines) * channels * places > LARGE
