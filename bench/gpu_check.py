"""`make gpu-check`: tests every CUDA kernel on this machine's GPU, times them, and writes bench/results/<gpu>.json.

Uses the Python it is run with (numba, numba-cuda and pytest; PyTorch as the peer where it is there), installs nothing,
needs no data, and ends within nine minutes. In this order: the headline products are compared with PyTorch's and timed,
all kernels, layers and the runtime are tested, every other kernel is timed, and the rest of the suite runs on the
device for as long as there is time. Each part is a process of its own: a kernel that breaks the device breaks its part.

    python bench/gpu_check.py [--minutes 9] [--out FOLDER] [--only PART ...]
"""

import argparse
import importlib
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_report import table, write

ROOT = Path(__file__).resolve().parent.parent
# parts that time: module and function that yields its rows
TIMED = {
    "products": ("gpu_products", "gemm_rows"),
    "convolutions": ("gpu_products", "conv_rows"),
    "attention": ("gpu_attention", "attention_rows"),
    "recurrent": ("gpu_products", "recurrent_rows"),
    "steps": ("gpu_products", "step_rows"),
    "optimizers": ("gpu_counted", "optimizer_rows"),
    "pooling": ("gpu_counted", "pooling_rows"),
    "bandwidth": ("gpu_counted", "counted_rows"),
}
PARTS = ("_hopper_parts", "_hopper", "_kernels", "_data", "_layers", "_optim", "_runtime", "_graph", "")
CUDA_TESTS = [*[f"test_cuda{part}.py" for part in PARTS], "test_amp.py"]
# (part, seconds it may take)
PLAN = [
    ("machine", 40),
    ("products", 90),
    ("tests", 200),
    ("attention", 60),
    ("recurrent", 60),
    ("convolutions", 60),
    ("steps", 30),
    ("optimizers", 40),
    ("bandwidth", 120),
    ("pooling", 20),
    ("suite", 600),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.75, help="when to stop, whatever is left")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder of the results")
    parser.add_argument("--only", nargs="*", help="parts to run")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        run_part(arguments.part, arguments.file)
        return
    end = time.monotonic() + 60 * arguments.minutes
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = as_package(Path(folder))
        found: dict = {}
        for part, limit in PLAN:
            if arguments.only and part not in (*arguments.only, "machine"):
                continue
            limit = min(limit, end - time.monotonic())
            if limit < 5:
                found[part] = {"error": "no time was left"}
                continue
            begin = time.monotonic()
            if part in ("tests", "suite"):
                found[part] = tested(part, environment, limit)
            else:
                found[part] = in_a_process(part, environment, limit, Path(folder) / f"{part}.json")
            found[part]["seconds"] = round(time.monotonic() - begin, 1)
            print(f"== {part}: {found[part]['seconds']} s {found[part].get('error', '')}", flush=True)
            if part == "machine" and "error" in found[part]:
                print("no GPU that kernels can run on; `python -m hotloop doctor` says more")
                sys.exit(2)
            write(found, TIMED, arguments.out)
    print(table(found, TIMED))
    failed = found.get("tests", {}).get("failed") or "error" in found.get("tests", {})
    sys.exit(1 if failed else 0)


def as_package(folder):
    """The environment in which `hotloop` is this checkout: a folder of links, since nothing is installed."""
    package = folder / "hotloop"
    package.mkdir()
    for file in (ROOT / "api").glob("*.py*"):
        (package / file.name).symlink_to(file)
    for name in ("kernels", "nn", "optim", "train"):
        (package / name).symlink_to(ROOT / name)
    paths = [str(folder), str(ROOT / "bench"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    cache = folder / "cache"
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "HOTLOOP_CACHE": str(cache)}


# ---- parts


def in_a_process(part, environment, limit, file):
    """What a part wrote before it ended, or was ended."""
    command = [sys.executable, __file__, "--part", part, "--file", str(file)]
    with open(file.with_suffix(".log"), "w") as log:
        try:
            code = subprocess.run(
                command, env=environment, timeout=limit, stdout=log, stderr=log, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = "its time was over"
    found = json.loads(file.read_text()) if file.exists() else {}
    if code:
        last = file.with_suffix(".log").read_text().strip().splitlines()[-3:]
        found["error"] = f"ended with {code}: {' | '.join(last)}"
    return found


def run_part(part, file):
    """In the part's own process: its rows, written after each."""
    if part == "machine":
        file.write_text(json.dumps(machine()))
        return
    from gpu_timing import ours, theirs

    module, function = TIMED[part]
    rows: list = []
    for row in getattr(importlib.import_module(module), function)():
        entry = {"name": row.name, "unit": row.unit, "target": row.target, "against": row.against}
        try:
            work = row.make()
            entry |= {"bytes": work.bytes, "operations": work.operations}
            entry["error"] = work.check() if work.check else None
            entry["seconds"] = ours(work.ours)
            if work.peer:
                entry["peer"] = eager(work.peer) if getattr(work.peer, "eager", False) else theirs(work.peer)
        except Exception as error:
            # one row that fails is a finding, and the others are still wanted
            entry["failed"] = f"{type(error).__name__}: {error}"[:300]
        rows.append(entry)
        file.write_text(json.dumps({"rows": rows}))


def eager(call):
    """Seconds of a call of PyTorch launched from Python."""
    import torch

    times = []
    for _ in range(5):
        call()
    for _ in range(9):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(20):
            call()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) / 20)
    return statistics.median(times)


def machine():
    """The device, the versions, and what it can do at most."""
    from gpu_timing import copy_bandwidth, matrix_peaks
    from hotloop import cuda
    from hotloop.kernels import doctor

    found = {
        "gpu": cuda.get_device_name(),
        "capability": list(cuda.get_device_capability()),
        "memory": cuda.mem_get_info()[1],
        "python": sys.version.split()[0],
        "doctor": dict(doctor.report()),
        "copy": copy_bandwidth(),
        "peaks": matrix_peaks(),
    }
    try:
        import torch

        found["torch"] = torch.__version__
    except ImportError:
        pass
    return found


def tested(part, environment, limit):
    """Counts and failures of pytest: the CUDA tests, or whatever else of the suite runs on a device."""
    files = (
        [str(ROOT / "tests" / name) for name in CUDA_TESTS] if part == "tests" else [str(ROOT / "tests"), "-k", "cuda"]
    )
    if part == "suite":
        files += [f"--ignore={ROOT / 'tests' / name}" for name in CUDA_TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=0", *files]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(min(8, os.cpu_count() or 1))]
    environment = {**environment, "HOTLOOP_TEST_PROCESS": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        out, _ = process.communicate(timeout=limit)
        error = {} if process.returncode in (0, 1) else {"error": f"pytest ended with {process.returncode}"}
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        error = {"error": "its time was over"}
    failures = [line[:300] for line in out.splitlines() if line.startswith(("FAILED", "ERROR"))]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", out)}
    return {"passed": 0, "failed": len(failures), **counts, "failures": failures, "end": out[-3000:], **error}


if __name__ == "__main__":
    main()
