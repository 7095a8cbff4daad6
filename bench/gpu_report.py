"""What `make gpu-check` found, as JSON and as tables."""

import json
import re


def write(found, parts, folder):
    """Both files, named after the GPU."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", found["machine"].get("gpu", "gpu")).strip("_").lower()
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1))
    (folder / f"{name}.md").write_text(table(found, parts))


def table(found, parts):
    """Tables in Markdown."""
    device = found["machine"]
    peaks = ", ".join(f"{kind} {rate / 1e12:.0f} TFLOP/s" for kind, rate in device.get("peaks", {}).items())
    lines = [
        f"# {device.get('gpu')}",
        "",
        f"Copy {device.get('copy', 0) / 1e12:.2f} TB/s read and written; PyTorch's products at 8192: {peaks or 'none'}",
        "",
    ]
    for part in ("tests", "suite"):
        if part in found:
            result = found[part]
            lines.append(
                f"{part}: {result.get('passed', 0)} passed, {result.get('failed', 0)} failed {result.get('error', '')}"
            )
            lines += [f"    {failure}" for failure in result.get("failures", [])[:40]]
    for part in parts:
        if part not in found:
            continue
        lines += ["", f"## {part} {found[part].get('error', '')}", ""]
        lines += [
            "| workload | us | of the ceiling | peer us | peer / ours | target | error |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [line_of(row, device) for row in found[part].get("rows", [])]
    return "\n".join(lines) + "\n"


def line_of(row, device):
    if "failed" in row:
        return f"| {row['name']} | {row['failed']} | | | | | |"
    seconds, peer = row["seconds"], row.get("peer")
    share = ratio = ""
    if row.get("bytes") and device.get("copy") and not row.get("operations"):
        share = f"{row['bytes'] / seconds / device['copy']:.2f} of copy"
    elif row.get("operations") and device.get("peaks", {}).get(row["unit"]):
        share = f"{row['operations'] / seconds / device['peaks'][row['unit']]:.2f} of {row['unit']}"
    if peer:
        ratio = f"{peer / seconds:.2f}"
    target = f"{row['target']} of {row['against']}" if row["target"] else ""
    error = f"{row['error']:.1e}" if row.get("error") is not None else ""
    peer_time = f"{peer * 1e6:.1f}" if peer else ""
    return f"| {row['name']} | {seconds * 1e6:.1f} | {share} | {peer_time} | {ratio} | {target} | {error} |"
