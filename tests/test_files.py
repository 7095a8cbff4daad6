"""State files: what goes in comes out, PyTorch's files load, and a bad file or a crash is never silent."""

import os
import stat
import sys

import numpy as np
import pytest
from hotloop import nn
from hotloop.nn import files

pytest.importorskip("safetensors")


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def test_round_trip(tmp_path, rng):
    model, path = net(), tmp_path / "model.safetensors"
    model[0].weight.numpy()[0, :] = [np.nan, np.inf, -np.inf]
    nn.save(model, path)
    state = nn.load(path)
    assert list(state) == list(model.state_dict())
    twin = net()
    twin.load_state_dict(state)
    for name, t in model.state_dict().items():
        assert twin.state_dict()[name].numpy().tobytes() == t.numpy().tobytes(), name
    nn.save(twin.state_dict(), str(path))
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_every_dtype_and_shape(tmp_path, rng):
    path = tmp_path / "x"
    arrays = {np.dtype(d).name: rng.integers(0, 2, (2, 3)).astype(d) for d in files._DTYPES.values()}
    arrays |= {"scalar": np.array(3.5), "empty": np.zeros((0, 4), np.float32), "turned": np.arange(6.0).reshape(2, 3).T}
    arrays |= {"big": np.arange(3, dtype=">f8"), "strided": np.arange(10)[::3]}
    nn.save(arrays, path)
    loaded = nn.load(path)
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        got = loaded[name].numpy()
        assert got.shape == array.shape, name
        assert got.dtype == array.dtype.newbyteorder("="), name
        assert np.array_equal(got, array), name
        assert got.flags.writeable


def test_files_of_pytorch_load_by_name(tmp_path, rng):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    path = str(tmp_path / "torch.safetensors")
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    save_file(theirs.state_dict(), path)
    ours = net()
    ours.load_state_dict(nn.load(path))
    x = rng.standard_normal((5, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    save_file({k: v.bfloat16() for k, v in theirs.state_dict().items()}, path)
    ours.load_state_dict(nn.load(path))
    assert np.array_equal(ours[0].weight.numpy(), theirs[0].weight.detach().bfloat16().float().numpy())
    # and back
    nn.save(ours, path)
    theirs.load_state_dict(load_file(path))
    assert np.array_equal(ours[1].bias.numpy(), theirs[1].bias.detach().numpy())
    save_file({"a": torch.zeros(2).to(torch.float8_e4m3fn)}, path)
    with pytest.raises(ValueError, match=r"torch.safetensors.*'a'.*F8_E4M3"):
        nn.load(path)


def damaged(path, change):
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: b"", "the file is empty"),
        (lambda d: d[:5], "not a safetensors file"),
        (lambda d: d[:30], "truncated"),
        (lambda d: d[:-4], "truncated"),
        (lambda d: d + b"xx", "corrupt"),
        (lambda d: d[:12] + b"\xff" + d[13:], "corrupt"),
        (lambda d: d[:-1] + bytes([d[-1] ^ 1]), "corrupt: the bytes of '1.weight'"),
        (lambda d: b"PK\x03\x04" + bytes(100), "a zip archive"),
        (lambda d: b"epoch,loss\n1,0.5\n2,0.25\n", "not a safetensors file"),
        (lambda d: bytes(200), "not a safetensors file"),
    ],
    ids=["empty", "short", "header", "tail", "longer", "header byte", "data byte", "zip", "text", "zeros"],
)
def test_bad_files_are_named(tmp_path, change, message):
    path = tmp_path / "model.safetensors"
    nn.save(net(), path)
    damaged(path, change)
    with pytest.raises(ValueError, match=rf"model\.safetensors: {message}"):
        nn.load(path)


def test_any_single_bit_is_noticed(tmp_path):
    path = tmp_path / "m"
    nn.save({"a": np.arange(4, dtype=np.float32)}, path)
    whole = path.read_bytes()
    want = nn.load(path)["a"].numpy()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            got = nn.load(path)
        except ValueError as error:
            assert "/m: " in str(error)
        else:
            # a changed name, or a changed name of the sum itself: the numbers are still the right ones
            assert [t.numpy().tolist() for t in got.values()] == [want.tolist()]


def test_a_crash_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    nn.save({"a": np.zeros(3)}, path)
    before = path.read_bytes()

    def crash(*args):
        raise KeyboardInterrupt

    for broken in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, broken, crash)
            with pytest.raises(KeyboardInterrupt):
                nn.save({"a": np.ones(3)}, path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["model.safetensors"]


def test_the_data_is_on_the_disk_before_the_rename(tmp_path, monkeypatch):
    log = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *a, name=name, real=real: (log.append(name), real(*a))[1])
    nn.save({"a": np.ones(3)}, tmp_path / "m")
    assert log[:2] == ["fsync", "replace"]


@pytest.mark.skipif(os.name != "posix", reason="modes and links as POSIX has them")
def test_mode_and_links_are_kept(tmp_path):
    path, link = tmp_path / "m", tmp_path / "link"
    nn.save({"a": np.zeros(3)}, path)
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o640)
    link.symlink_to(path)
    nn.save({"a": np.ones(3)}, link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert nn.load(path)["a"].numpy().tolist() == [1, 1, 1]


def test_what_a_file_cannot_hold(tmp_path):
    for state, error in (([1], TypeError), ({3: np.ones(1)}, TypeError), ({"a": np.ones(1, complex)}, ValueError),
                         ({"a": "text"}, ValueError), ({"a": object()}, ValueError)):  # fmt: skip
        with pytest.raises(error):
            nn.save(state, tmp_path / "m")
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        nn.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        nn.save({"a": np.ones(1)}, tmp_path / "no" / "folder")
    with pytest.raises(ValueError, match="uninitialized"):
        nn.save(nn.LazyLinear(3), tmp_path / "m")


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: nn.save(net(), tmp_path / "m"), lambda: nn.load(tmp_path / "m")):
        with pytest.raises(ImportError, match=r"pip install hotloop\[files\]"):
            call()
