"""What a step of the GRU with options does between its products: a block for each sample. Arrays are flat."""

from .functions import formulas, tanh
from .gru_resident import cell_grad, reset_grad
from .lanes import WARPS
from .recurrent_options import put_normalised_grad, statistics
from .target import cuda, jit

sigmoid = formulas["sigmoid"]


@jit
def make_reset(rz, left, products, raw, given, seen, b_hh, norm_hh, lengths, t, n, h, eps):
    """r and z (n, 2 * h) of step t, and left (n, h), r times what the products see of the states."""
    parts = cuda.shared.array(WARPS, raw.dtype)
    sample = cuda.blockIdx.x
    wide, line, begin = (t * n + sample) * 3 * h, sample * 2 * h, sample * h
    active, zero = lengths.size == 0 or t < lengths[sample], eps - eps
    mean, scale = zero, type(eps)(1)
    if norm_hh.size > 0:
        mean, scale = statistics(parts, raw, line, 2 * h, eps)
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        for k in range(2):
            at = k * h + j
            value = raw[line + at]
            if products.size > 0:
                products[wide + at] = value if active else zero
            if norm_hh.size > 0:
                value = (value - mean) * scale * norm_hh[at]
            if b_hh.size > 0:
                value += b_hh[at]
            rz[line + at] = sigmoid(given[wide + at] + value)
        left[begin + j] = rz[line + j] * seen[begin + j]


@jit
def make(out, gates, products, raw, given, rz, left, h_before, b_hh, norm_hh, lengths, t, n, h, after, eps):
    """In `out` (n, h) what step t makes of the states; gates and products are kept by time."""
    parts = cuda.shared.array(WARPS, raw.dtype)
    sample = cuda.blockIdx.x
    wide, line, begin, row = (t * n + sample) * 3 * h, sample * 2 * h, sample * h, (t * n + sample) * 4 * h
    active, zero = lengths.size == 0 or t < lengths[sample], eps - eps
    mean, scale, one = zero, type(eps)(1), type(eps)(1)
    if norm_hh.size > 0:
        mean, scale = statistics(parts, raw, begin, h, eps)
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        inner = raw[begin + j]
        if products.size > 0:
            products[wide + 2 * h + j] = inner if active else zero
        if norm_hh.size > 0:
            inner = (inner - mean) * scale * norm_hh[2 * h + j]
        if b_hh.size > 0:
            inner += b_hh[2 * h + j]
        r, z, a = rz[line + j], rz[line + h + j], left[begin + j]
        if after:
            a = inner
            inner *= r
        new_n = tanh(given[wide + 2 * h + j] + inner)
        out[begin + j] = (one - z) * new_n + z * h_before[begin + j]
        if gates.size > 0:
            if not active:
                r, z, new_n, a = zero, zero, zero, zero
            gates[row + j], gates[row + h + j], gates[row + 2 * h + j], gates[row + 3 * h + j] = r, z, new_n, a


@jit
def unmake(dgiven, second, terms, dinner, dh, d, gates, products, before, norm_hh, lengths, t, n, h, after, eps):
    """Of step t, from d (n, h), the gradient of what it made: that of z and n in dgiven, and of n's product in second.

    terms (t, n, 6 * h): what goes to b_hh and norm_hh. dinner (n, h): room. dh takes what goes straight to the states.
    """
    parts = cuda.shared.array(WARPS, dgiven.dtype)
    sample = cuda.blockIdx.x
    wide, row, begin = (t * n + sample) * 3 * h, (t * n + sample) * h, sample * h
    active, zero = lengths.size == 0 or t < lengths[sample], eps - eps
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        dz, dn, inner = zero, zero, zero
        if active:
            r, z, new_n = gates[4 * row + j], gates[4 * row + h + j], gates[4 * row + 2 * h + j]
            dz, dn, direct = cell_grad(d[begin + j], z, new_n, before[row + j])
            dh[begin + j] += direct
            inner = dn * r if after else dn
        dgiven[wide + h + j], dgiven[wide + 2 * h + j] = dz, dn
        dinner[begin + j] = inner
        terms[2 * wide + 2 * h + j] = inner
    to = 2 * wide + 5 * h
    at = wide + 2 * h
    put_normalised_grad(parts, second, row, terms, to, dinner, begin, products, at, norm_hh, 2 * h, h, eps)


@jit
def unmake_reset(dgiven, first, terms, drz, dseen, gates, products, states, norm_hh, lengths, t, n, h, after, eps):
    """The gradient of r in dgiven, and of the product for r and z in first. dseen (n, h) is that of what n's product
    was given, and becomes that of the states as it saw them. drz (n, 2 * h): room."""
    parts = cuda.shared.array(WARPS, dgiven.dtype)
    sample = cuda.blockIdx.x
    wide, row, line, begin = (t * n + sample) * 3 * h, (t * n + sample) * h, sample * 2 * h, sample * h
    active, zero = lengths.size == 0 or t < lengths[sample], eps - eps
    for j in range(cuda.threadIdx.x, h, cuda.blockDim.x):
        dr = zero
        if active:
            r, a = gates[4 * row + j], gates[4 * row + 3 * h + j]
            if after:
                dr = reset_grad(dgiven[wide + 2 * h + j] * a, r)
            else:
                through = dseen[begin + j]
                dr = reset_grad(through * states[row + j], r)
                dseen[begin + j] = through * r
        dz = dgiven[wide + h + j]
        dgiven[wide + j] = dr
        drz[line + j], drz[line + h + j] = dr, dz
        terms[2 * wide + j], terms[2 * wide + h + j] = dr, dz
    cuda.syncthreads()
    to = 2 * wide + 3 * h
    put_normalised_grad(parts, first, 2 * row, terms, to, drz, line, products, wide, norm_hh, 0, 2 * h, eps)
