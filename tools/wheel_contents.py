"""Check what a wheel holds: `python tools/wheel_contents.py WHEEL`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

LIMIT = 3_000_000
WANTED = (
    "fastgd/__init__.py",
    "fastgd/py.typed",
    "fastgd/_engine.pyi",
    "fastgd/_comparison.html",
    "fastgd/data/",
)
UNWANTED = ("tests/", "benchmarks/", "tools/", "src_c/", ".pyx", ".pxd", ".c", ".h")


def main() -> int:
    """Print the wheel's size and what is wrong with its contents; return 1 if anything is."""
    wheel = Path(sys.argv[1])
    size = wheel.stat().st_size
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    problems = [f"it lacks {part}" for part in WANTED if not any(part in n for n in names)]
    problems += [
        f"it holds {name}"
        for name in names
        for part in UNWANTED
        if (name.startswith(part) if part.endswith("/") else name.endswith(part))
    ]
    for extension in ("_engine", "_sampling"):
        if not any(f"fastgd/{extension}." in n and n.endswith((".so", ".pyd")) for n in names):
            problems.append(f"it lacks the extension {extension}")
    if size > LIMIT:
        problems.append(f"it has {size:,} bytes, more than {LIMIT:,}")
    print(f"{wheel.name}: {size:,} bytes, {len(names)} files", *problems, sep="\n  ")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
