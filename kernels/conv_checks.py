"""What every backend asks of the numbers of a convolution: a plain function, compiled too."""


def check_geometry(channels, outputs, groups, strides, paddings, dilations):
    """ValueError for numbers that no convolution has; strides, paddings and dilations: three each."""
    if groups < 1 or channels % groups != 0 or outputs % groups != 0:
        raise ValueError("groups: expected a number of 1 or more that divides the channels of x and of y")
    if min(strides) < 1 or min(dilations) < 1 or min(paddings) < 0:
        raise ValueError("expected strides and dilations of 1 or more and paddings of 0 or more")
