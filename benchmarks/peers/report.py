"""Report the measurements: a table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from .workloads import Workload

HEADER = (
    f"  {'peer':<14}{'ms per epoch':>12}{'fastest..slowest':>20}{'x fastgd':>10}"
    f"{'of reading':>12}{'of sgemm':>10}  note"
)

Row = dict[str, Any]


def summarise(workload: Workload, raw: dict[str, Row]) -> Row:
    """Return medians over the rounds (each a median of its epochs), and shares of the limits.

    A limit is the best measured value: the fewest seconds, the highest rates.
    """
    turns = raw.pop("limits")["turns"]
    limits = {
        key: (max if key.endswith("_per_s") else min)(t[key] for t in turns) for key in turns[0]
    }
    rows: list[Row] = []
    for peer, answer in raw.items():
        row: Row = {"peer": peer, "note": answer["note"], "ms": None}
        if answer["turns"]:
            rounds = [statistics.median(t["epochs_s"]) for t in answer["turns"]]
            seconds = statistics.median(rounds)
            row |= {
                "ms": seconds * 1e3,
                "rounds_ms": [s * 1e3 for s in rounds],
                "of_reading": limits["read_s"] / seconds,
                "of_sgemm": workload.flops / limits["flops_per_s"] / seconds,
            }
        rows.append(row)
    size = workload.n * workload.sizes[0] * 4
    return {
        "workload": workload.name,
        "sizes": list(workload.sizes),
        "loss": workload.loss,
        "n": workload.n,
        "batch": workload.batch,
        "reach": workload.reach,
        "limits": limits
        | {
            "read_gb_s": size / limits["read_s"] / 1e9,
            "rows_gb_s": size / limits["rows_s"] / 1e9,
        },
        "rows": rows,
        "ratio": ratio(rows),
    }


def ratio(rows: list[Row]) -> float | None:
    """Return the time of the fastest peer divided by fastgd's; None if either is missing."""
    times = {row["peer"]: row["ms"] for row in rows if row["ms"] is not None}
    own = times.pop("fastgd", None)
    times.pop("fastgd-avx2", None)
    return min(times.values()) / own if own and times else None


def table(result: Row) -> str:
    limits = result["limits"]
    lines = [
        f"{result['workload']}: n={result['n']:,}, batch {result['batch']}; machine: "
        f"{limits['read_gb_s']:.1f} GB/s in order, {limits['rows_gb_s']:.1f} GB/s in shuffled "
        f"rows, {limits['flops_per_s'] / 1e9:.0f} GFLOP/s",
        HEADER,
    ]
    own = next((r["ms"] for r in result["rows"] if r["peer"] == "fastgd"), None)
    for row in sorted(result["rows"], key=lambda r: r["ms"] or float("inf")):
        if row["ms"] is None:
            lines.append(f"  {row['peer']:<14}{'-':>12}{'':>52}  {row['note']}")
            continue
        spread = f"{min(row['rounds_ms']):.4g}..{max(row['rounds_ms']):.4g}"
        times = f"{row['ms'] / own:.2f}" if own else "-"
        lines.append(
            f"  {row['peer']:<14}{row['ms']:>12.4g}{spread:>20}{times:>10}"
            f"{row['of_reading']:>12.1%}{row['of_sgemm']:>10.1%}  {row['note']}".rstrip()
        )
    if result["ratio"]:
        lines.append(f"  fastgd is {result['ratio']:.2f} times as fast as the best peer")
        lines[-1] += f" (aim: {result['reach']:g})"
    return "\n".join(lines)


def environment(threads: int) -> Row:
    versions = {}
    for package in ("fastgd", "numpy", "numba", "scipy", "scikit-learn", "torch", "jax"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    try:  # a source tree has no metadata
        import fastgd

        versions["fastgd"] = fastgd.__version__
    except (ImportError, AttributeError):
        pass
    return {
        "cpu": _cpu(),
        "threads": threads,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "versions": versions,
    }


def write_json(path: Path, results: list[Row], environment: Row) -> None:
    path.write_text(json.dumps({"environment": environment, "results": results}, indent=1) + "\n")


def title(results: list[Row]) -> str:
    """Return the finding in words, computed from the numbers."""
    ratios = [r["ratio"] for r in results if r["ratio"]]
    if not ratios:
        return "Time of one epoch by gradient descent"
    ahead = sum(r > 1 for r in ratios)
    span = " to ".join(dict.fromkeys(f"{r:.1f}" for r in (min(ratios), max(ratios))))
    if ahead == len(ratios):
        return f"fastgd trains an epoch {span} times as fast as the best peer"
    return f"fastgd leads on {ahead} of {len(ratios)} workloads ({span} x the best peer's speed)"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
