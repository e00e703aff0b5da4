"""Run tests on a build with the compiler's sanitizers.

address: gcc's address and undefined-behaviour sanitizers on the quick tests, and on trainings whose
data is changed at random (tools/mutations.py).
thread: clang's thread sanitizer on a threaded run.

The exit code is not 0 if something is found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from building import ROOT, install
from suite import OTHER_KERNELS


def library(compiler: str, name: str) -> str:
    """Return the path of one of the compiler's libraries."""
    path = subprocess.check_output([compiler, f"-print-file-name={name}"], text=True).strip()
    if not Path(path).is_absolute():
        raise FileNotFoundError(f"{compiler} has no {name}")
    return path


def address(target: Path) -> int:
    """Run the quick tests under the address and undefined-behaviour sanitizers."""
    # -g1: line numbers only; address checks as calls: inlined checks and full debug information
    # would double the compile time
    install(
        target,
        FASTGD_CFLAGS="-g1 -O1 -fno-omit-frame-pointer -fsanitize=address,undefined "
        "--param=asan-instrumentation-with-call-threshold=0",
    )
    # the sanitizer's allocator waits forever for memory beyond a limit on addresses
    limited = "tests/test_threads.py::test_training_works_with_the_threads_that_can_be_started"
    options = ["-p", "no:cacheprovider", "--deselect", limited]
    command = [sys.executable, "-m", "pytest", "-q", *options, *OTHER_KERNELS]
    environment = {
        "LD_PRELOAD": f"{library('gcc', 'libasan.so')} {library('gcc', 'libubsan.so')}",
        # CPython keeps memory until it exits, so a leak report would list that
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=66",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=66",
        "PYTHONPATH": str(target),
        "PYTHONSAFEPATH": "1",
    }
    mutations = [sys.executable, "-W", "ignore", str(ROOT / "tools" / "mutations.py"), "--verbose"]
    runs = (
        subprocess.run(each, cwd=ROOT, env={**os.environ, **environment}).returncode
        for each in (command, mutations)
    )
    return next((code for code in runs if code), 0)


def newest_clang() -> str | None:
    """Return a clang whose thread sanitizer can be loaded into Python (16 and later)."""
    names = [f"clang-{version}" for version in range(22, 15, -1)]
    return next((name for name in names if shutil.which(name)), None)


def thread(target: Path) -> int:
    """Run a threaded training under the thread sanitizer."""
    clang = newest_clang()
    if clang is None:
        print(
            "thread sanitizer: NOT RUN. It needs clang 16 or later with its run-time library "
            "(Debian: clang-19 libclang-rt-19-dev)",
            file=sys.stderr,
        )
        return 1 if os.environ.get("CI") else 0
    install(
        target,
        CC=clang,
        LDSHARED=f"{clang} -shared",
        FASTGD_CFLAGS="-g1 -O1 -fsanitize=thread -shared-libsan",
    )
    environment = {
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:halt_on_error=0:exitcode=66",
        "PYTHONPATH": str(target),
        "OPENBLAS_NUM_THREADS": "1",
    }
    # The sanitizer needs fixed addresses: setarch turns off their randomisation. env sets
    # LD_PRELOAD after setarch, which must not be instrumented.
    preload = f"LD_PRELOAD={library(clang, 'libclang_rt.tsan-x86_64.so')}"
    run = str(ROOT / "tools" / "threaded_run.py")
    command = ["setarch", "-R", "env", preload, sys.executable, run]
    return subprocess.run(command, cwd=target, env={**os.environ, **environment}).returncode


def main() -> int:
    """Build, run, and return the exit code."""
    kinds = {"address": address, "thread": thread}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sanitizer", choices=kinds, help="which of the two")
    run = kinds[parser.parse_args().sanitizer]
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
