"""Attention kernels against the definition, the definition against slopes and PyTorch."""

import numpy as np
import pytest
from helpers import Backend, absent, close, finite_difference, poison, python, same
from hotloop.kernels import threads

STATE = np.array([1234567, 5], np.uint64)


def packed(size, dtype):
    """Heads inside a projection of queries, keys and values, samples second: (L, N, 3, H, D) in memory.

    Most tests hand contiguous arrays, masks too: the public kernels compile anew for each combination of layouts.
    """
    n, h, l, d = size
    return np.empty((l, n, 3, h, d), dtype)[:, :, 1].transpose(1, 2, 0, 3)


def backwards(size, dtype):
    """Rows and heads from the last to the first: negative strides."""
    return np.empty(size, dtype)[:, ::-1, ::-1]


class Case:
    """The arguments of one attention. shape: N, H, G, L, S, D, E; wanted: which of p, dp, dscores there are."""

    def __init__(
        self, rng, dtype, shape, wanted=(), scale=0.3, causal=False, rate=0.0, bias=None, keep=None, heads=None
    ):
        n, h, g, l, s, d, e = shape
        self.dtype, self.numbers = dtype, (scale, causal, rate)
        self.state = STATE if rate else absent(np.uint64)
        sizes = dict(q=(n, h, l, d), k=(n, g, s, d), v=(n, g, s, e), dy=(n, h, l, e))
        self.heads = heads or np.empty
        form = (lambda mask: mask) if heads else np.ascontiguousarray
        self.given = {}
        for name, size in sizes.items():
            self.given[name] = self.heads(size, dtype)
            self.given[name][...] = rng.standard_normal(size)
        scores = n, h, l, s
        self.bias = absent(dtype) if bias is None else form(bias(rng, scores).astype(dtype, copy=False))
        self.keep = absent(bool) if keep is None else form(keep(rng, scores))
        self.dp = rng.standard_normal(scores).astype(dtype) if "dp" in wanted else absent(dtype)
        self.scores, self.wanted = scores, wanted

    def results(self, backend, dtype=None, kept=None):
        """Everything that both kernels write, by name. kept: whether backward reads p (default: where it is wanted)."""
        dtype = np.dtype(dtype or self.dtype)
        wide = dtype != self.dtype
        q, k, v, dy = (a.astype(dtype) if wide else a for a in self.given.values())
        bias, dp = (a.astype(dtype) if wide else a for a in (self.bias, self.dp))

        def out(like):
            array = self.heads(like.shape, dtype)
            array[...] = poison(like.shape, dtype)
            return array

        y, dq, dk, dv = out(dy), out(q), out(k), out(v)
        lse = poison(q.shape[:3], dtype)
        p, dscores = (poison(self.scores, dtype) if name in self.wanted else absent(dtype) for name in ("p", "dscores"))
        last = self.state, *self.numbers
        backend("attention.attention_forward", y, lse, p, q, k, v, bias, self.keep, *last)
        saved = p if kept in (None, True) else absent(dtype)
        gradients = dq, dk, dv, dscores
        backend("attention.attention_backward", *gradients, dy, dp, q, k, v, bias, self.keep, y, lse, saved, *last)
        return dict(y=y, lse=lse, p=p, dq=dq, dk=dk, dv=dv, dscores=dscores)


def agree(backend, case, tol=None):
    want = case.results(Backend("ref"), np.float64)
    for name, got in case.results(backend).items():
        close(got, want[name], tol, name)


def dense(rng, shape):
    return rng.standard_normal(shape)


def of_keys(rng, shape):
    """One number a key: stride 0 but for samples and keys."""
    return np.broadcast_to(rng.standard_normal((shape[0], 1, 1, shape[3])).astype(np.float32), shape)


def of_queries(rng, shape):
    """One number a query, as a column of a larger array."""
    return np.broadcast_to(rng.standard_normal((shape[1], shape[2], 3)).astype(np.float32)[:, :, 1:2], shape)


def some(rng, shape):
    """A mask by which the first query sees nothing, and the last key is seen by none."""
    keep = rng.random(shape) < 0.6
    keep[:, :, :1] = False
    keep[..., -1:] = False
    return keep


def padding(rng, shape):
    """One bool a key, and every other one of them."""
    return np.broadcast_to((rng.random((shape[0], 1, 1, 2 * shape[3])) < 0.7)[..., ::2], shape)


ALL = ("p", "dp", "dscores")
# around a tile, groups, several blocks of queries and of keys, more keys than queries and fewer, nothing at all
CASES = {
    "one": ((1, 1, 1, 1, 1, 1, 1), {}),
    "odd": ((2, 3, 3, 17, 19, 5, 7), {}),
    "groups": ((2, 6, 2, 33, 70, 24, 40), {"wanted": ("p",)}),
    "blocks": ((1, 2, 1, 130, 600, 33, 16), {"wanted": ALL}),
    "few pairs": ((1, 2, 1, 70, 1100, 16, 17), {"bias": of_keys}),
    "all there is": ((2, 4, 2, 29, 35, 16, 16), dict(wanted=ALL, rate=0.3, causal=True, bias=dense, keep=some)),
    "all in blocks": ((1, 2, 2, 90, 550, 8, 9), dict(wanted=ALL, rate=0.3, causal=True, bias=dense, keep=some)),
    "causal": ((2, 2, 2, 67, 67, 16, 16), dict(causal=True)),
    "causal, more keys": ((1, 2, 1, 60, 530, 8, 8), dict(causal=True, wanted=("p", "dscores"))),
    "causal, more queries": ((1, 2, 1, 700, 520, 8, 8), dict(causal=True)),
    "bias of queries": ((2, 3, 3, 9, 21, 4, 4), dict(bias=of_queries, keep=padding)),
    "bias and mask": ((2, 3, 1, 20, 37, 16, 8), dict(bias=dense, keep=some)),
    "dropout": ((2, 2, 2, 18, 33, 8, 8), dict(rate=0.5)),
    "all dropped": ((1, 2, 2, 5, 9, 8, 8), dict(rate=1.0)),
    "negative scale": ((1, 2, 2, 21, 40, 8, 8), dict(scale=-0.7, wanted=("p",))),
    "no samples": ((0, 2, 2, 3, 4, 5, 6), {"wanted": ALL}),
    "no queries": ((2, 2, 1, 0, 4, 5, 6), {}),
    "no keys": ((2, 2, 1, 3, 0, 5, 6), {}),
    "no elements": ((2, 2, 1, 3, 4, 0, 6), {"wanted": ("p",)}),
    "no values": ((2, 2, 1, 3, 4, 5, 0), {}),
    "no heads": ((2, 0, 1, 3, 4, 5, 6), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_result(backend, dtype, rng, name):
    shape, options = CASES[name]
    agree(backend, Case(rng, dtype, shape, **options))


@pytest.mark.parametrize("name", ["groups", "blocks", "all there is", "all in blocks"])
def test_weights_kept_or_made_again(backend, rng, name):
    shape, options = CASES[name]
    case = Case(rng, np.dtype(np.float32), shape, **{**options, "wanted": ("p",)})
    kept, again = case.results(backend), case.results(backend, kept=False)
    for gradient in ("dq", "dk", "dv"):
        close(again[gradient], kept[gradient], 3e-6, gradient)


@pytest.mark.parametrize("heads", [packed, backwards])
def test_views_of_larger_arrays(backend, rng, heads):
    """Heads by strides, also negative ones; masks with strides of 0."""
    options = dict(heads=heads, bias=of_keys, keep=padding)
    agree(backend, Case(rng, np.dtype(np.float32), (2, 3, 3, 17, 40, 15, 21), **options))


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "again"])
def test_scores_beyond_what_exp_can_take(backend, dtype, rng, kept):
    """One score of a row is larger than the rest by 1e30, in either direction."""
    case = Case(rng, dtype, (1, 2, 2, 20, 70, 4, 4), wanted=("p",), scale=1.0)
    case.given["q"][...] = 1
    case.given["k"][...] = 0
    case.given["k"][0, 0, 3] = 1e30
    case.given["k"][0, 1, :, 0] = -1e30
    case.given["k"][0, 1, 5, 0] = 2
    want = case.results(Backend("ref"), np.float64)
    got = case.results(backend, kept=kept)
    for name in ("y", "p", "dv"):
        close(got[name], want[name], 1e-6, name)
    assert all(np.isfinite(a).all() for a in got.values())


def test_a_query_that_sees_nothing(backend, dtype, rng):
    """By a mask, by a bias of -inf, and by both: zeros, also where what is hidden is NaN."""
    shape = (2, 2, 1, 6, 40, 8, 8)

    def hidden(rng, shape):
        bias = rng.standard_normal(shape)
        bias[:, :, 2] = -np.inf
        return bias

    def mask(rng, shape):
        keep = np.ones(shape, bool)
        keep[:, :, 4], keep[..., 7] = False, False
        return keep

    case = Case(rng, dtype, shape, wanted=("p", "dscores"), bias=hidden, keep=mask)
    agree(backend, case)
    got = case.results(backend)
    for query in (2, 4):
        for name in ("y", "p", "dq", "dscores"):
            assert not got[name][:, :, query].any(), name
        assert (got["lse"][:, :, query] == -np.inf).all()
    assert not got["dk"][:, :, 7].any() and not got["dv"][:, :, 7].any()
    without = got["y"].copy()
    case.given["k"][:, :, 7] = np.nan
    assert same(case.results(backend)["y"], without)


def test_not_a_number_stays(backend, rng):
    case = Case(rng, np.dtype(np.float32), (1, 1, 1, 20, 70, 8, 8))
    case.given["q"][0, 0, 3, 0] = np.nan
    y = case.results(backend)["y"]
    assert np.isnan(y[0, 0, 3]).all() and np.isfinite(np.delete(y, 3, axis=2)).all()


@pytest.mark.parametrize("name", ["few pairs", "all in blocks", "causal, more queries"])
def test_the_same_bits_on_any_number_of_threads(backend, rng, name):
    shape, options = CASES[name]
    case = Case(rng, np.dtype(np.float32), shape, **options)
    before, found = threads.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            threads.set_num_threads(count)
            found.append(case.results(backend))
    finally:
        threads.set_num_threads(before)
    assert all(same(found[0][name], other[name]) for other in found[1:] for name in other)


def test_memory_grows_with_the_length_alone():
    """At 4096 the scores of two heads would be 128 MB; twice, with their gradient, 256."""
    program = """
import resource, numpy as np
from hotloop.kernels.cpu import attention as a
def step(t):
    q, k, v, dy, y, dq, dk, dv = (np.ones((1, 2, t, 8), np.float32) for _ in range(8))
    n, m, s, lse = np.empty(0, np.float32), np.empty(0, bool), np.empty(0, np.uint64), np.empty((1, 2, t), np.float32)
    a.attention_forward(y, lse, n, q, k, v, n, m, s, 1.0, False, 0.0)
    a.attention_backward(dq, dk, dv, n, dy, n, q, k, v, n, m, y, lse, n, s, 1.0, False, 0.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = step(64)
print(step(4096) - before)
"""
    assert int(python("-c", program)) < 40_000


def refused(case, message):
    with pytest.raises(ValueError, match=message):
        case.results(Backend("cpu"))


def test_errors(rng):
    f = np.dtype(np.float32)
    refused(Case(rng, f, (1, 3, 2, 4, 5, 6, 7)), "multiple of those of k")
    refused(Case(rng, f, (1, 2, 0, 4, 5, 6, 7)), "multiple of those of k")
    refused(Case(rng, f, (1, 2, 2, 4, 5, 6, 7), rate=1.5), "rate: expected 0")
    case = Case(rng, f, (1, 2, 2, 4, 5, 6, 7), rate=0.5)
    case.state = absent(np.uint64)
    refused(case, "needs a state")
    case = Case(rng, f, (1, 2, 2, 4, 5, 6, 7))
    case.given["q"] = np.zeros((1, 2, 6, 4), f).swapaxes(2, 3)
    refused(case, "rows of q, k, v, y")
    refused(Case(rng, f, (1, 2, 2, 4, 5, 6, 7), wanted=("dp",)), "the gradient of p needs p")
    case.given["q"] = np.zeros((1, 2, 4, 5), f)
    refused(case, "k: expected shape")


@pytest.mark.parametrize("name", ["all there is", "groups"])
def test_ref_gradients_are_slopes(rng, name):
    _, options = CASES[name]
    case = Case(rng, np.dtype(np.float64), (1, 4, 2, 3, 5, 2, 3), **{**options, "wanted": ALL})
    backend = Backend("ref")
    got = case.results(backend)

    def weighted():
        results = case.results(backend)
        return float((results["y"] * case.given["dy"]).sum() + (results["p"] * case.dp).sum())

    for name, array in (("dq", "q"), ("dk", "k"), ("dv", "v")):
        close(got[name], finite_difference(weighted, case.given[array]), 1e-8, name)
    if case.bias.size:
        close(got["dscores"], finite_difference(weighted, case.bias), 1e-8, "dscores")


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"bias": dense}], ids=["plain", "causal", "bias"])
def test_as_pytorch(backend, rng, options):
    torch = pytest.importorskip("torch")
    case = Case(rng, np.dtype(np.float64), (2, 4, 2, 9, 9, 8, 8), **options)
    q, k, v, dy = (torch.tensor(a, requires_grad=True) for a in case.given.values())
    mask = torch.tensor(case.bias) if case.bias.size else None
    scale, causal, _ = case.numbers
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale, enable_gqa=True)
    y.backward(dy.detach())
    got = case.results(backend)
    for name, want in (("y", y.detach()), ("dq", q.grad), ("dk", k.grad), ("dv", v.grad)):
        close(got[name], want.numpy(), 1e-12, name)
