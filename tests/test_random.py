"""Random fills: the published Philox vectors, the same numbers on every backend and for any number of threads."""

import threading

import numba
import numpy as np
import pytest
from helpers import agree, poison, python

STATE = np.array([0x0123456789ABCDEF, 2**32 - 3], np.uint64)  # the counter carries into its second word
SHAPES = [(0,), (1,), (3,), (4,), (61,), (5, 7), (2049,), (16384 + 17,)]

# Random123's kat_vectors, philox4x32 10: counter, key, words
KNOWN = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("counter, key, words", KNOWN, ids=["zeros", "ones", "pi"])
def test_known_answers(counter, key, words):
    from hotloop.kernels.cpu import random as cpu
    from hotloop.kernels.ref import random as ref

    assert tuple(int(w) for w in ref.philox(counter, key)) == words

    @numba.njit
    def draw(c0, c1, c2, c3, k0, k1):
        return cpu.philox(c0, c1, c2, c3, k0, k1)

    assert draw(*(np.uint64(c) for c in counter + key)) == words


def test_words_do_not_repeat(rng):
    """Counters, lanes and seeds all give words of their own."""
    from hotloop.kernels.ref.random import words

    a = np.concatenate([words(np.array([seed, 0], np.uint64), 4000, lane) for seed in (0, 1, 2**32) for lane in (0, 1)])
    assert np.unique(a).size > a.size - 10


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_uniform(backend, dtype, shape):
    agree(backend, "random.uniform_forward", poison(shape, dtype), STATE, -1.0, 3.0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_normal(backend, dtype, shape):
    agree(backend, "random.normal_forward", poison(shape, dtype), STATE, 1.0, 2.0)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bernoulli(backend, dtype, shape, p):
    (y, *_) = agree(backend, "random.bernoulli_forward", poison(shape, dtype), STATE, p)
    if p in (0.0, 1.0):
        assert (y == p).all()


@pytest.mark.parametrize("low, high", [(-3, 5), (0, 1), (-(2**63), 2**63 - 1)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_randint(backend, shape, low, high):
    (y, *_) = agree(backend, "random.randint_forward", poison(shape, np.int64), STATE, low, high)
    assert y.size == 0 or (low <= y.min() and y.max() < high)


@pytest.mark.parametrize("n", [0, 1, 2, 61, 2048, 4099])
def test_permutation(backend, n):
    (y, _) = agree(backend, "random.permutation_forward", poison(n, np.int64), STATE)
    assert np.array_equal(np.sort(y), np.arange(n))


def test_state(backend):
    state, generator = poison(2, np.uint64), np.array([7, 2**64 - 2], np.uint64)
    backend("random.state_forward", state, generator, 5)
    assert state.tolist() == [7, 2**64 - 2] and generator.tolist() == [7, 3]


def test_same_bits_as_the_reference(backend, dtype):
    """Not close but equal, and a fill continues where the one before it ended."""
    from hotloop.kernels.ref import random as ref

    y, want = np.empty(4096 + 60, dtype), np.empty(4096 + 60, dtype)
    ref.uniform_forward(want, STATE, 0.1, 0.7)
    backend("random.uniform_forward", y, STATE, 0.1, 0.7)
    assert np.array_equal(y, want)
    later = STATE + np.array([0, 1024], np.uint64)
    tail = y[4096:].copy()
    backend("random.uniform_forward", tail, later, 0.1, 0.7)
    assert np.array_equal(tail, want[4096:])


def test_float32_is_float64_cut_short(backend):
    single, double = np.empty(1000, np.float32), np.empty(1000)
    backend("random.uniform_forward", single, STATE, 0.0, 1.0)
    backend("random.uniform_forward", double, STATE, 0.0, 1.0)
    assert np.array_equal(single, np.floor(double * 2**24) / 2**24)


def test_moments(dtype):
    """Means and spreads within five standard errors, a normal's tails and independence of neighbours."""
    from hotloop.kernels.cpu import random as cpu

    n = 200_000
    y = np.empty(n, dtype)
    cpu.uniform_forward(y, STATE, 0.0, 1.0)
    assert 0 <= y.min() and y.max() < 1
    assert abs(y.mean(dtype=np.float64) - 0.5) < 5 * np.sqrt(1 / 12 / n)
    counts = np.bincount((y * 64).astype(int), minlength=64)
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 63 + 5 * np.sqrt(126)
    cpu.normal_forward(y, STATE, 0.0, 1.0)
    z = y.astype(np.float64)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 5 * np.sqrt(variance / n)
    for lag in (1, 2, 3, 4, 64):
        assert abs((z[lag:] * z[:-lag]).mean()) < 5 / np.sqrt(n)
    assert abs((np.abs(z) > 3).mean() - 0.0026998) < 5 * np.sqrt(0.0027 / n)


def test_permutations_are_even():
    """Every order of four comes about equally often."""
    from hotloop.kernels.cpu import random as cpu

    y, seen = np.empty(4, np.int64), {}
    for i in range(6000):
        cpu.permutation_forward(y, np.array([3, i], np.uint64))
        seen[tuple(y)] = seen.get(tuple(y), 0) + 1
    counts = np.array(list(seen.values()))
    assert counts.size == 24 and ((counts - 250) ** 2 / 250).sum() < 23 + 5 * np.sqrt(46)


def test_uniform_never_reaches_high(backend):
    """Where float32 has two neighbours only, the upper one is not given."""
    low, high = 1.0, float(np.nextafter(np.float32(1), np.float32(2)))
    y = poison(1000, np.float32)
    backend("random.uniform_forward", y, STATE, low, high)
    assert (y == 1).all()


@pytest.mark.parametrize("p", [-0.1, 1.5, np.nan], ids=str)
def test_bad_probability(backend, p):
    with pytest.raises(ValueError, match="probability"):
        backend("random.bernoulli_forward", np.empty(3), STATE, p)


def test_empty_range(backend):
    with pytest.raises(ValueError, match="empty"):
        backend("random.randint_forward", np.empty(3, np.int64), STATE, 4, 4)


# ---- generators and random tensors


@pytest.fixture
def rng_module():
    from hotloop.nn import rng

    rng.manual_seed(11)
    return rng


def test_manual_seed(rng_module):
    from hotloop.nn import random

    a, b = random.randn(5, 3).data, random.randn(5, 3).data
    assert not np.array_equal(a, b)
    rng_module.manual_seed(11)
    assert np.array_equal(random.randn((5, 3)).data, a)
    assert rng_module.initial_seed() == 11
    rng_module.manual_seed(-1)
    assert rng_module.initial_seed() == 2**64 - 1
    assert rng_module.seed() == rng_module.initial_seed()
    with pytest.raises(ValueError, match="seed"):
        rng_module.manual_seed(2**64)
    with pytest.raises(TypeError, match=r"expected an integer, got float 1.5"):
        rng_module.manual_seed(1.5)


def test_rng_state(rng_module):
    from hotloop.nn import random

    state = rng_module.get_rng_state()
    assert state.tolist() == [11, 0]
    a = random.rand(10).data
    assert rng_module.get_rng_state().tolist() == [11, 3]
    assert state.tolist() == [11, 0], "a copy"
    rng_module.set_rng_state(state)
    assert np.array_equal(random.rand(10).data, a)
    for bad in (np.zeros(3, np.uint64), np.zeros(2), [0.5, 1]):
        with pytest.raises(TypeError, match="set_rng_state"):
            rng_module.set_rng_state(bad)


def test_each_thread_has_its_own_stream(rng_module):
    """Under the seed of the process; manual_seed in a thread leaves the others alone."""
    from hotloop.nn import random

    def draw(seed=None):
        found = []

        def work():
            if seed is not None:
                rng_module.manual_seed(seed)
            found.append(random.rand(8).data)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return found[0]

    mine, first, second = random.rand(8).data, draw(), draw()
    assert len({a.tobytes() for a in (mine, first, second)}) == 3
    assert np.array_equal(draw(seed=11), mine)
    before = rng_module.get_rng_state()
    draw(seed=3)
    assert np.array_equal(rng_module.get_rng_state(), before)
    rng_module.manual_seed(11)
    assert np.array_equal(draw(), first), "streams are numbered anew after manual_seed"


def test_creation(rng_module, dtype):
    from hotloop.nn import random

    x = random.randn(3, 4, dtype=dtype, requires_grad=True)
    assert x.shape == (3, 4) and x.dtype == dtype and x.requires_grad
    assert random.rand_like(x).shape == (3, 4) and random.randn_like(x).dtype == dtype
    u = random.rand(10_000, dtype=dtype).data
    assert 0 <= u.min() and u.max() < 1
    k = random.randint(3, 9, (1000,)).data
    assert k.dtype == np.int64 and np.array_equal(np.unique(k), np.arange(3, 9))
    assert random.randint(4, (2, 5)).shape == (2, 5) and random.randint(4, size=(3,), dtype=np.int32).dtype == np.int32
    assert np.array_equal(np.sort(random.randperm(100).data), np.arange(100))
    assert random.rand().shape == () and random.randn(0, 3).shape == (0, 3) and random.randperm(0).shape == (0,)
    with pytest.raises(ValueError, match="low < high"):
        random.randint(4, 4, (2,))
    with pytest.raises(ValueError, match="sizes"):
        random.rand(-1)


def test_entropy_without_a_seed():
    """Two processes that never call manual_seed draw different numbers."""
    code = "from hotloop.nn.random import rand; print(rand(3).data)"
    assert python("-c", code) != python("-c", code)


def test_any_number_of_threads():
    from hotloop.kernels import threads
    from hotloop.kernels.cpu import random as cpu

    before, results = threads.get_num_threads(), []
    try:
        for n in (1, 2):
            threads.set_num_threads(n)
            y = np.empty(200_003, np.float32)
            cpu.normal_forward(y, STATE, 0.0, 1.0)
            results.append(y)
    finally:
        threads.set_num_threads(before)
    assert np.array_equal(*results)
