"""The LSTM with each option and all of them."""

from .rnn_options import option_cases


def cases(rng, dtype):
    yield from option_cases(rng, dtype, "lstm")
