"""Run the benchmarks on one core and on all, print what they say, and write it into bench/RESULTS.md.

python bench/report.py                  everything
python bench/report.py gemm linear      these files; the others keep their figures in RESULTS.md
python bench/report.py roofline ladder  the picture, and the ladder in kernels/README.md
"""

import argparse
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
OURS = "hotloop"


def run(files, cores):
    """pytest-benchmark's JSON of the files, from a process that may use these cores; None if there was none to run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bench.json"
        # without the options of the tests, which list the slowest
        command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "--benchmark-max-time=0.4"]
        command += ["--benchmark-min-rounds=5", "--benchmark-quiet", "--benchmark-disable-gc"]
        command += [f"--benchmark-json={out}", *map(str, files)]
        pin = (lambda: os.sched_setaffinity(0, cores)) if cores else None
        done = subprocess.run(command, cwd=HERE.parent, preexec_fn=pin)
        if done.returncode:
            sys.exit("a benchmark failed (above); nothing was written")
        # nothing is written when all was skipped: on one core there are no regions to time
        return json.loads(out.read_text()) if out.exists() else None


def passes():
    """The sets of cores to run on: one core, then all; where a process cannot be pinned, only all."""
    if not hasattr(os, "sched_getaffinity"):
        return [None]
    cores = sorted(os.sched_getaffinity(0))
    return [{cores[0]}, set(cores)] if len(cores) > 1 else [set(cores)]


def rows(reports):
    """{family: {(group, threads): {contestant: benchmark}}} in the order they ran."""
    found = {}
    for report in reports:
        for bench in report["benchmarks"]:
            family = re.search(r"bench_(\w+)\.py", bench["fullname"])[1]
            key = (bench["group"], bench["extra_info"]["threads"])
            found.setdefault(family, {}).setdefault(key, {})[bench["params"]["who"]] = bench
    return {family: with_sums(groups) for family, groups in found.items()}


def with_sums(groups):
    """The rows, and behind each backward whose target is for it and its forward together the sum of the two."""
    found = {}
    for (group, threads), contest in groups.items():
        found[group, threads] = contest
        target = contest.get(OURS, {}).get("extra_info", {}).get("target, with forward")
        forward = groups.get((group.replace("backward", "forward"), threads))
        if target and forward:
            both = {who: together(forward[who], contest[who]) for who in contest if who in forward}
            both[OURS]["extra_info"]["target"] = target
            found[group.replace("backward", "forward + backward"), threads] = both
    return found


def together(*parts):
    """What a table shows of two benchmarks that run one after the other: rates count by their times."""
    seconds = sum(part["stats"]["median"] for part in parts)
    info = {}
    for key in RATES:
        if all(key in part["extra_info"] for part in parts):
            info[key] = sum(part["extra_info"][key] * part["stats"]["median"] for part in parts) / seconds
    return {"stats": {"median": seconds}, "extra_info": info}


def duration(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}"


def row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def rule(columns):
    return "|" + "---|" * columns


def table(family, groups):
    """Markdown: a line for each workload and number of threads, the best of a line in bold."""
    peers = sorted({who for contest in groups.values() for who in contest} - {OURS})
    more = MORE.get(family, {})
    header = ["workload", "threads", OURS, "reaches", "of the ceiling", *peers, f"best peer / {OURS}", *more]
    lines = [row(*header), rule(len(header))]
    # one thread and all threads of a workload under each other
    order = list(dict.fromkeys(group for group, _ in groups))
    for (group, threads), contest in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        medians = {who: bench["stats"]["median"] for who, bench in contest.items()}
        best = min(medians.values())
        cells = {who: f"**{duration(t)}**" if t == best else duration(t) for who, t in medians.items()}
        others = [t for who, t in medians.items() if who not in (OURS, "serial")]
        ratio = f"{min(others) / medians[OURS]:.2f}" if others and OURS in medians else ""
        info = contest.get(OURS, {}).get("extra_info", {})
        beside = (cells.get(p, "") for p in peers)
        last = (column(contest) for column in more.values())
        lines.append(row(group, threads, cells.get(OURS, ""), *reached(info), *beside, ratio, *last))
    return "\n".join(lines)


UNITS, SHARES = ("GFLOP/s", "GB/s"), ("% of FMA peak", "% of AMX peak", "% of bandwidth")
RATES = UNITS + SHARES


def reached(info):
    """Two cells: what a kernel reaches, and how near that is to the machine's own ceiling."""
    speed = [f"{info[unit]:.3g} {unit}" for unit in UNITS if unit in info]
    share = [f"{info[key]:.0f} {key}" for key in SHARES if key in info]
    return ", ".join(speed), ", ".join(share)


def aim(contest):
    """How many times the best peer's speed ours should be, or how near to the ceiling, and whether it is."""
    info = contest.get(OURS, {}).get("extra_info", {})
    others = [bench["stats"]["median"] for who, bench in contest.items() if who != OURS]
    if "target" not in info or not others:
        return ""
    share = info.get("target, % of bandwidth")
    met = min(others) >= info["target"] * contest[OURS]["stats"]["median"]
    met = met or (share is not None and info["% of bandwidth"] >= share)
    return f"{info['target']}{f' or {share} %' if share else ''} {'met' if met else '**missed**'}"


def over_torch(contest):
    """How many times torch's speed ours is, and whether that is what it should be."""
    if OURS not in contest or "torch" not in contest:
        return ""
    ratio = contest["torch"]["stats"]["median"] / contest[OURS]["stats"]["median"]
    found = [f"{ratio:.2f}"]
    for target, how in contest[OURS]["extra_info"].get("targets", ()):
        met = "met" if ratio >= target else "**missed**"
        found.append(f"{target:.2f} {how} {met}".replace("  ", " "))
    return "; ".join(found)


def errors(contest):
    """Relative error of ours and of torch's result, in norm, against float64."""
    infos = [contest[who]["extra_info"] for who in (OURS, "torch") if who in contest]
    return " / ".join(f"{info['error']:.1e}" for info in infos if "error" in info)


def limit(contest):
    """What ours may cost at most, and whether it does."""
    ours = contest.get(OURS)
    if not ours or not ours["extra_info"]["limit, us"]:
        return ""
    most = ours["extra_info"]["limit, us"] / 1e6
    return f"{duration(most)} {'met' if ours['stats']['median'] <= most else '**missed**'}"


def memory(contest):
    """What a call of each holds at most, beyond its arguments and results."""
    held = {who: bench["extra_info"].get("held, MB") for who, bench in contest.items()}
    return ", ".join(f"{who} {value:.0f}" for who, value in held.items() if value is not None)


AIMED = (
    """conv pool norm step_cnn lstm gru rnn step_rnn embedding recurrent_cells stream step_transformer positions ctc"""
)
# columns of a family beside those of all
MORE = {
    **{family: {"target": aim} for family in AIMED.split()},
    "gemm": {"times torch's speed; target": over_torch, "error, ours / torch": errors},
    "threads": {"at most": limit},
    "attention": {"target": aim, "held beyond arguments and results, MB": memory},
}


# above the table of a family
WORDS = {
    "attention": "The last column: megabytes that a call takes at most beyond its arguments and results, by the "
    "system's count of pages. The scores of a whole sequence would be 67 of them a head at T 4096.",
    "step_transformer": "Whole steps with Adam, written by each library's own layers; JAX's are written out.",
}


def section(name, groups):
    """Words, if there are any, and the table."""
    return f"{WORDS[name]}\n\n{table(name, groups)}" if name in WORDS else table(name, groups)


def distance(report):
    """How long a word takes from core to core and back, over the run: a host may move a virtual machine's cores."""
    found = [bench["extra_info"].get("round trip, ns", math.nan) for bench in report["benchmarks"]]
    found = sorted(time for time in found if not math.isnan(time))
    return f"{found[0]:.0f} / {found[len(found) // 2]:.0f} / {found[-1]:.0f}" if found else ""


def machine(reports):
    """Markdown: the machine, its ceilings, and the versions that met."""
    infos = [report["machine_info"]["hotloop"] for report in reports]
    first = infos[0]
    versions = {"numba": first["numba"], "numpy": first["numpy"], **first["peers"]}
    known = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    absent = ", ".join(name for name, version in versions.items() if not version)
    lines = [f"{first['cpu']}; Python {reports[0]['machine_info']['python_version']}, {known}."]
    if absent:
        lines.append(f"Not installed, and so not compared: {absent}.")
    lines += ["", row("ceiling", *(f"threads: {info['threads']}" for info in infos)), rule(len(infos) + 1)]
    for name in first["GFLOP/s"]:
        lines.append(row(f"FMA {name}, GFLOP/s", *(f"{info['GFLOP/s'][name]:.0f}" for info in infos)))
    if first["AMX GFLOP/s"]:
        lines.append(row("AMX, float32 from 6 products, GFLOP/s", *(f"{info['AMX GFLOP/s']:.0f}" for info in infos)))
    for size in first["GB/s"]:
        both = (" / ".join(f"{value:.0f}" for value in info["GB/s"][size]) for info in infos)
        lines.append(row(f"copy / in place over {size}, GB/s", *both))
    lines.append(row("core to core and back, least / median / most, ns", *map(distance, reports)))
    return "\n".join(lines)


def write(sections):
    """Replace each section of RESULTS.md between its markers; a new one goes to the end."""
    text = RESULTS.read_text() if RESULTS.exists() else HEAD
    for name, body in sections.items():
        if f"<!-- {name} -->" not in text:
            title = f"## {name}\n\n" if name != "machine" else ""
            text = text.rstrip() + f"\n\n{title}<!-- {name} -->\n<!-- end {name} -->\n"
        text = between_markers(text, name, body)
    RESULTS.write_text(text)


def between_markers(text, name, body):
    """The text with its section between <!-- name --> and <!-- end name --> replaced."""
    old = re.compile(rf"<!-- {name} -->.*?<!-- end {name} -->", re.DOTALL)
    return old.sub(lambda _: f"<!-- {name} -->\n{body}\n<!-- end {name} -->", text)


HEAD = """# What the kernels reach

Written by `make bench`. Times are medians of one call after warm-up; every result was compared with a float64
reference before the clock started. One thread is a whole process on one core. The last column is how many times faster
than the best peer hotloop is: under 1 is a loss. "Of the ceiling" is measured in the same run: fused multiply-adds, or
bytes moved by a copy or by `a += s * b` over the same footprint. Contestants of a workload run one after the other,
with a pause between them: workers of some spin for milliseconds, and AMX keeps a core's clock low for a while.
"""


def draw():
    """The roofline's section, with a picture of this run; nothing where matplotlib is not installed."""
    if not importlib.util.find_spec("matplotlib"):
        print("matplotlib is not installed: no new roofline.svg")
        return {}
    subprocess.run([sys.executable, HERE / "roofline.py"], check=True)
    return {"roofline": "![Kernels under the ceilings of one core](roofline.svg)"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help="gemm, linear ..., roofline, ladder (default: all)")
    names = parser.parse_args().families or [
        "roofline",
        "ladder",
        *(f.stem[6:] for f in sorted(HERE.glob("bench_*.py"))),
    ]
    files = [HERE / f"bench_{name}.py" for name in names if name not in ("roofline", "ladder")]
    if missing := [str(f) for f in files if not f.exists()]:
        sys.exit(f"no such benchmark: {', '.join(missing)}")
    sections = {}
    if files:
        reports = [report for cores in passes() if (report := run(files, cores))]
        if not reports:
            sys.exit("every benchmark was skipped")
        sections = {
            "machine": machine(reports),
            **{name: section(name, groups) for name, groups in rows(reports).items()},
        }
    for name, body in sections.items():
        print(f"\n{name}\n{body}")
    if "roofline" in names:
        sections |= draw()
    if "ladder" in names:
        subprocess.run([sys.executable, HERE / "ladder.py"], check=True)
    write(sections)
    print(f"\nwritten to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
