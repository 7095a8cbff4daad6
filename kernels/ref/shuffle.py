"""Pixels made of channels, channels of pixels, and channels in another order."""


def pixel_shuffle_forward(y, x):
    """y[p, h, i, w, j] = x[p, i, j, h, w]: I x J channels become rows and columns

    y  (P, H, I, W, J) same [out]  planes of H I rows and W J columns
    x  (P, I, J, H, W) same        P: samples times channels of the result

    Source: Shi et al. 2016, as torch.nn.PixelShuffle.
    """
    y[...] = x.transpose(0, 3, 1, 4, 2)


def pixel_unshuffle_forward(y, x):
    """y[p, i, j, h, w] = x[p, h, i, w, j]: what pixel_shuffle_forward undoes, and its gradient

    y  (P, I, J, H, W) same [out]
    x  (P, H, I, W, J) same
    """
    y[...] = x.transpose(0, 2, 4, 1, 3)


def channel_shuffle_forward(y, x):
    """y[n, a, b] = x[n, b, a]: channels of B groups are dealt out; with A groups back again, which is the gradient

    y  (N, A, B, I) same [out]
    x  (N, B, A, I) same        I: elements of a channel
    """
    y[...] = x.transpose(0, 2, 1, 3)
