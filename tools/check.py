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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))

from sanitize import COMPILED_ONLY  # noqa: E402, beside this script

QUICK = ["-m", "not slow", *COMPILED_ONLY]

# the oldest versions that pyproject.toml allows, and a SciPy of their time
OLDEST = (
    "numpy==2.0.*", "pandas==2.2.*", "polars==1.0.*", "scikit-learn==1.7.*", "scipy==1.13.*",
    "tqdm==4.60.*",
)  # fmt: skip


# methods of Checks, in the order in which they run
STEPS = (
    "install", "lint", "types", "tests", "docs", "levels", "machine_code", "benchmarks",
    "packages", "without_openmp", "sanitizers",
)  # fmt: skip
EXTRA = "oldest"


class Checks:
    """The steps, each a function of one environment, in the order in which they run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"

    def run(self, *command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
        """Run a command; stop everything when it fails."""
        print("\n$", *command, flush=True)
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, "PATH": path, "PYTHONSAFEPATH": "1", **environment},
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
        self.run(self.python, "-m", "pytest", "-q")
        self.run(self.python, "-m", "pytest", "-q", "--doctest-modules", "fastgd")
        self.run(self.python, "-m", "pytest", "-q", "--doctest-glob=*.md", "README.md")

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
            print(f"{name}: NOT TESTED, this CPU cannot run it", flush=True)
        for name in lower.split():
            self.run(self.python, "-m", "pytest", "-q", *QUICK, FASTGD_ISA=name)

    def machine_code(self) -> None:
        """Look at the inner loops, and compare the levels' bits with an emulated aarch64's."""
        self.run(self.python, "tools/instructions.py")
        self.run(self.python, "tools/emulate.py")
        self.run(self.python, "tools/emulate_training.py")

    def benchmarks(self) -> None:
        self.run(self.python, "-m", "pytest", "-q", "benchmarks", "--benchmark-disable")

    def packages(self) -> None:
        """Build the sdist, the wheel from it, and use that wheel alone, from elsewhere."""
        out = self.folder / "dist"
        self.run(self.python, "-m", "build", "-o", out)
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
        self.run(
            self.python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
            "--target", target, ".",
            FASTGD_OPENMP="off",
        )  # fmt: skip
        code = (
            "import fastgd, sys; assert fastgd.__file__.startswith(sys.argv[1]), fastgd.__file__;"
            "from fastgd import _engine; c = _engine.config(); print(c);"
            "assert not c['openmp'] and c['threads'] == 1"
        )
        self.run(self.python, "-c", code, target, PYTHONPATH=str(target))
        self.run(
            self.python, "-m", "pytest", "-q", *QUICK,
            PYTHONPATH=str(target),
        )  # fmt: skip

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
        self.run(python, "-m", "pytest", "-q", *QUICK)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "steps", nargs="*", metavar="STEP",
        help=f"only these, after install: {', '.join(STEPS[1:])}; or, which runs only when it is "
        f"named, {EXTRA}",
    )  # fmt: skip
    wanted = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(Path(folder))
        steps = (*STEPS, EXTRA)
        unknown = set(wanted) - set(steps)
        if unknown:
            parser.error(f"no such step: {', '.join(unknown)}; steps: {', '.join(steps)}")
        for step in steps:
            if step not in (wanted or STEPS) and step != "install":
                continue
            print(f"\n=== {step}", flush=True)
            start = time.perf_counter()
            try:
                getattr(checks, step)()
            except subprocess.CalledProcessError as error:
                print(f"\nFAILED: {step} (exit code {error.returncode})", file=sys.stderr)
                return 1
            print(f"=== {step}: {time.perf_counter() - start:.0f} s", flush=True)
    print("\nAll checks passed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
