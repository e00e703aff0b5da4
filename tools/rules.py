"""Check rules that linters do not cover: for compiled code, and for plain words."""

from __future__ import annotations

import argparse
import re
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
PROSE = [
    path
    for folder, kinds in (("fastgd", "py pyx pxd pyi"), ("src_c", "c h"), ("docs", "md"))
    for kind in kinds.split()
    for path in (ROOT / folder).rglob(f"*.{kind}")
]
#: phrases that a reader has to decode, and what to write
PLAIN = {
    r"\b(one|an?) (line|row|weight|label|target|number|thread|value) an? "
    r"(sample|step|epoch|batch|row|class|layer|column)\b": "write 'per', as in 'a line per epoch'",
    r"\bgo(es|ing)? on (from|with|where)\b|\bgone on from\b": "write 'continue'",
    r"\bmade small\b": "write 'minimised'",
    r"\bis the business of\b|'s sake\b": "say it directly",
}


def main() -> int:
    """Print each line that breaks a rule; return 1 if there are any."""
    argparse.ArgumentParser(
        description=__doc__,
        epilog="\n".join(f"{words}: {reason}" for words, reason in (RULES | PLAIN).items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    broken = [
        f"{path.relative_to(ROOT)}:{number}: {words}: {reason}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for words, reason in RULES.items()
        if words in line
    ]
    broken += [
        f"{path.relative_to(ROOT)}:{number}: {found[0]!r}: {advice}"
        for path in PROSE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for phrase, advice in PLAIN.items()
        if (found := re.search(phrase, line))
    ]
    files = len({*SOURCES, *PROSE})
    print("\n".join(broken) or f"{files} files keep the {len(RULES) + len(PLAIN)} rules")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
