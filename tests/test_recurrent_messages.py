"""nn.RNN, LSTM, GRU and their cells: what they print, and what they say of arguments that are wrong."""

import numpy as np
import pytest
from hotloop import nn
from recurrent_pairs import LAYERS, D, H, N, T, pair


@pytest.mark.parametrize("name", LAYERS)
def test_repr_as_torch(name):
    for options in ({}, dict(num_layers=2, bidirectional=True, batch_first=True, dropout=0.25), dict(bias=False)):
        _, ours, theirs = pair(name, **options)
        assert ours.extra_repr().partition(", nonlinearity")[0] == theirs.extra_repr()


BATCH = np.zeros((T, N, D), np.float32)
STATE = np.zeros((1, N, H), np.float32)
WRONG = {
    "features": (ValueError, r"LSTM: expected an input with 3 features, got shape \(5, 4, 9\)", [np.zeros((5, 4, 9))]),
    "dimensions": (ValueError, r"expected an input \(T, N, 3\)", [np.zeros(3)]),
    "steps": (ValueError, "1 step or more", [BATCH[:0]]),
    "dtype": (TypeError, "LSTM: expected an input of float32, got float64", [BATCH.astype(float)]),
    "state": (TypeError, "pair", [BATCH, nn.Tensor(STATE)]),
    "states": (ValueError, r"state of shape \(1, 4, 7\), got \(1, 3, 7\)", [BATCH, (STATE[:, :3], STATE)]),
    "unbatched": (ValueError, r"state of shape \(1, 7\), got \(1, 4, 7\)", [BATCH[:, 0], (STATE, STATE)]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_inputs(case):
    error, message, given = WRONG[case]
    with pytest.raises(error, match=message):
        nn.LSTM(D, H)(*given)


@pytest.mark.parametrize("lengths", [[1, 2], [1, 2, 6, 1], [1, 2, -1, 1], [1.0, 2.0, 3.0, 1.0], 4], ids=str)
def test_wrong_lengths(lengths):
    with pytest.raises(ValueError, match="lengths"):
        nn.LSTM(D, H)(BATCH, lengths=lengths)


def test_wrong_arguments():
    for options in dict(proj_size=H), dict(proj_size=-1), dict(num_layers=0), dict(dropout=1.5), dict(dropout="no"):
        with pytest.raises(ValueError, match=next(iter(options))):
            nn.LSTM(D, H, **options)
    for options in dict(bias=1), dict(batch_first=None), dict(bidirectional="no"), dict(num_layers=1.0):
        with pytest.raises(TypeError, match=next(iter(options))):
            nn.GRU(D, H, **options)
    with pytest.raises(ValueError, match="input_size"):
        nn.LSTM(0, H)
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.RNN(D, H, nonlinearity="sigmoid")
    with pytest.raises(ValueError, match="mode"):
        nn.RNNBase("lstm", D, H)
    with pytest.warns(UserWarning, match="only one"):
        nn.LSTM(D, H, dropout=0.5)
    with pytest.raises(ValueError, match="LSTM: expected dropout as a probability from 0 to 1, got None"):
        nn.LSTM(D, H, dropout=None)


def test_wrong_cells():
    with pytest.raises(ValueError, match=r"GRUCell: expected a state of shape \(4, 7\)"):
        nn.GRUCell(D, H)(np.zeros((4, D), np.float32), np.zeros((3, H), np.float32))
    with pytest.raises(ValueError, match="hidden_size > 0, got 0"):
        nn.LSTMCell(D, 0)
    with pytest.raises(TypeError, match="LSTMCell: expected hidden_size as an integer, got '7'"):
        nn.LSTMCell(D, "7")
    # as the fourth argument it would be the nonlinearity
    with pytest.raises(TypeError, match="RNNCell: expected bias as True or False, got 'relu'"):
        nn.RNNCell(D, H, "relu")


def test_numbers_of_numpy():
    layer = nn.LSTM(np.int64(D), H, bias=np.True_, layer_norm=np.False_, dropout=np.float32(0), zoneout=np.float32(0.5))
    assert repr(layer) == f"LSTM({D}, {H}, zoneout=0.5)"
