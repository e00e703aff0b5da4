"""Report the measurements: a table, a JSON file, a chart."""

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
    f"  {'peer':<14}{'ms an epoch':>12}{'fastest..slowest':>20}{'x fastgd':>10}"
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


MARKS = {
    "fastgd": ("o", "black"),
    "fastgd-avx2": ("o", "black"),
    "numba": ("s", "0.35"),
    "numpy": ("^", "0.35"),
    "jax": ("D", "0.6"),
    "torch": ("v", "0.6"),
    "torch.compile": ("<", "0.6"),
    "scikit-learn": ("P", "0.35"),
}


def write_chart(path: Path, results: list[Row], environment: Row) -> None:
    """Draw one line per workload and one mark per peer, whose shape identifies the peer."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.52 * len(results)), layout="constrained")
    seen = set()
    for k, result in enumerate(results):
        known = [r for r in result["rows"] if r["ms"] is not None]
        if known:
            times = [r["ms"] for r in known]
            axes.plot([min(times), max(times)], [k, k], color="0.85", zorder=1)
        for row in known:
            mark, colour = MARKS[row["peer"]]
            own = row["peer"] == "fastgd"
            axes.scatter(
                row["ms"],
                k,
                s=95 if own else 60,
                marker=mark,
                facecolor=colour if own else "none",
                edgecolor=colour,
                linewidth=1.4,
                zorder=3 if own else 2,
                label=None if row["peer"] in seen else row["peer"],
            )
            seen.add(row["peer"])
        limit = machine_limit_ms(result)
        axes.plot([limit, limit], [k - 0.3, k + 0.3], color="black", linewidth=1.2)
    axes.plot([], [], color="black", linewidth=1.2, label="machine's limit")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("milliseconds an epoch (log scale; further left is faster)")
    axes.set_yticks(range(len(results)), [label(r) for r in results])
    axes.invert_yaxis()
    axes.grid(axis="x", which="major", color="0.9", zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.suptitle(title(results), x=0.01, ha="left", fontsize=12, fontweight="bold")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.supxlabel(
        f"{environment['cpu']}, {environment['threads']} threads, float32, plain SGD, "
        "shuffle included; limit: reading the data once or its products at sgemm's rate"
        + ("; a tenth of the data" if environment["quick"] else ""),
        fontsize=8,
        color="0.3",
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)


def machine_limit_ms(result: Row) -> float:
    products = [a * b for a, b in zip(result["sizes"], result["sizes"][1:], strict=False)]
    flops = result["n"] * (4 * products[0] + 6 * sum(products[1:]))
    limits = result["limits"]
    return float(max(limits["read_s"], flops / limits["flops_per_s"]) * 1e3)


def label(result: Row) -> str:
    sizes = result["sizes"]
    if len(sizes) > 2:
        model = "network " + "-".join(map(str, sizes))
    elif result["loss"] == "cross_entropy":
        model = f"softmax {sizes[0]}-{sizes[1]}"
    else:
        model = f"{'logistic' if result['loss'] == 'log_loss' else 'linear'} d={sizes[0]}"
    return f"{model}, batch {result['batch']}"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
