"""The examples learn what they promise, on real data; those that take minutes, a part of it."""

import re

import hotloop
import numpy as np
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


def test_optimizers(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn, with the digits, is not installed")
    part = "--gradients", 400, "--epochs", 3, "--seeds", 1
    out = python(ROOT / "examples/optimizers.py", *part, cwd=tmp_path)
    # from 24.2 and 180
    on_surfaces = dict(re.findall(r"^(\w.*?)  +([\d.e+-]+ +[\d.e+-]+)  \(", out, re.MULTILINE))
    assert len(on_surfaces) == 8
    for name, heights in on_surfaces.items():
        rosenbrock, himmelblau = map(float, heights.split())
        assert rosenbrock < 3, name
        assert himmelblau < 0.5, name
    on_digits = dict(re.findall(r"^(\w.*?)  .* ([\d.]+) % ", out, re.MULTILINE))
    assert on_digits.keys() == {*on_surfaces, "Muon"}
    for name, accuracy in on_digits.items():
        # three epochs are but three gradients of all images at once
        assert float(accuracy) >= (20 if name == "LBFGS" else 90), name
    assert (tmp_path / "optimizers.png").stat().st_size > 10_000


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


def test_temperature(tmp_path):
    part = "--seeds", 1, "--epochs", 5
    series = data_folder("series") / "daily-min-temperatures.csv"
    out = python(ROOT / "examples/temperature.py", "--csv", series, *part, cwd=tmp_path)
    persistence, gru = (float(re.search(rf"{name} +RMSE ([\d.]+)", out)[1]) for name in ("persistence", "GRU, seed 0"))
    assert persistence == pytest.approx(2.481, abs=1e-3)
    assert gru < 0.9 * persistence
    assert (tmp_path / "temperature.png").stat().st_size > 10_000


def test_char_lm(tmp_path):
    part = "--hidden", 64, "--streams", 16, "--epochs", 1, "--save", "kept.safetensors", "--length", 100
    text = (data_folder("text") / "tinyshakespeare.txt").read_text(encoding="utf-8")
    (tmp_path / "part.txt").write_text(text[:400_000], encoding="utf-8")
    out = python(ROOT / "examples/char_lm.py", "--text", "part.txt", *part, cwd=tmp_path)
    by_frequency = float(re.search(r"by their frequency alone: ([\d.]+) bits", out)[1])
    learnt = float(re.search(r"held-out loss: [\d.]+ nats, ([\d.]+) bits", out)[1])
    assert by_frequency == pytest.approx(4.78, abs=0.01)
    assert learnt < 0.75 * by_frequency
    # what was kept is what wrote
    again = python(ROOT / "examples/char_lm.py", "--load", "kept.safetensors", "--length", 100, cwd=tmp_path)
    assert len(again) == 1 + 100 + 1
    assert out.endswith(again)


def test_char_transformer(tmp_path):
    sizes = "--width", 64, "--layers", 2, "--context", 64, "--hidden", 64, "--seconds", 6, "--length", 100
    text = (data_folder("text") / "tinyshakespeare.txt").read_text(encoding="utf-8")
    (tmp_path / "part.txt").write_text(text[:400_000], encoding="utf-8")
    options = "--text", "part.txt", *sizes, "--save", "kept.safetensors"
    out = python(ROOT / "examples/char_transformer.py", *options, cwd=tmp_path)
    found = dict(re.findall(r"^(\w+) +held-out loss: [\d.]+ nats, ([\d.]+) bits", out, re.MULTILINE))
    assert found.keys() == {"transformer", "LSTM"}
    # from 4.78 by their frequency alone
    assert all(float(bits) < 4 for bits in found.values()), found
    # what was kept is what wrote
    again = python(ROOT / "examples/char_transformer.py", "--load", "kept.safetensors", "--length", 100, cwd=tmp_path)
    assert len(again) == 1 + 100 + 1
    assert out.endswith(again)


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


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("temperature", (), "error: the following arguments are required: --csv"),
        ("temperature", ("--csv", "nowhere"), "--csv: no file nowhere"),
        ("temperature", ("--csv", "short"), "short: expected a headline, then lines of a date and a temperature"),
        ("temperature", ("--csv", "short", "--plot", "no/where.png"), "--plot: no folder no"),
        ("char_lm", (), "error: expected --text FILE, to learn from it, or --load FILE"),
        ("char_lm", ("--text", "short"), "short: expected a longer text, got 11 characters"),
        (
            "char_lm",
            ("--text", "tiny", "--streams", "1", "--steps", "1"),
            "tiny: expected a longer text, got 6 characters",
        ),
        (
            "char_lm",
            ("--text", "short", "--streams", "1", "--steps", "1", "--prompt", "Z"),
            "--prompt: expected characters of the text that was learnt, got 'Z'",
        ),
        ("char_lm", ("--text", "short", "--save", "no/where"), "--save: no folder no"),
        ("char_lm", ("--text", "short", "--dropout", "a"), "error: argument --dropout: expected a number from 0 to 1"),
        ("char_lm", ("--load", "short"), "short: not a safetensors file"),
        ("char_lm", ("--load", "foreign"), "foreign: not kept by this program"),
        ("char_transformer", (), "error: expected --text FILE, to learn from it, or --load FILE"),
        ("char_transformer", ("--text", "short"), "short: expected a longer text, got 11 characters"),
        (
            "char_transformer",
            ("--text", "short", "--heads", "3"),
            "error: expected --width as a multiple of twice --heads, got 128 and 3",
        ),
        ("char_transformer", ("--load", "foreign"), "foreign: not kept by this program"),
        (
            "char_lm",
            ("--load", "short", "--temperature", "0"),
            "error: argument --temperature: .* above 0, got '0'",
        ),
    ],
)
def test_sequences_say_what_they_need_in_a_line(tmp_path, name, arguments, says):
    (tmp_path / "short").write_text("Date\nMonday")
    (tmp_path / "tiny").write_text("Monday")
    hotloop.save({"alphabet": np.arange(3)}, tmp_path / "foreign")
    with pytest.raises(AssertionError, match=rf"^exit [12]\n\n(usage: (.*\n)+)?(.*: )?{says}[^\n]*\n$") as error:
        python(ROOT / f"examples/{name}.py", *arguments, cwd=tmp_path)
    assert "Traceback" not in str(error.value)
