"""The package as its users get it: a wheel, its documentation, and what importing it costs."""

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import hotloop
import pytest
from helpers import ROOT, python

# in the tree, and so in any wheel: a forgotten entry in [tool.setuptools] packages is only seen in a wheel
FOLDERS = {"hotloop": "api", **{f"hotloop.{name}": name for name in ("kernels", "nn", "optim", "train")}}


def modules_in_tree():
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A folder with the wheel installed, and nothing else."""
    target = tmp_path_factory.mktemp("site")
    env = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(["bash", ROOT / ".ci/wheel", target], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def test_wheel_holds_hotloop_alone(wheel):
    top = {p.name for p in wheel.iterdir() if not p.name.endswith(".dist-info")}
    assert top == {"hotloop"}
    assert (wheel / "hotloop" / "py.typed").is_file()
    info = next(wheel.glob("*.dist-info"))
    assert "MIT License" in next(info.rglob("LICENSE")).read_text()
    required = re.findall(r"^Requires-Dist: (\w+)[^;\n]*$", (info / "METADATA").read_text(), re.MULTILINE)
    assert sorted(required) == ["numba", "numpy"]


def test_every_module_imports_from_the_wheel(wheel):
    # what needs numba-cuda is not imported here, nor what runs when it is imported
    names = [name for name in modules_in_tree() if not re.search(r"\.cuda\b|__main__", name)]
    assert len(names) > 20
    program = (
        "import sys, importlib\n"
        # before the editable install, which maps the same names to the tree
        "sys.meta_path[:] = [f for f in sys.meta_path if '__editable__' not in getattr(f, '__module__', str(f))]\n"
        f"sys.path.insert(0, {str(wheel)!r})\n"
        f"for name in {names!r}:\n"
        f"    assert importlib.import_module(name).__file__.startswith({str(wheel)!r}), name\n"
        "print('all of them')\n"
    )
    assert "all of them" in python("-c", program)


def test_import_compiles_nothing_and_is_quick():
    program = """
import time, numpy, numba
began = time.process_time()
import hotloop
spent = time.process_time() - began
from hotloop.kernels import jit
import threading
print(len(jit.compile_log), threading.active_count(), spent)
"""
    # processor time, the quickest of three: what a busy machine adds is not the import's
    runs = [python("-c", program).split() for _ in range(3)]
    assert all(run[:2] == ["0", "1"] for run in runs), "import compiled something or started a thread"
    assert min(float(run[2]) for run in runs) < 0.5


def modules_with_examples():
    for name in modules_in_tree():
        file = importlib.util.find_spec(name).origin
        if ">>> " in Path(file).read_text():
            yield name


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_doctests(name):
    failed, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert failed == 0


def readme_blocks():
    text = (ROOT / "README.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_readme_blocks_run(tmp_path):
    blocks = readme_blocks()
    assert len(blocks) >= 3
    for block in blocks:
        # each stands alone, as a reader would paste it into a file
        program = tmp_path / "block.py"
        program.write_text(block)
        python(program, cwd=tmp_path)


def test_front_door_names_exist():
    missing = [name for name in hotloop.__all__ if not hasattr(hotloop, name)]
    assert not missing
    assert len(set(hotloop.__all__)) == len(hotloop.__all__)
