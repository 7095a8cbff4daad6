"""What one process compiled, the next one loads; what changes code is part of the key; no folder is no error."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import ROOT, python
from hotloop.kernels import cache

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


def test_a_folder_that_disappears_is_no_error(tmp_path):
    program = """
import json, shutil, sys
import numpy as np
from hotloop.kernels import cache, jit
from hotloop.kernels.cpu.activation import relu_forward
for dtype in (np.float32, np.float64):
    y = np.empty(3, dtype)
    relu_forward(y, np.ones(3, dtype))
    assert y.sum() == 3
    # the second time it is a file, and cannot come back
    home = cache.folder().parent
    if home.is_dir():
        shutil.rmtree(home)
        home.touch()
json.dump([[name, how] for name, _, how in jit.compile_log], sys.stdout)
"""
    assert [how for _, how in log({"HOTLOOP_CACHE": tmp_path}, program)] == ["compiled", "compiled"]


def test_a_damaged_file_is_compiled_anew(tmp_path):
    env = {"HOTLOOP_CACHE": tmp_path}
    assert [how for _, how in log(env, SMALL)] == ["compiled"]
    for damage in (lambda content: content[:100], lambda content: content[:-1] + b"?", lambda content: b""):
        for file in tmp_path.rglob("*.nbc"):
            file.write_bytes(damage(file.read_bytes()))
        assert [how for _, how in log(env, SMALL)] == ["compiled"]
    assert [how for _, how in log(env, SMALL)] == ["loaded"]


def test_processes_that_compile_at_once_do_not_mix_up_their_entries(tmp_path):
    """Two types of one kernel, at the same time into one folder: each is found again under its own type."""
    programs = [SMALL.replace("(2, 2)", f"(2, 2), np.{dtype}") for dtype in ("float32", "float64", "float32")]
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda program: log({"HOTLOOP_CACHE": tmp_path}, program), programs))
    assert all(len(run) == 1 for run in runs)
    for program in programs:
        assert [how for _, how in log({"HOTLOOP_CACHE": tmp_path}, program)] == ["loaded"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_definition_is_a_part_of_the_key():
    """The checks compiled into a kernel come from the docstring of its twin in ref."""
    files = set(cache.imports(ROOT / "kernels" / "cpu" / "linear.py"))
    assert {ROOT / "kernels" / "ref" / "linear.py", ROOT / "kernels" / "jit.py"} <= files


def test_without_a_compiler_kernels_say_so():
    program = """
import numpy as np
from hotloop.kernels.cpu.activation import relu_forward
try:
    relu_forward(np.empty(3), np.ones(3))
except RuntimeError as error:
    print(error)
"""
    assert "NUMBA_DISABLE_JIT is set" in python("-c", program, env={"NUMBA_DISABLE_JIT": "1"})
