"""What a step of the LSTM with options does between its products: a block for each sample. Arrays are flat."""

from .functions import formulas, tanh
from .lanes import WARPS
from .recurrent_options import put_normalised_grad, statistics
from .target import cuda, device, jit

sigmoid = formulas["sigmoid"]


@device
def _normalised(value, mean, scale, gain, j):
    return (value - mean) * scale * gain[j] if gain.size > 0 else value


@jit
def make(
    cell, new, out, gates, products, cells, made, raw, given,
    b_hh, norm_hh, norm_c, shift_c, peepholes, zone_c, lengths, t, n, h, eps,
):  # fmt: skip
    """The cell (n, h) after step t, and in `out` (n, h) what becomes the state. new (n, h): room for the cell as it is
    made; gates, products, cells, made: what is kept by time."""
    parts = cuda.shared.array(WARPS, raw.dtype)
    sample = cuda.blockIdx.x
    wide, row, line, begin = (t * n + sample) * 4 * h, (t * n + sample) * h, sample * 4 * h, sample * h
    active, zero, one = lengths.size == 0 or t < lengths[sample], eps - eps, type(eps)(1)
    mean, scale = zero, one
    if norm_hh.size > 0:
        mean, scale = statistics(parts, raw, line, 4 * h, eps)
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        # where backward and the second half below find them; without gates to keep, in what the product has left
        i = given[wide + j] + _normalised(raw[line + j], mean, scale, norm_hh, j)
        f = given[wide + h + j] + _normalised(raw[line + h + j], mean, scale, norm_hh, h + j)
        g = given[wide + 2 * h + j] + _normalised(raw[line + 2 * h + j], mean, scale, norm_hh, 2 * h + j)
        o = given[wide + 3 * h + j] + _normalised(raw[line + 3 * h + j], mean, scale, norm_hh, 3 * h + j)
        if b_hh.size > 0:
            i, f, g, o = i + b_hh[j], f + b_hh[h + j], g + b_hh[2 * h + j], o + b_hh[3 * h + j]
        old = cell[begin + j]
        if peepholes.size > 0:
            i, f = i + peepholes[j] * old, f + peepholes[h + j] * old
        i, f, g = sigmoid(i), sigmoid(f), tanh(g)
        now = f * old + i * g
        if peepholes.size > 0:
            o += peepholes[2 * h + j] * now
        o = sigmoid(o)
        new[begin + j], out[begin + j] = now, o
        if products.size > 0:
            for k in range(4):
                products[wide + k * h + j] = raw[line + k * h + j] if active else zero
        if cells.size > 0:
            cells[row + j] = old if active else zero
        if gates.size > 0:
            if not active:
                i, f, g, o = zero, zero, zero, zero
            gates[wide + j], gates[wide + h + j], gates[wide + 2 * h + j], gates[wide + 3 * h + j] = i, f, g, o
    if norm_c.size > 0:
        mean, scale = statistics(parts, new, begin, h, eps)
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        now, old = new[begin + j], cell[begin + j]
        inner = _normalised(now, mean, scale, norm_c, j)
        if shift_c.size > 0:
            inner += shift_c[j]
        full = out[begin + j] * tanh(inner)
        out[begin + j] = full
        if made.size > 0:
            made[row + j] = full if active else zero
        if active:
            if zone_c.size > 0:
                now = zone_c[row + j] * old + (one - zone_c[row + j]) * now
            cell[begin + j] = now


@jit
def unmake(
    dgiven, draw, terms, dc, new, dinner, dfull, gates, products, cells,
    norm_hh, norm_c, shift_c, peepholes, zone_c, lengths, t, n, h, eps,
):  # fmt: skip
    """dgiven and draw of step t, from dfull (n, h), the gradient of what it made; dc becomes that of the cells before.

    terms (t, n, 9 * h): what goes to norm_hh, peepholes, norm_c and shift_c. new, dinner (n, h): room.
    """
    parts = cuda.shared.array(WARPS, dgiven.dtype)
    sample = cuda.blockIdx.x
    wide, row, begin, sums = (t * n + sample) * 4 * h, (t * n + sample) * h, sample * h, (t * n + sample) * 9 * h
    active, zero, one = lengths.size == 0 or t < lengths[sample], eps - eps, type(eps)(1)
    mean, scale = zero, one
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        i, f, g = gates[wide + j], gates[wide + h + j], gates[wide + 2 * h + j]
        new[begin + j] = f * cells[row + j] + i * g
        if terms.size > 0:
            for k in range(9):
                terms[sums + k * h + j] = zero
    if norm_c.size > 0:
        mean, scale = statistics(parts, new, begin, h, eps)
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        inner = _normalised(new[begin + j], mean, scale, norm_c, j)
        if shift_c.size > 0:
            inner += shift_c[j]
        squashed, o, d = tanh(inner), gates[wide + 3 * h + j], dfull[begin + j] if active else zero
        dinner[begin + j] = d * o * (one - squashed * squashed)
        dgiven[wide + 3 * h + j] = d * squashed * o * (one - o)
        if terms.size > 0:
            terms[sums + 8 * h + j] = dinner[begin + j]
    # in place: a thread reads its own element before it writes it, and barriers stand between
    put_normalised_grad(parts, dinner, begin, terms, sums + 7 * h, dinner, begin, new, begin, norm_c, 0, h, eps)
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        i, f, g = gates[wide + j], gates[wide + h + j], gates[wide + 2 * h + j]
        old, do = cells[row + j], dgiven[wide + 3 * h + j]
        from_after = dc[begin + j]
        dnew, dold = from_after, zero
        if zone_c.size > 0:
            dold = zone_c[row + j] * from_after
            dnew = from_after - dold
        dnew += dinner[begin + j]
        if peepholes.size > 0:
            dnew += do * peepholes[2 * h + j]
        di, df, dg = dnew * g * i * (one - i), dnew * old * f * (one - f), dnew * i * (one - g * g)
        dold += dnew * f
        if peepholes.size > 0:
            dold += di * peepholes[j] + df * peepholes[h + j]
        if not active:
            di, df, dg, dold = zero, zero, zero, from_after
        dc[begin + j] = dold
        dgiven[wide + j], dgiven[wide + h + j], dgiven[wide + 2 * h + j] = di, df, dg
        if terms.size > 0:
            terms[sums + 4 * h + j], terms[sums + 5 * h + j] = di * old, df * old
            terms[sums + 6 * h + j] = do * new[begin + j]
    if norm_hh.size > 0:
        cuda.syncthreads()
        put_normalised_grad(parts, draw, wide, terms, sums, dgiven, wide, products, wide, norm_hh, 0, 4 * h, eps)
