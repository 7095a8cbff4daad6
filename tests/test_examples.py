"""The examples learn what they promise, on real data; those that take minutes, a part of it."""

import re

import pytest
from helpers import ROOT, data_folder, python

pytest.importorskip("matplotlib", reason="matplotlib, for the curves, is not installed")


def learnt(out, which):
    return float(re.search(rf"{which} accuracy: ([\d.]+) %", out)[1])


@pytest.mark.parametrize(("name", "seeds", "least"), [("digits_mlp", 5, 97.5), ("digits_cnn", 1, 98)])
def test_digits(tmp_path, name, seeds, least):
    pytest.importorskip("sklearn", reason="scikit-learn, with the digits, is not installed")
    out = python(ROOT / f"examples/{name}.py", "--seeds", seeds, cwd=tmp_path)
    assert learnt(out, "held-out") >= least
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_mnist_mlp(tmp_path):
    out = python(ROOT / "examples/mnist_mlp.py", "--data", data_folder("mnist"), cwd=tmp_path)
    assert learnt(out, "test") >= 98
    assert (tmp_path / "mnist_mlp.png").stat().st_size > 10_000


def test_mnist_cnn(tmp_path):
    part = "--epochs", 1, "--images", 20_000, "--batch-size", 64
    out = python(ROOT / "examples/mnist_cnn.py", "--data", data_folder("mnist"), *part, cwd=tmp_path)
    assert learnt(out, "test") >= 97
    for picture in ("curves", "digits"):
        assert (tmp_path / f"mnist_cnn_{picture}.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "error: the following arguments are required: --data"),
        (("--data", "."), r"no train-images-idx3-ubyte\.gz in \."),
        (("--data", ".", "--pictures", "nowhere"), "--pictures: no folder nowhere"),
        (("--data", "short"), "short/train-images-idx3-ubyte: not an idx file of bytes, or cut short"),
        (("--data", ".", "--epochs", "0"), "error: argument --epochs: expected a whole number of at least 1, got '0'"),
    ],
)
def test_mnist_says_what_it_needs_in_a_line(tmp_path, arguments, says):
    (tmp_path / "short").mkdir()
    (tmp_path / "short/train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(AssertionError, match=rf"^exit [12]\n\n(.*: )?{says}[^\n]*\n$") as error:
        python(ROOT / "examples/mnist_cnn.py", *arguments, cwd=tmp_path)
    assert "Traceback" not in str(error.value)
