"""Random numbers: the same counters as on the CPU."""

import numpy as np
from helpers import poison

from . import case

STATE = np.array([0x0123456789ABCDEF, 2**32 - 3], np.uint64)
# Box and Muller's transform is made in float64 for either dtype
DOUBLE = {"_normal_single"}


def cases(rng, dtype):
    for n in (71, 0, 1, 6):
        # float32 has bits of its own, which the reference in float64 has not: tests/test_cuda.py compares them
        yield case("random.uniform_forward", poison(n, dtype), STATE, 0.1, 0.7)
        yield case("random.normal_forward", poison(n, dtype), STATE, 1.0, 2.0)
        yield case("random.bernoulli_forward", poison(n, dtype), STATE, 0.3)
        yield case("random.randint_forward", poison(n, np.int64), STATE, -(2**63), 2**63 - 1)
        yield case("random.permutation_forward", poison(n, np.int64), STATE)
    yield case("random.state_forward", poison(2, np.uint64), STATE.copy(), 5)
