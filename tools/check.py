"""Check the whole project in a fresh virtual environment: `python3 tools/check.py`.

Installs the package and the development extra, then runs lint, types, the tests, the
benchmarks' smoke run, the builds and the sanitizers. What a step needs beside Python and a C
compiler is installed from PyPI; sanitizer steps use the C compiler's own run-time libraries.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent))

from suite import OTHER_LEVEL, SAME_KERNELS

ROOT = Path(__file__).resolve().parent.parent

# the oldest versions that pyproject.toml allows, and a SciPy of their time
OLDEST = (
    "numpy==2.0.*", "pandas==2.2.*", "polars==1.0.*", "scikit-learn==1.7.*", "scipy==1.13.*",
    "tqdm==4.60.*",
)  # fmt: skip


# Methods of Checks, in the order in which they run. Those of ALONE start threads of their own,
# which wait long for each other where something else is at work too. The others use a core each:
# as many run at a time as there are cores, the longest first.
ALONE = ("install", "lint", "types", "tests", "levels", "sanitizers")
SIDE_BY_SIDE = (
    "slow_tests", "docs", "machine_code", "without_openmp", "packages", "benchmarks",
)  # fmt: skip
EXTRA = "oldest"


class Checks:
    """The steps, each a function of one environment, whose output goes to one stream."""

    def __init__(self, folder: Path, out: IO[str] = sys.stdout) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.out = out

    def run(self, *command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
        """Run a command; raise CalledProcessError when it fails."""
        print("\n$", *command, file=self.out, flush=True)
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, "PATH": path, "PYTHONSAFEPATH": "1", **environment},
            stdout=self.out,
            stderr=subprocess.STDOUT,
            check=True,
        )

    def install(self) -> None:
        venv.create(self.folder / "venv", with_pip=True)
        # on: a compiler without OpenMP is an error, as threads would go untested
        self.run(
            self.python, "-m", "pip", "install", "-q", "-e", ".[dev,torch]", FASTGD_OPENMP="on"
        )

    def lint(self) -> None:
        bin_folder = self.python.parent
        self.run(self.python, "-m", "ruff", "check", ".")
        self.run(self.python, "-m", "ruff", "format", "--check", ".")
        self.run(bin_folder / "cython-lint", *sorted((ROOT / "fastgd").glob("*.p[yx][xd]")))
        folders = (ROOT / "src_c", ROOT / "tools")
        sources = [path for folder in folders for path in folder.rglob("*.[ch]")]
        self.run(bin_folder / "clang-format", "--dry-run", "--Werror", *sorted(sources))
        self.run(self.python, "tools/rules.py")

    def types(self) -> None:
        self.run(self.python, "-m", "mypy")

    def tests(self) -> None:
        self.run(self.python, "-m", "pytest", "-q", "-m", "not slow")
        self.run(self.python, "-m", "pytest", "-q", "--doctest-modules", "fastgd")
        self.run(self.python, "-m", "pytest", "-q", "--doctest-glob=*.md", "README.md")

    def slow_tests(self) -> None:
        self.run(self.python, "-m", "pytest", "-q", "-m", "slow")

    def docs(self) -> None:
        """Run the examples on the pages, and make the site: a warning is an error."""
        pages = ("docs", "--doctest-glob=*.md", "--doctest-glob=*.rst")
        self.run(self.python, "-m", "pytest", "-q", *pages)
        site = self.folder / "site"
        self.run(
            self.python, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", site
        )

    def levels(self) -> None:
        """Run the quick tests on each lower level, as a user would force it."""
        code = (
            "import fastgd; c = fastgd.show_config('dicts');"
            "here, known = (c['instruction levels ' + x] for x in ('supported', 'compiled in'));"
            "print(*here[:-1], '/', *[x for x in known if x not in here])"
        )
        printed = subprocess.check_output([str(self.python), "-c", code], text=True, cwd=ROOT)
        lower, missing = printed.split("/")
        for name in missing.split():
            print(f"{name}: NOT TESTED, this CPU cannot run it", file=self.out, flush=True)
        for name in lower.split():
            self.run(self.python, "-m", "pytest", "-q", *OTHER_LEVEL, FASTGD_ISA=name)

    def machine_code(self) -> None:
        """Look at the inner loops, and compare the levels' bits with an emulated aarch64's."""
        objects = self.folder / "objects"
        self.run(self.python, "tools/instructions.py", "--objects", objects)
        self.run(self.python, "tools/emulate.py", "kernels", "--objects", objects)
        self.run(self.python, "tools/emulate.py", "trainings")

    def benchmarks(self) -> None:
        self.run(self.python, "-m", "pytest", "-q", "benchmarks", "--benchmark-disable")

    def packages(self) -> None:
        """Build the sdist, the wheel from it, and use that wheel alone, from elsewhere."""
        out = self.folder / "dist"
        self.run(self.python, "-m", "build", "-n", "-o", out)
        self.run(self.python, "tools/wheel_contents.py", *out.iterdir())
        fresh = self.folder / "fresh"
        venv.create(fresh, with_pip=True)
        self.run(fresh / "bin" / "pip", "install", "-q", *out.glob("*.whl"))
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        self.run(fresh / "bin" / "python", "-m", "fastgd", cwd=elsewhere)

    def without_openmp(self) -> None:
        """Build without OpenMP; the quick tests pass on one thread."""
        target = self.folder / "serial"
        self.run(self.python, "tools/building.py", target, FASTGD_OPENMP="off")
        code = (
            "import fastgd, sys; assert fastgd.__file__.startswith(sys.argv[1]), fastgd.__file__;"
            "from fastgd import _engine; c = _engine.config(); print(c);"
            "assert not c['openmp'] and c['threads'] == 1"
        )
        self.run(self.python, "-c", code, target, PYTHONPATH=str(target))
        self.run(self.python, "-m", "pytest", "-q", *SAME_KERNELS, PYTHONPATH=str(target))

    def sanitizers(self) -> None:
        self.run(self.python, "tools/sanitize.py", "address")
        self.run(self.python, "tools/sanitize.py", "thread")

    def oldest(self) -> None:
        """Run the quick tests beside the oldest libraries; only when asked for by name."""
        venv.create(self.folder / "oldest", with_pip=True)
        python = self.folder / "oldest" / "bin" / "python"
        self.run(
            python, "-m", "pip", "install", "-q", ".", *OLDEST,
            "hypothesis", "matplotlib", "mpmath", "pytest>=8", "rich", "setuptools>=77",
            "threadpoolctl",
        )  # fmt: skip
        # not as in continuous integration, where a skip is a failure: here it is what they lack
        self.run(python, "-m", "pytest", "-q", *SAME_KERNELS, CI="")


def run_step(step: str, folder: Path, out: IO[str] = sys.stdout) -> bool:
    """Run one step, whose output goes to the stream; return whether it passed."""
    print(f"\n=== {step}", file=out, flush=True)
    start = time.perf_counter()
    try:
        getattr(Checks(folder, out), step)()
    except subprocess.CalledProcessError as error:
        print(f"\nFAILED: {step} (exit code {error.returncode})", file=out, flush=True)
        return False
    print(f"=== {step}: {time.perf_counter() - start:.0f} s", file=out, flush=True)
    return True


def run_side_by_side(steps: list[str], folder: Path) -> bool:
    """Run a step a core, print the output of each when it ends, begin none after a failure."""
    passed = True

    def run(step: str) -> tuple[bool, Path]:
        log = folder / f"{step}.log"
        with log.open("w") as out:
            return passed and run_step(step, folder, out), log

    print(f"\nSide by side: {', '.join(steps)}", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for job in as_completed([pool.submit(run, step) for step in steps]):
            well, log = job.result()
            passed &= well
            print(log.read_text(), end="", flush=True)
    return passed


def main() -> int:
    """Run the steps, install first; return 1 when one fails."""
    steps = (*ALONE, *SIDE_BY_SIDE, EXTRA)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "steps", nargs="*", metavar="STEP",
        help=f"only these, after install: {', '.join(steps[1:-1])}; or, which runs only when it is "
        f"named, {EXTRA}",
    )  # fmt: skip
    wanted = parser.parse_args().steps
    if unknown := set(wanted) - set(steps):
        parser.error(f"no such step: {', '.join(unknown)}; steps: {', '.join(steps)}")
    chosen = [step for step in steps if step in (wanted or steps[:-1]) or step == "install"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = (run_step(step, folder) for step in chosen if step not in SIDE_BY_SIDE)
        passed = all(alone)
        if passed and (others := [step for step in chosen if step in SIDE_BY_SIDE]):
            passed = run_side_by_side(others, folder)
    print("\nAll checks passed." if passed else "\nThere are failures.")
    return not passed


if __name__ == "__main__":
    sys.exit(main())
