"""Bilinear forms: several blocks of samples, no bias, gradients that are not wanted."""

from helpers import absent, poison

from . import case


def cases(rng, dtype):
    for n, d, e, h in ((5, 4, 6, 3), (2, 9, 3, 4), (0, 2, 3, 2), (3, 1, 1, 1)):
        shapes = (n, d), (n, e), (h, d, e), (h,), (n, h)
        x1, x2, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        yield case("bilinear.bilinear_forward", poison((n, h), dtype), x1, x2, w, b)
        yield case("bilinear.bilinear_forward", poison((n, h), dtype), x1, x2, w, absent(dtype))
        dx1, dx2, none = poison((n, d), dtype), poison((n, e), dtype), absent(dtype)
        for accumulate in (False, True):
            dw, db = rng.standard_normal((h, d, e)).astype(dtype), rng.standard_normal(h).astype(dtype)
            yield case("bilinear.bilinear_backward", dx1, dx2, dw, db, dy, x1, x2, w, accumulate)
        yield case("bilinear.bilinear_backward", dx1, none, none, db, dy, x1, x2, w, True)
        yield case("bilinear.bilinear_backward", none, dx2, dw, none, dy, x1, x2, w, True)
