"""The examples learn what they promise, on real data."""

import re

import pytest
from helpers import ROOT, data_folder, python


def test_digits(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn, with the digits, is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib, for the curves, is not installed")
    out = python(ROOT / "examples/digits_mlp.py", cwd=tmp_path)
    assert float(re.search(r"held-out accuracy: ([\d.]+) %", out)[1]) >= 97.5
    assert (tmp_path / "digits_mlp.png").stat().st_size > 10_000


def test_mnist(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib, for the curves, is not installed")
    out = python(ROOT / "examples/mnist_mlp.py", "--data", data_folder("mnist"), cwd=tmp_path)
    assert float(re.search(r"test accuracy: ([\d.]+) %", out)[1]) >= 98
    assert (tmp_path / "mnist_mlp.png").stat().st_size > 10_000


def test_mnist_says_what_it_needs(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib, for the curves, is not installed")
    with pytest.raises(AssertionError, match=r"no train-images-idx3-ubyte\.gz in"):
        python(ROOT / "examples/mnist_mlp.py", "--data", tmp_path)
