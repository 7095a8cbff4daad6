"""Average pooling: a thread for each output and each element of the gradient, a warp for an output of a large window.

Backward, an element adds what the windows that hold it give, always in the same order (windows.py).
"""

from . import status
from .lanes import warp_sum
from .maps import computed
from .planes import define_planes, i32, over_planes, planes_of
from .ptx import narrow, wide
from .target import BLOCKS, THREADS, WARP, cuda, device, jit, kernel, launch
from .windows import ahead, alike, check_shapes, large, output_of, parts_of, reach_of_windows, window
from .windows import reached as reached  # for the lines below


@device
def _divisor(zero, d, h, w):
    """Their product, in the type of `zero`: each is exact there, and so is a product of less than 24 bits."""
    real = type(zero)
    return real(d) * real(h) * real(w)


WINDOWS = """
d0, d1, dn = window(windows_d, {p}, {i}, depth, problem)
h0, h1, hn = window(windows_h, {p}, j, height, problem)
w0, w1, wn = window(windows_w, {p}, k, width, problem)
divisor = _divisor(zero, dn, hn, wn)
"""
MEAN = """
total# = zero
a = d0
while a < d1:
    b = h0
    while b < h1:
        line = i32((a * height + b) * width)
        c = w0
        while c < w1:
            at = u32(line + c)
            v# = wide(x[u32(p#), at])
            total# += v#
            c = i32(c + 1)
        b = i32(b + 1)
    a = i32(a + 1)
"""
SIZES = """
planes, depths, rows, columns = y.shape[0], i32(windows_d.shape[1]), windows_h.shape[1], windows_w.shape[1]
"""
ARGUMENTS = "y, x, windows_d, windows_h, windows_w, depth, height, width, zero, problem"
STORE = "y[u32(p#), u32((i# * rows + j) * columns + k)] = narrow(y, total# / divisor)"
# all planes have the same windows, of one depth; or each slice its own
define_planes(globals(), "_mean", ARGUMENTS, SIZES, MEAN, STORE, of_row=WINDOWS.format(p=0, i=0), flat=True)
_means = WINDOWS.format(p="p0", i="i0") + MEAN.lstrip()
define_planes(globals(), "_mean_of_own", ARGUMENTS, SIZES, _means, STORE, together=1)


@jit
def _mean_of_many(y, x, windows_d, windows_h, windows_w, zero, problem):
    """A warp for each output: lanes stride over its window."""
    depth, height, width = i32(x.shape[1]), i32(x.shape[2]), i32(x.shape[3])
    OD, rows, columns = i32(y.shape[1]), i32(y.shape[2]), i32(y.shape[3])
    outputs = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    warps = cuda.blockDim.x // WARP
    lane, first = cuda.threadIdx.x % WARP, cuda.blockIdx.x * warps
    # all threads of a block come to the shuffles
    while first < outputs:
        o = min(first + cuda.threadIdx.x // WARP, outputs - 1)
        p, i, j, k = output_of(o, OD, rows, columns)
        d0, d1, dn = window(windows_d, p, i, depth, problem)
        h0, h1, hn = window(windows_h, p, j, height, problem)
        w0, w1, wn = window(windows_w, p, k, width, problem)
        deep, high, long = i32(d1 - d0), i32(h1 - h0), i32(w1 - w0)
        a, b, c = parts_of(i32(lane), long, high)
        stride = parts_of(i32(WARP), long, high)
        total = zero
        while a < deep and high > 0 and long > 0:
            total += wide(x[p, d0 + a, h0 + b, w0 + c])
            a, b, c = ahead(a, b, c, stride, long, high)
        total = warp_sum(total)
        if lane == 0 and first + cuda.threadIdx.x // WARP < outputs:
            y[p, i, j, k] = narrow(y, total / _divisor(zero, dn, hn, wn))
        first += cuda.gridDim.x * warps


@kernel(half=True)
def average_pool_forward(y, x, windows_d, windows_h, windows_w, stream=0):
    """One launch; the input is read once where windows do not overlap, and from cache where they do."""
    tables = windows_d, windows_h, windows_w
    check_shapes(x.shape[0], tables)
    zero = computed(x.dtype)(0)
    if large(x, y):
        grid = min(-(-y.size // (THREADS // WARP)), BLOCKS)
        launch(_mean_of_many, grid, THREADS, stream, y, x, *tables, zero, status.word())
        return
    P, OD, OH, OW = y.shape
    arrays, sizes = map(planes_of, (y, x)), map(i32, x.shape[1:])
    function = _mean if alike(y, tables) else _mean_of_own  # noqa: F821
    over_planes(function, P * OD, OH, OW, stream, *arrays, *tables, *sizes, zero, status.word())


@device
def _divisor_if_held(table, p, o, i):
    """What window o is divided by along an axis; 0 where it does not hold element i."""
    q = p if table.shape[0] > 1 else 0
    return i32(table[q, o, 2]) if table[q, o, 0] <= i and i < table[q, o, 1] else i32(0)


REACH = """
d0, d1 = reached(reach, 0, windows_d, {p}, depths, {i})
h0, h1 = reached(reach, of_height, windows_h, {p}, rows, j)
w0, w1 = reached(reach, of_width, windows_w, {p}, columns, k)
"""
# a division for each window, not for each slice
GRADIENT = """
total# = zero
a = d0
while a < d1:
    dn = _divisor_if_held(windows_d, {p}, a, {i})
    b = h0
    while b < h1 and dn != 0:
        hn = _divisor_if_held(windows_h, {p}, b, j)
        line = i32((a * OH + b) * OW)
        c = w0
        while c < w1 and hn != 0:
            wn = _divisor_if_held(windows_w, {p}, c, k)
            if wn != 0:
                share = type(zero)(1) / _divisor(zero, dn, hn, wn)
                at = u32(line + c)
                v# = wide(dy[u32(p#), at])
                total# += v# * share
            c = i32(c + 1)
        b = i32(b + 1)
    a = i32(a + 1)
"""
OF_INPUT = """
planes, OH, OW = dx.shape[0], i32(windows_h.shape[1]), i32(windows_w.shape[1])
of_height = i32(windows_d.shape[0] * depths)
of_width = i32(of_height + windows_h.shape[0] * rows)
"""
SLOPES = "dx, dy, windows_d, windows_h, windows_w, reach, depths, rows, columns, zero"
STORE = "dx[u32(p#), u32((i# * rows + j) * columns + k)] = narrow(dx, total#)"
SAME, OWN = {"p": 0, "i": 0}, {"p": "p0", "i": "i0"}
define_planes(
    globals(), "_gradient", SLOPES, OF_INPUT, GRADIENT.format(**SAME), STORE, of_row=REACH.format(**SAME), flat=True
)
_body = REACH.format(**OWN) + GRADIENT.format(**OWN).lstrip()
define_planes(globals(), "_gradient_of_own", SLOPES, OF_INPUT, _body, STORE, together=1)


@kernel(half=True)
def average_pool_backward(dx, dy, windows_d, windows_h, windows_w, stream=0):
    """Two launches: which windows may hold an element, and a pass over the gradient."""
    tables = windows_d, windows_h, windows_w
    check_shapes(dx.shape[0], tables)
    P, ID, IH, IW = dx.shape
    if dx.size:
        arrays = map(planes_of, (dx, dy))
        reach = reach_of_windows(stream, tables, (ID, IH, IW), False)
        function = _gradient if alike(dx, tables) else _gradient_of_own  # noqa: F821
        over_planes(
            function, P * ID, IH, IW, stream, *arrays, *tables, reach, *map(i32, (ID, IH, IW)), computed(dx.dtype)(0)
        )
