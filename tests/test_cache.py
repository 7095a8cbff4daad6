"""What one process compiled, the next one loads; what changes code is part of the key; no folder is no error."""

import json

import pytest
from helpers import python

# gemm, linear, an activation, a loss, both optimizers: through layers, as people use them
PROGRAM = """
import json, sys
import numpy as np
import hotloop
from hotloop import nn, optim
from hotloop.kernels import jit

hotloop.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
loss_function = nn.CrossEntropyLoss()
x, labels = np.ones((5, 4), np.float32), np.array([0, 1, 2, 0, 1])
for optimizer in (optim.SGD(model.parameters(), lr=0.1), optim.Adam(model.parameters())):
    optimizer.zero_grad()
    loss = loss_function(model(hotloop.tensor(x)), labels)
    loss.backward()
    optimizer.step()
json.dump([[name, how] for name, _, how in jit.compile_log], sys.stdout)
"""


def log(env, program=PROGRAM):
    return json.loads(python("-c", program, env=env))


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder that one run has filled, and that run's log."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, log({"HOTLOOP_CACHE": folder})


def test_a_second_process_compiles_nothing(warm):
    folder, first = warm
    assert len(first) >= 5
    assert {how for _, how in first} == {"compiled"}
    second = log({"HOTLOOP_CACHE": folder})
    assert second == [[name, "loaded"] for name, _ in first]


def test_bounds_checking_has_entries_of_its_own(warm):
    folder, first = warm
    checked = log({"HOTLOOP_CACHE": folder, "NUMBA_BOUNDSCHECK": "1"})
    assert checked == first


# one kernel, and how it came about
SMALL = """
import json, sys
import numpy as np
from hotloop.kernels import cache, jit
from hotloop.kernels.cpu.activation import relu_forward
y = np.empty((2, 2))
relu_forward(y, np.ones((2, 2)))
assert y.sum() == 4
json.dump([[str(cache.folder()), how] for _, _, how in jit.compile_log], sys.stdout)
"""


def test_a_users_numba_cache_folder_is_used_and_kept_apart_by_flags(tmp_path):
    env = {"NUMBA_CACHE_DIR": tmp_path}
    [[folder, how]] = log(env, SMALL)
    assert folder.startswith(str(tmp_path)) and how == "compiled"
    assert log(env, SMALL) == [[folder, "loaded"]]
    [[other, how]] = log({**env, "NUMBA_BOUNDSCHECK": "1"}, SMALL)
    assert other != folder and how == "compiled"


def test_where_nothing_can_be_written_there_is_no_cache_and_no_error(tmp_path):
    file = tmp_path / "file"
    file.touch()
    # nobody, not even root, makes a folder below a file
    env = {"HOTLOOP_CACHE": file / "a", "XDG_CACHE_HOME": file / "b", "HOME": file / "c"}
    [[folder, how]] = log(env, SMALL)
    assert not folder.startswith(str(tmp_path)) and how in ("compiled", "loaded")
    assert log({"HOTLOOP_CACHE": "0"}, SMALL) == [["None", "compiled"]]
