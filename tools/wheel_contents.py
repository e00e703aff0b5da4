"""Check the contents of a wheel and an sdist.

A wheel must contain every module of the package, in all its folders. An sdist must contain all
files that git tracks, except hidden files, and no build products.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 3_000_000
WANTED = (  # besides the modules
    "fastgd/py.typed",
    "fastgd/engine/engine.pyi",
    "fastgd/commandline/comparison.html",
    "fastgd/data/",
    "fastgd/plot/light.mplstyle",
    "fastgd/plot/dark.mplstyle",
    ".dist-info/sboms/fastgd.cdx.json",
)
UNWANTED = ("tests/", "benchmarks/", "tools/", "src_c/", ".pyx", ".pxd", ".c", ".h")


def wheel_problems(wheel: Path) -> list[str]:
    """Return the problems of a wheel."""
    size = wheel.stat().st_size
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / "fastgd").rglob("*.py")]
    problems = [
        f"it lacks {part}" for part in (*WANTED, *modules) if not any(part in n for n in names)
    ]
    problems += [
        f"it holds {name}"
        for name in names
        for part in UNWANTED
        if (name.startswith(part) if part.endswith("/") else name.endswith(part))
    ]
    for source in sorted((ROOT / "fastgd" / "engine").glob("*.pyx")):
        built = f"fastgd/engine/{source.stem}."
        if not any(built in name and name.endswith((".so", ".pyd")) for name in names):
            problems.append(f"it lacks the extension {source.stem}")
    if size > LIMIT:
        problems.append(f"it has {size:,} bytes, more than {LIMIT:,}")
    return problems


def sdist_problems(sdist: Path) -> list[str]:
    """Return the problems of a source distribution."""
    with tarfile.open(sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    tracked = {name for name in listed.stdout.splitlines() if not name.startswith(".")}
    made = {name for name in names if not name.startswith("fastgd.egg-info/")}
    made -= tracked | {"PKG-INFO", "setup.cfg"} if tracked else made
    problems = [f"it lacks {name}" for name in sorted(tracked - names)]
    return problems + [f"it holds {name}" for name in sorted(made)]


def main() -> int:
    """Print the problems of the packages' contents; return 1 if there are any."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", nargs="+", type=Path, metavar="PACKAGE", help=".whl or .tar.gz")
    packages: list[Path] = parser.parse_args().packages
    for package in packages:
        if not (package.is_file() and package.name.endswith((".whl", ".tar.gz"))):
            parser.error(f"{package} is not a wheel (.whl) or sdist (.tar.gz); `python -m build` "
                         "creates both in dist/")  # fmt: skip
    failed = False
    for package in packages:
        check = wheel_problems if package.suffix == ".whl" else sdist_problems
        problems = check(package)
        print(f"{package.name}: {package.stat().st_size:,} bytes", *problems, sep="\n  ")
        failed |= bool(problems)
    return failed


if __name__ == "__main__":
    sys.exit(main())
