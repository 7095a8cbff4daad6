"""The siblings kernels/ref, kernels/cpu and kernels/cuda offer the same kernels, and imports point one way."""

import ast
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest
from helpers import ROOT, Backend
from hotloop.kernels import spec

SUFFIX = re.compile(r"_(forward|backward|update)$")


def kernels_of(backend):
    """{module.function: function} of every kernel that a sibling defines, found by walking its folder."""
    package = importlib.import_module(f"hotloop.kernels.{backend}")
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name, function in vars(module).items():
            # what a module imports from another is not its own
            own = callable(function) and function.__module__ == module.__name__
            if own and SUFFIX.search(name) and not name.startswith("_"):
                found[f"{info.name}.{name}"] = function
    return found


def require_numba_cuda():
    """Its kernels can be imported without a device, but not without the package."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")


def names_of(function):
    return list(inspect.signature(function).parameters)


def test_cpu_offers_what_ref_defines():
    ref, cpu = kernels_of("ref"), kernels_of("cpu")
    assert len(cpu) >= 20
    assert set(cpu) == set(ref)
    for path, kernel in cpu.items():
        assert names_of(kernel) == names_of(ref[path]), path


def test_cuda_offers_the_same_kernels():
    require_numba_cuda()
    ref, cuda = kernels_of("ref"), kernels_of("cuda")
    assert set(cuda) == set(ref)
    for path, kernel in cuda.items():
        names = names_of(kernel)
        if names[-1:] == ["stream"]:
            names.pop()
        assert names == names_of(ref[path]), path


def test_every_argument_is_documented_once():
    for path, definition in kernels_of("ref").items():
        documented = spec.parse(definition)  # raises for an argument without a line
        assert any(a.written for a in documented.arguments), f"{path} writes nothing: no [out], [acc] or [inout]"
        if path.endswith("_backward") and "accumulate" in documented.names:
            assert documented.names[-1] == "accumulate", path


def test_the_twins_show_the_one_docstring():
    ref = kernels_of("ref")
    for path, kernel in kernels_of("cpu").items():
        definition, built = inspect.getdoc(ref[path]), inspect.getdoc(kernel)
        assert built.startswith(definition), path
        assert len(built) > len(definition), f"{path} does not say how it is built"


def test_outputs_come_first():
    for path, definition in kernels_of("ref").items():
        if path.endswith("_update"):
            continue
        written = [a.written for a in spec.parse(definition).arguments if a.is_array]
        # once an input has come, outputs are over
        assert written == sorted(written, reverse=True), f"{path}: outputs stand before inputs"


def test_a_wrong_call_is_refused():
    kernel = Backend("cpu").kernel("activation.relu_forward")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        kernel(np.zeros((2, 2), np.float32))
    with pytest.raises(TypeError, match="expected float32 as the arguments before it, got float64"):
        kernel(np.zeros((2, 2), np.float32), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="expected"):
        kernel(np.zeros((2, 3), np.float32), np.zeros((2, 2), np.float32))


# importing package -> what it may import; a package may always import itself
ARROWS = {
    "kernels": set(),
    "nn": {"kernels"},
    "optim": {"nn", "kernels"},
    "train": {"optim", "nn", "kernels"},
    "api": {"train", "optim", "nn", "kernels"},
}


def imports_of(file):
    """Absolute dotted names of what a file imports, function bodies included."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                base = (node.module or "").split(".")
            else:
                # the folder api is the package hotloop: one level above any other folder
                home = ("hotloop",) if package[0] == "api" else ("hotloop", *package)
                base = [*home[: len(home) - node.level + 1], *(node.module or "").split(".")]
            yield from (".".join([p for p in base if p] + [alias.name]) for alias in node.names)


def sources(*folders):
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("folder", ARROWS)
def test_arrows_point_one_way(folder):
    allowed = ARROWS[folder] | {folder}
    for file in sources(folder):
        for name in imports_of(file):
            parts = name.split(".")
            if parts[0] == "hotloop":
                assert folder == "api" or parts[1] in allowed, f"{file.relative_to(ROOT)} imports {name}"


def test_siblings_do_not_import_each_other():
    for sibling in ("ref", "cpu", "cuda"):
        others = [f"hotloop.kernels.{s}" for s in ("ref", "cpu", "cuda") if s != sibling]
        for file in sources(f"kernels/{sibling}"):
            for name in imports_of(file):
                assert not name.startswith(tuple(others)), f"{file.relative_to(ROOT)} imports {name}"


def test_numba_stays_in_kernels():
    for file in sources("api", "nn", "optim", "train", "kernels/ref"):
        for name in imports_of(file):
            assert name.split(".")[0] not in ("numba", "llvmlite"), f"{file.relative_to(ROOT)} imports {name}"


def test_flags_are_set_in_one_place():
    """njit, prange and overload reach the kernels through kernels/jit.py, which sets the flags."""
    machinery = {ROOT / "kernels" / name for name in ("jit.py", "entry.py")}
    for file in sources("kernels"):
        if file in machinery or "cuda" in file.parts:
            continue
        taken = {"numba.njit", "numba.jit", "numba.prange", "numba.vectorize", "numba.guvectorize"} & set(
            imports_of(file)
        )
        assert not taken, f"{file.relative_to(ROOT)} imports {taken}"
    for file in sources("kernels"):
        assert "fastmath=True" not in file.read_text()
