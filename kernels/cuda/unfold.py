"""Sliding blocks as columns, and back: a thread for each block or element of the image, and a loop over taps.

Neighbouring threads are neighbours along a row, so that reads and writes of a warp lie side by side; what taps read
again comes from the cache. Both directions write every element once and add in a fixed order.
"""

import numpy as np

from ..conv_checks import check_geometry
from .conv_geometry import check_size, divided, first_tap, high, low, pairs, tap_step
from .ptx import narrow, wide
from .target import cuda, jit, kernel, spread


@jit
def _blocks(y, x, image, places, taps, strides, paddings, dilations):
    ih, iw, oh, ow, kh, kw = low(image), high(image), low(places), high(places), low(taps), high(taps)
    area, dh, dw = oh * ow, low(dilations), high(dilations)
    zero = y.dtype.type(0)
    for i in range(cuda.grid(1), y.size // (kh * kw), cuda.gridsize(1)):
        plane = divided(i, area)
        place = np.int32(i - plane * area)
        row = divided(place, ow)
        top = np.int32(row * low(strides) - low(paddings))
        left = np.int32((place - row * ow) * high(strides) - high(paddings))
        seen = np.int64(plane) * (ih * iw)
        at = np.int64(plane) * (kh * kw) * area + place
        for r in range(kh):
            for c in range(kw):
                u, v = np.int32(top + r * dh), np.int32(left + c * dw)
                value = zero
                if u >= 0 and u < ih and v >= 0 and v < iw:
                    value = x[np.uint64(seen + np.int32(u * iw + v))]
                y[np.uint64(at)] = value
                at += area


@jit
def _images(dx, dy, image, places, taps, strides, paddings, dilations, steps):
    ih, iw, oh, ow, kh, kw = low(image), high(image), low(places), high(places), low(taps), high(taps)
    sh, sw, dh, dw = low(strides), high(strides), low(dilations), high(dilations)
    step_h, step_w = low(steps), high(steps)
    # how far the place goes back from one of these taps to the next
    back_h, back_w = divided(step_h * dh, sh), divided(step_w * dw, sw)
    area = oh * ow
    for i in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        plane = divided(i, ih * iw)
        place = np.int32(i - plane * (ih * iw))
        row = divided(place, iw)
        y, x = np.int32(row + low(paddings)), np.int32(place - row * iw + high(paddings))
        first_h, first_w = first_tap(y, sh, dh, step_h), first_tap(x, sw, dw, step_w)
        total = wide(dx.dtype.type(0))
        if first_h >= 0 and first_w >= 0:
            u, left = np.int32((y - first_h * dh) // sh), np.int32((x - first_w * dw) // sw)
            seen = np.int64(plane) * (kh * kw) * area
            for r in range(first_h, kh, step_h):
                v = left
                for c in range(first_w, kw, step_w):
                    if u >= 0 and u < oh and v >= 0 and v < ow:
                        total += wide(dy[np.uint64(seen + np.int64(r * kw + c) * area + np.int32(u * ow + v))])
                    v = np.int32(v - back_w)
                u = np.int32(u - back_h)
        dx[i] = narrow(dx, total)


def _numbers(x, y, sh, sw, ph, pw, dh, dw):
    check_geometry(1, 1, 1, (sh, sw), (ph, pw), (dh, dw))
    check_size(x.size, y.shape[0] * y.shape[1] * y.shape[4] * y.shape[5])
    return pairs(*x.shape[2:], *y.shape[4:], *y.shape[2:4], sh, sw, ph, pw, dh, dw)


@kernel(half=True)
def unfold_forward(y, x, sh, sw, ph, pw, dh, dw, stream=0):
    """One launch; a thread writes all elements of a block."""
    numbers = _numbers(x, y, sh, sw, ph, pw, dh, dw)
    taps = y.shape[2] * y.shape[3]
    if y.size:
        spread(_blocks, y.size // taps, stream, y.reshape(-1), x.reshape(-1), *numbers)


@kernel(half=True)
def unfold_backward(dx, dy, sh, sw, ph, pw, dh, dw, stream=0):
    """One launch; a thread gathers what its element of the image gets."""
    numbers = _numbers(dx, dy, sh, sw, ph, pw, dh, dw)
    steps = pairs(tap_step(sh, dh), tap_step(sw, dw))
    spread(_images, dx.size, stream, dx.reshape(-1), dy.reshape(-1), *numbers, *steps)
