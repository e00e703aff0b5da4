"""Check the whole project in a fresh virtual environment: `python3 tools/check.py`.

Installs the package and the development extra, then runs lint, types, the tests, the
benchmarks' smoke run, the builds and the sanitizers. Everything except Python and a C compiler is
installed from PyPI; sanitizer steps use the C compiler's own run-time libraries.

`python tools/check.py quick` uses the current environment, made by `pip install -e '.[dev]'`. It
builds in place, lints, checks types, runs some cases of each test and all examples, in less than 90
seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent))

from suite import OTHER_LEVEL, SAME_KERNELS, SOME_TESTS

ROOT = Path(__file__).resolve().parent.parent

# the oldest versions that pyproject.toml allows, and a SciPy of their time
OLDEST = (
    "numpy==2.0.*", "pandas==2.2.*", "polars==1.0.*", "scikit-learn==1.7.*", "scipy==1.13.*",
    "tqdm==4.60.*",
)  # fmt: skip


# Methods of Checks. INSTALL runs first, then each core runs one step at a time, in this order:
# quick steps that often fail, then the longest first, so that all cores finish together.
INSTALL = "install"
STEPS = (
    "lint", "types", "sanitizers", "tests", "slow_tests", "machine_code", "levels",
    "wheels", "without_threads", "docs", "packages", "benchmarks",
)  # fmt: skip
EXTRA = "oldest"
QUICK = "quick"
# Of `quick`, in two rounds: the others need what is built. The longest comes first.
QUICK_STEPS = (("build",), ("some_tests", "examples", "types", "lint"))


def compiler_cache() -> list[str]:
    """Return Debian's folder of ccache's compilers, if ccache is installed."""
    return ["/usr/lib/ccache"] if shutil.which("ccache") else []


class Checks:
    """The steps, each a function of one environment, whose output goes to one stream."""

    def __init__(self, folder: Path, python: Path, out: IO[str] = sys.stdout) -> None:
        self.folder = folder
        self.python = python
        self.out = out

    def run(self, *command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
        """Run a command; raise CalledProcessError when it fails."""
        print("\n$", *command, file=self.out, flush=True)
        path = os.pathsep.join([str(self.python.parent), *compiler_cache(), os.environ["PATH"]])
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
        # tests/test_against_torch.py compares with this version of torch
        self.run(self.python, "-m", "pip", "install", "-q", "-e", ".[dev,torch]", "torch==2.13.0")

    def lint(self) -> None:
        bin_folder = self.python.parent
        self.run(self.python, "-m", "ruff", "check", ".")
        self.run(self.python, "-m", "ruff", "format", "--check", ".")
        self.run(bin_folder / "cython-lint", *sorted((ROOT / "fastgd").rglob("*.p[yx][xd]")))
        folders = (ROOT / "src_c", ROOT / "tools")
        sources = [path for folder in folders for path in folder.rglob("*.[ch]")]
        self.run(bin_folder / "clang-format", "--dry-run", "--Werror", *sorted(sources))
        self.run(bin_folder / "lint-imports", "--no-cache")
        self.run(self.python, "tools/rules.py")
        self.run(self.python, "tools/workflows.py")

    def types(self) -> None:
        self.run(self.python, "-m", "mypy")

    def build(self) -> None:
        """Build the compiled part in place, for `quick`."""
        self.run(self.python, "setup.py", "-q", "build_ext", "--inplace")

    def some_tests(self) -> None:
        """Run the tests, with each value of each parameter once, for `quick`.

        Those of signals are left out: each starts a process and waits for it.
        """
        self.run(self.python, "-m", "pytest", "-q", *SOME_TESTS)

    def examples(self) -> None:
        """Run the examples in docstrings and on pages, for `quick`."""
        self.run(self.python, "-m", "pytest", "-q", "--doctest-modules", "fastgd")
        self.run(self.python, "-m", "pytest", "-q", "--doctest-glob=*.md", "README.md")
        self.pages()

    def pages(self) -> None:
        pages = ("docs", "--doctest-glob=*.md", "--doctest-glob=*.rst")
        self.run(self.python, "-m", "pytest", "-q", *pages)

    def tests(self) -> None:
        self.run(self.python, "-m", "pytest", "-q", "-m", "not slow")
        self.run(self.python, "-m", "pytest", "-q", "--doctest-modules", "fastgd")
        self.run(self.python, "-m", "pytest", "-q", "--doctest-glob=*.md", "README.md")

    def slow_tests(self) -> None:
        self.run(self.python, "-m", "pytest", "-q", "-m", "slow")

    def docs(self) -> None:
        """Run the examples on the pages, and make the site without a warning or dead link."""
        self.pages()
        site = self.folder / "site"
        self.run(
            self.python, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", site
        )
        self.run(self.python, "tools/pages.py", site)

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

    def wheels(self) -> None:
        """Build a wheel for other Linuxes and try it; compile src_c/ for other systems."""
        out = self.folder / "wheels"
        self.run(self.python, "tools/wheels.py", "build", "manylinux2014_x86_64", "-o", out)
        (wheel,) = out.iterdir()
        self.run(self.python, "tools/wheel_contents.py", wheel)
        self.run(self.python, "tools/wheels.py", "try", wheel)
        self.run(self.python, "tools/wheels.py", "kernels")

    def without_threads(self) -> None:
        """Build without threads, as for Pyodide; the quick tests pass on one."""
        target = self.folder / "serial"
        self.run(self.python, "tools/building.py", target, FASTGD_THREADS="off")
        code = (
            "import fastgd, sys; assert fastgd.__file__.startswith(sys.argv[1]), fastgd.__file__;"
            "from fastgd.engine import engine; c = engine.config(); print(c);"
            "assert not c['threads compiled in'] and c['threads'] == 1"
        )
        self.run(self.python, "-c", code, target, PYTHONPATH=str(target))
        self.run(self.python, "-m", "pytest", "-q", *SAME_KERNELS, PYTHONPATH=str(target))

    def sanitizers(self) -> None:
        self.run(self.python, "tools/sanitize.py", "address")
        self.run(self.python, "tools/sanitize.py", "thread")

    def oldest(self) -> None:
        """Run the quick tests with the oldest libraries; only if requested by name."""
        venv.create(self.folder / "oldest", with_pip=True)
        python = self.folder / "oldest" / "bin" / "python"
        self.run(
            python, "-m", "pip", "install", "-q", ".", *OLDEST,
            "hypothesis", "matplotlib", "mpmath", "pytest>=8", "rich", "setuptools>=77",
            "threadpoolctl",
        )  # fmt: skip
        # CI="": old libraries lack features, so skips are no failures here
        self.run(python, "-m", "pytest", "-q", *SAME_KERNELS, CI="")


def run_step(step: str, checks: Checks) -> bool:
    """Run one step; return whether it passed."""
    print(f"\n=== {step}", file=checks.out, flush=True)
    start = time.perf_counter()
    try:
        getattr(checks, step)()
    except subprocess.CalledProcessError as error:
        print(f"\nFAILED: {step} (exit code {error.returncode})", file=checks.out, flush=True)
        return False
    print(f"=== {step}: {time.perf_counter() - start:.0f} s", file=checks.out, flush=True)
    return True


def run_side_by_side(
    steps: Sequence[str], folder: Path, python: Path, failures_alone: bool = False
) -> bool:
    """Run one step per core; print each one's output when it ends; start none after a failure.

    With `failures_alone`, print only the time of steps that passed.
    """
    passed = True

    def run(step: str) -> tuple[bool, Path]:
        log = folder / f"{step}.log"
        with log.open("w") as out:
            return passed and run_step(step, Checks(folder, python, out)), log

    print(f"\nSide by side: {', '.join(steps)}", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for job in as_completed([pool.submit(run, step) for step in steps]):
            well, log = job.result()
            passed &= well
            text = log.read_text()
            print(text.splitlines()[-1] + "\n" if well and failures_alone else text, end="",
                  flush=True)  # fmt: skip
    return passed


def run_quick(folder: Path) -> bool:
    """Run the steps of `quick` in the environment of this Python."""
    python = Path(sys.executable)
    return all(
        run_side_by_side(steps, folder, python, failures_alone=True) for steps in QUICK_STEPS
    )


def run_full(wanted: list[str], folder: Path) -> bool:
    """Run the requested steps, or all, in a fresh environment."""
    python = folder / "venv" / "bin" / "python"
    # several steps compile the same kernels: a cache of this run alone, so that nothing is stale
    os.environ |= {"CCACHE_DIR": str(folder / "ccache"), "CCACHE_BASEDIR": str(ROOT)}
    steps = [step for step in (*STEPS, EXTRA) if step in (wanted or STEPS)]
    return run_step(INSTALL, Checks(folder, python)) and run_side_by_side(steps, folder, python)


def main() -> int:
    """Run the steps, install first; return 1 when one fails."""
    steps = (*STEPS, EXTRA)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "steps", nargs="*", metavar="STEP",
        help=f"{QUICK}; or only these, after install: {', '.join(STEPS)}; or, which runs only when "
        f"it is named, {EXTRA}",
    )  # fmt: skip
    wanted = parser.parse_args().steps
    if QUICK in wanted and len(wanted) > 1:
        parser.error(f"{QUICK} is a check of its own: name no step beside it")
    if unknown := set(wanted) - {*steps, QUICK}:
        parser.error(f"no such step: {', '.join(unknown)}; steps: {', '.join(steps)}; or {QUICK}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        passed = run_quick(folder) if wanted == [QUICK] else run_full(wanted, folder)
    print("\nAll checks passed." if passed else "\nThere are failures.")
    return not passed


if __name__ == "__main__":
    sys.exit(main())
