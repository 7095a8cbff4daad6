"""Batch norm: every channel by its statistics over samples and positions, or by given ones."""

import numpy as np


def batch_norm_forward(y, mean, rstd, x, w, b, running_mean, running_var, eps):
    """y = (x - mean) rstd w + b;  rstd = 1 / sqrt(var + eps), the population's variance over O and I

    y     (O, C, I) [out]              result
    mean  (C,) float64 [out]           hand unchanged to batch_norm_backward and running_update
    rstd  (C,) float64 [out]           likewise
    x     (O, C, I)                    input: samples, channels, positions
    w     (C,) or (0,)                 weight; size 0: 1
    b     (C,) or (0,)                 bias; size 0: 0
    running_mean  (C,) or (0,)         the mean to normalise by; size 0: that of x
    running_var   (C,) or (0,)         the variance to normalise by; likewise
    eps   float                        added to the variance

    Source: Ioffe, Szegedy 2015; as torch.nn.functional.batch_norm.
    """
    wide = x.astype(np.float64)
    count = max(x.shape[0] * x.shape[2], 1)
    mean[...] = running_mean if running_mean.size else wide.sum((0, 2)) / count
    deviation = wide - mean[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        var = running_var.astype(np.float64) if running_var.size else (deviation**2).sum((0, 2)) / count
        rstd[...] = 1 / np.sqrt(var + eps)
    y[...] = deviation * rstd[:, None] * (w[:, None] if w.size else 1) + (b[:, None] if b.size else 0)


def batch_norm_backward(dx, dw, db, dy, x, w, mean, rstd, given, accumulate):
    """g = dy w, n = (x - mean) rstd:  dx = rstd (g - mean(g) - n mean(g n));  dw (+)= sum(dy n);  db (+)= sum(dy)

    dx    (O, C, I) or (0,) [out]  gradient of the input; size 0: not wanted
    dw    (C,) or (0,) [inout]     gradient of the weight; read only when accumulate; size 0: not wanted
    db    (C,) or (0,) [inout]     gradient of the bias; likewise
    dy    (O, C, I)                gradient of the result
    x     (O, C, I)                input of the forward
    w     (C,) or (0,)             weight; size 0: 1
    mean  (C,) float64             from the forward
    rstd  (C,) float64             from the forward
    given       bool               the statistics were given, and do not depend on x: dx = rstd g
    accumulate  bool               add to dw and db instead of overwriting them
    """
    normal, g = (x - mean[:, None]) * rstd[:, None], dy * (w[:, None] if w.size else 1)
    if dx.size:
        count = x.shape[0] * x.shape[2]
        means = ((v.sum((0, 2)) / count)[:, None] for v in (g, g * normal))
        dx[...] = rstd[:, None] * (g if given else g - next(means) - normal * next(means))
    if dw.size:
        dw[...] = (dw if accumulate else 0) + (dy * normal).sum((0, 2))
    if db.size:
        db[...] = (db if accumulate else 0) + dy.sum((0, 2))


def running_update(running_mean, running_var, batches, mean, rstd, count, momentum, eps):
    """running += momentum (new - running), new being averages over O: of the mean, and of the unbiased variance

    running_mean  (C,) [inout]               running mean
    running_var   (C,) [inout]               running variance
    batches       (1,) or (0,) int64 [inout] batches seen so far: counted up
    mean          (O, C) float64             as left by the forward; O = 1 for batch norm, samples for instance norm
    rstd          (O, C) float64             likewise: 1 / sqrt(var + eps), the variance with 1 / count
    count         int                        elements that a statistic is of; 0: they are of nothing and change nothing
    momentum      float                      weight of the new; negative: 1 / batches, the average of all
    eps           float                      as in the forward

    Source: as torch.nn.functional.batch_norm and instance_norm.
    """
    batches += 1
    if count == 0 or len(mean) == 0:
        return
    share = momentum if momentum >= 0 else 1 / batches[0] if batches.size else 0.0
    var = np.maximum(0, 1 / (rstd * rstd) - eps) * (count / max(count - 1, 1))
    running_mean += share * (mean.mean(0) - running_mean)
    running_var += share * (var.mean(0) - running_var)
