"""What one process compiled, the next one loads; what changes code is part of the key; no folder is no error."""

import json
import stat

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


def test_a_users_numba_cache_folder_is_kept_apart_by_flags_too(tmp_path):
    program = (
        "import json, sys, numpy as np\n"
        "from hotloop.kernels import jit\n"
        "from hotloop.kernels.cpu.softmax import softmax_forward\n"
        "softmax_forward(np.empty((2, 2)), np.zeros((2, 2)))\n"
        "json.dump([[name, how] for name, _, how in jit.compile_log], sys.stdout)\n"
    )
    env = {"NUMBA_CACHE_DIR": tmp_path}
    assert [how for _, how in log(env, program)] == ["compiled"]
    assert [how for _, how in log(env, program)] == ["loaded"]
    assert [how for _, how in log({**env, "NUMBA_BOUNDSCHECK": "1"}, program)] == ["compiled"]


def test_no_writable_folder_is_no_error(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    env = {"HOTLOOP_CACHE": closed, "XDG_CACHE_HOME": closed, "TMPDIR": closed, "HOME": closed}
    program = (
        "import numpy as np\n"
        "from hotloop.kernels.cpu.softmax import softmax_forward\n"
        "y = np.empty((2, 2)); softmax_forward(y, np.zeros((2, 2))); print(y.sum())\n"
    )
    assert float(python("-c", program, env=env)) == 2.0
