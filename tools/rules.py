"""Check rules of the compiled code that linters do not cover."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "setup.py", ROOT / "pyproject.toml", *(ROOT / "src_c").rglob("*.[ch]")]
RULES = {
    "-ffast-math": "breaks equal bits, and changes the user's floating-point mode",
    "-Ofast": "breaks equal bits, and changes the user's floating-point mode",
    "-march=native": "builds a wheel that only this machine can run",
    "#pragma omp": "threads belong in the engine: kernels are single-threaded",
}


def main() -> int:
    """Print each line that breaks a rule; return 1 when there is one."""
    argparse.ArgumentParser(
        description=__doc__,
        epilog="\n".join(f"{words}: {reason}" for words, reason in RULES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    broken = [
        f"{path.relative_to(ROOT)}:{number}: {words}: {reason}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for words, reason in RULES.items()
        if words in line and not (path.name == "setup.py" and "omp parallel" in line)
    ]
    print("\n".join(broken) or f"{len(SOURCES)} files keep the {len(RULES)} rules")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
