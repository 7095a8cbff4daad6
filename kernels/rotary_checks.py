"""What every backend asks of the arguments of rotary positions: a plain function, compiled too."""


def check(y, x, cos, sin):
    """ValueError for rows with gaps, and for tables that do not fit them."""
    y_has_gaps = y.size > 0 and y.shape[3] > 1 and y.strides[3] != y.itemsize
    x_has_gaps = x.size > 0 and x.shape[3] > 1 and x.strides[3] != x.itemsize
    if y_has_gaps or x_has_gaps:
        raise ValueError("rotary: expected rows of x and y whose numbers lie side by side")
    if cos.shape[0] != 1 and cos.shape[0] != x.shape[0]:
        raise ValueError("rotary: expected cos and sin of one sample, or of as many as x has")
    if 2 * cos.shape[2] > x.shape[3]:
        raise ValueError("rotary: expected cos and sin of at most half as many pairs as a row of x has numbers")
    if cos.itemsize != max(x.itemsize, 4) or sin.itemsize != cos.itemsize:
        raise ValueError("rotary: expected cos and sin of the dtype of x, float32 for 16-bit numbers")
