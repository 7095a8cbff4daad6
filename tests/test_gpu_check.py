"""What `make gpu-check` times can be made and run: in the simulator, at sizes that it bears."""

import os
import subprocess
import sys

import pytest
from helpers import ROOT, require_cuda

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


@pytest.fixture
def small(monkeypatch):
    require_cuda()
    if not SIMULATED:
        pytest.skip("on a device `make gpu-check` itself runs them")
    import gpu_counted

    sizes = {
        module: {letter: min(n, 3 if letter != "A" else 1) for letter, n in letters.items()}
        for module, letters in gpu_counted.SIZES.items()
    }
    monkeypatch.setattr(gpu_counted, "SIZES", sizes)
    monkeypatch.setattr(gpu_counted, "COUNT", 20)
    monkeypatch.setattr(gpu_counted, "ANY", (20,))
    return gpu_counted


def test_counted_rows_run(small):
    """Each kernel gets arguments that it takes, and moves the bytes that are counted for it."""
    rows = list(small.counted_rows())
    assert len(rows) > 150
    for row in rows:
        work = row.make()
        work.ours()
        assert work.bytes > 0, row.name


def test_optimizer_rows_run(small):
    for row in small.optimizer_rows():
        work = row.make()
        work.ours()
        assert work.bytes % 80 == 0 and work.bytes >= 240, row.name


def test_attention_rows_run(small, monkeypatch):
    import gpu_attention

    monkeypatch.setattr(gpu_attention, "SHAPES", [(1, 2, 3, 4)])
    for row in gpu_attention.attention_rows():
        # without tensor cores: those that the simulator has are slow
        if "bfloat16" not in row.name and "tf32" not in row.name:
            row.make().ours()


def test_a_step_is_captured(small, monkeypatch):
    import gpu_products
    from hotloop import cuda

    monkeypatch.setattr(gpu_products, "STEP", ((5, 4, 3, 2), 6))
    (row,) = gpu_products.step_rows()
    replay = cuda.capture(row.make().ours, warmup=1)
    assert replay().item() > 0


def test_tables():
    import gpu_report

    rows = [
        {"name": "a", "unit": "tf32", "target": 0.9, "against": "peer", "seconds": 2e-6, "peer": 1e-6, "error": 1e-7}
        | {"operations": 10**9, "bytes": 0},
        {"name": "b", "unit": "", "target": 0, "against": "", "seconds": 1e-6, "bytes": 2 * 10**6, "operations": 0},
        {"name": "c", "unit": "", "target": 0, "against": "", "failed": "ValueError: no"},
    ]
    machine = {"gpu": "X", "copy": 4e12, "peaks": {"tf32": 1e15}}
    found = {
        "machine": machine,
        "tests": {"passed": 3, "failed": 1, "failures": ["FAILED t"]},
        "products": {"rows": rows},
    }
    text = gpu_report.table(found, ["products"])
    assert "tests: 3 passed, 1 failed" in text and "    FAILED t" in text
    assert "| a | 2.0 | 0.50 of tf32 | 1.0 | 0.50 | 0.9 of peer | 1.0e-07 |" in text
    assert "| b | 1.0 | 0.50 of copy |  |  |  |  |" in text and "| c | ValueError: no |" in text


def test_without_a_gpu_it_says_so(tmp_path):
    require_no_gpu()
    command = [sys.executable, str(ROOT / "bench" / "gpu_check.py"), "--out", str(tmp_path)]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "no GPU that kernels can run on" in done.stdout


def require_no_gpu():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
