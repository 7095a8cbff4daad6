"""What the options of recurrent layers do to a sample's row, and the gradients of that. An absent option does nothing.

The kernels with options are plainer than those without: chunks of samples go through all steps at once, in parallel; a
row goes through one short loop after the other, in the first cache; and backward reads what forward has kept by time,
so that the gradient of the weights is one product over all rows.
"""

from .. import recurrent_checks, recurrent_option_checks
from ..jit import compiled, exact
from .norm_parts import inverse_root, moments
from .recurrent import add, copy, fill, row
from .vecmath import sigmoid, tanh

check_lengths = compiled(recurrent_checks.check_lengths)
check_projection = compiled(recurrent_checks.check_projection)
check_kept = compiled(recurrent_option_checks.check_kept)


@compiled
def sigmoids(line):
    for j in range(line.size):
        line[j] = sigmoid(line[j])


@compiled
def tanhs(line):
    for j in range(line.size):
        line[j] = tanh(line[j])


@compiled
def _statistics(line, eps):
    """near, scale and shift: the normalised element is (x - near) * scale + shift."""
    mean, variance = moments(line)
    near, scale = line.dtype.type(mean), inverse_root(variance, eps)
    return near, line.dtype.type(scale), line.dtype.type((near - mean) * scale)


@compiled
def add_normalised(out, line, gain, eps):
    """out += line, with mean 0 and variance 1 and times gain; or as it is."""
    if gain.size == 0:
        add(out, line)
        return
    near, scale, shift = _statistics(line, eps)
    for j in range(out.size):
        out[j] += ((line[j] - near) * scale + shift) * gain[j]


@compiled
def normalised_grad(dline, dgain, dout, line, gain, eps):
    """Gradient of the line; that of the gain is added."""
    if gain.size == 0:
        copy(dline, dout)
        return
    near, scale, shift = _statistics(line, eps)
    zero, count = line.dtype.type(0), line.dtype.type(line.size)
    plain, product = zero, zero
    for j in range(line.size):
        n = (line[j] - near) * scale + shift
        dgain[j] += dout[j] * n
        g = dout[j] * gain[j]
        plain += g
        product += g * n
    plain, product = plain / count, product / count
    for j in range(dline.size):
        n = (line[j] - near) * scale + shift
        dline[j] = scale * (dout[j] * gain[j] - plain - n * product)


@compiled
def masked(out, state, mask):
    copy(out, state)
    for j in range(mask.size):
        out[j] *= mask[j]


@compiled
def add_masked(dstate, dseen, mask):
    for j in range(mask.size):
        dseen[j] *= mask[j]
    add(dstate, dseen)


@exact
def mix(state, made, zone):
    """zone of the state stays, the rest is what was made: with a zone of 0 or 1 to the last bit."""
    if zone.size == 0:
        copy(state, made)
    one = state.dtype.type(1)
    for j in range(zone.size):
        state[j] = zone[j] * state[j] + (one - zone[j]) * made[j]


@compiled
def mix_grad(dmade, dstate, zone):
    """dstate, the gradient of the mixture, becomes that of the old state."""
    copy(dmade, dstate)
    if zone.size == 0:
        fill(dstate, dstate.dtype.type(0))
    one = dstate.dtype.type(1)
    for j in range(zone.size):
        dmade[j] *= one - zone[j]
        dstate[j] *= zone[j]


@compiled
def store(target, source, active):
    """Keep a row, where it is kept: 0 past a sample's end."""
    if active:
        copy(target, source)
    else:
        fill(target, target.dtype.type(0))


@compiled
def multiply_add(out, a, b):
    for j in range(out.size):
        out[j] += a[j] * b[j]


@compiled
def add_up(sums, width):
    """The sums of all chunks, added to those of the first."""
    total = row(sums, 0, width)
    for chunk in range(1, sums.size // max(1, width)):
        add(total, row(sums, chunk, width))
