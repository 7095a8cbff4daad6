"""The GRU with each option and all of them, its reset after the product and before."""

from .rnn_options import option_cases


def cases(rng, dtype):
    yield from option_cases(rng, dtype, "gru", (True, False))
