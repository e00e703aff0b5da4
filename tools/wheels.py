"""Build wheels and the sdist for others' machines, and try them: for releases, and for check.py.

sdist: the source distribution; the same bytes from the same commit.
build: a wheel by `zig cc`, which compiles for other systems and for old C libraries.
try: install a wheel into a bare environment, run some tests there, and compare the bits of
trainings with those of this build.
installed: the tests of `try` alone, on the package that this Python has (cibuildwheel's test).
kernels: compile src_c/ for other systems, and compare bits where an emulator runs the program.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import building
from building import ROOT, copy_sources, setup


class Target(NamedTuple):
    """What zig compiles for, and how pip names it."""

    zig: str
    machine: str
    platform: str  # of the wheel before auditwheel repairs it


TARGETS = {
    "manylinux2014_x86_64": Target("x86_64-linux-gnu.2.17", "x86_64", "linux-x86_64"),
    "manylinux2014_aarch64": Target("aarch64-linux-gnu.2.17", "aarch64", "linux-aarch64"),
    "manylinux_2_28_x86_64": Target("x86_64-linux-gnu.2.28", "x86_64", "linux-x86_64"),
    "manylinux_2_28_aarch64": Target("aarch64-linux-gnu.2.28", "aarch64", "linux-aarch64"),
    "musllinux_1_2_x86_64": Target("x86_64-linux-musl", "x86_64", "linux-x86_64"),
}
# What runs a program for the system: its name for `which`, and the command. None: compile only.
SYSTEMS: dict[str, tuple[str, list[str]] | None] = {
    "x86_64-linux-musl": ("/lib/ld-musl-x86_64.so.1", []),
    "x86_64-windows-gnu": None,  # Debian 12's wine did not end within minutes
    "aarch64-windows-gnu": None,
    "aarch64-macos": None,
}
TESTS = ("test_threads.py", "test_optimizers.py", "test_sampling.py")
TEST_NEEDS = ("pytest>=8", "hypothesis", "mpmath", "threadpoolctl>=3.1")


def zig(*words: str) -> list[str]:
    """Return a command of zig's, as the package `ziglang` has it."""
    return [sys.executable, "-m", "ziglang", *words]


def commit_time() -> str:
    """Return SOURCE_DATE_EPOCH: what is set, or the time of the last commit."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return os.environ["SOURCE_DATE_EPOCH"]
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.check_output(command, cwd=ROOT, text=True).strip()


def build_wheel(name: str, out: Path, include: str = "") -> Path:
    """Build a wheel for a target; return its path. include: options with Python's headers."""
    target = TARGETS[name]
    compiler = " ".join(zig("cc", "-target", target.zig)) + f" {include}"
    suffix = f".{sys.implementation.cache_tag}-{target.machine}-linux-gnu.so"
    environment = {
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared",
        "AR": " ".join(zig("ar")),
        "FASTGD_MACHINE": target.machine,
        "SETUPTOOLS_EXT_SUFFIX": suffix.replace("-gnu", "-musl") if "musl" in name else suffix,
        "_PYTHON_HOST_PLATFORM": target.platform,
        "SOURCE_DATE_EPOCH": commit_time(),
    }
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
                "--no-cache-dir", "-w", folder, ".",
            ],
            cwd=copy_sources(Path(folder)), env={**os.environ, **environment}, check=True,
        )  # fmt: skip
        (built,) = Path(folder).glob("*.whl")
        auditwheel = [sys.executable, "-m", "auditwheel"]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        subprocess.run([*auditwheel, "show", built], check=True)
        # auditwheel knows the names of this machine's platforms alone, and finds others by itself
        plat = name if target.machine == platform.machine() else "auto"
        subprocess.run(
            [*auditwheel, "repair", "--plat", plat, "-w", out, built],
            env={**os.environ, "PATH": path}, check=True,  # where its helper, patchelf, is
        )  # fmt: skip
        stem = built.stem.rpartition("-")[0]
    (wheel,) = out.glob(f"{stem}-*{target.machine}*.whl")
    return wheel


def build_sdist(out: Path) -> Path:
    """Build the source distribution, and write it anew without the time and user of the build."""
    seconds = int(commit_time())
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "-n", "-s", "-o", folder]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        (built,) = Path(folder).glob("*.tar.gz")
        target = out / built.name
        out.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        with tarfile.open(built) as old, tarfile.open(fileobj=packed, mode="w") as new:
            for member in sorted(old.getmembers(), key=lambda member: member.name):
                member.mtime, member.uid, member.gid, member.uname, member.gname = (
                    seconds,
                    0,
                    0,
                    "",
                    "",
                )
                member.pax_headers = {}
                member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
        target.write_bytes(gzip.compress(packed.getvalue(), mtime=seconds))
    return target


def test_installed(python: Path) -> None:
    """Run some tests on the package that a Python has, from a folder without its sources."""
    tests = [ROOT / "tests" / name for name in TESTS]
    with tempfile.TemporaryDirectory() as elsewhere:
        # a skip is a failure in continuous integration; here it is what the system lacks
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "CI": ""}
        code = "import fastgd, sys; print(fastgd.__file__, fastgd.show_config())"
        options = ["-m", "not slow", "--cross-section", "-p", "no:cacheprovider"]
        config = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT]
        for command in (["-c", code], ["-m", "pytest", "-q", *options, *config, *tests]):
            subprocess.run([python, *command], cwd=elsewhere, env=environment, check=True)


def try_wheel(wheel: Path) -> bool:
    """Use a wheel in a bare environment; return whether its trainings have this build's bits."""
    script = ROOT / "tools" / "training_bits.py"
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder, "venv"), with_pip=True)
        python = Path(folder, "venv", "bin", "python")
        install = [python, "-m", "pip", "install", "-q", wheel]
        subprocess.run(install, check=True)
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        bits, expected = (
            subprocess.check_output([each, script], cwd=folder, env=environment, text=True)
            for each in (python, sys.executable)
        )
        subprocess.run([*install, *TEST_NEEDS], check=True)
        test_installed(python)
    same = bits == expected
    count = len(expected.splitlines())
    print(f"{wheel.name}: {count} trainings have {'the same' if same else 'OTHER'} bits as here")
    return same


def compile_kernels(system: str, folder: Path) -> Path:
    """Compile all of src_c/ for a system; return the program, tools/kernel_bits.c."""
    machine = system.partition("-")[0]
    levels = ["neon"] if machine == "aarch64" else ["baseline", "avx2", "avx512"]
    flags = ["-target", system, *setup.CFLAGS, "-Wall", "-I", str(ROOT / "src_c")]
    run = SYSTEMS[system] is not None
    sources = [
        (ROOT / "src_c" / f"{name}.c", []) for name in ("pool", "dispatch", "sum", "shuffle")
    ]
    sources += [
        (ROOT / "src_c" / "isa" / f"{level}_{dtype}.c", setup.LEVEL_FLAGS.get(level, []))
        for level in levels
        for dtype in ("f32", "f64")
    ]
    objects = []
    for source, more in sources:
        objects.append(folder / f"{system}-{source.stem}.o")
        options = [*flags, *more, "-O1"]  # soon compiled; bits do not depend on it
        subprocess.run([*zig("cc"), *options, "-c", source, "-o", objects[-1]], check=True)
    program = folder / f"{system}.exe"
    if run:
        bits = [ROOT / "tools" / "kernel_bits.c", *objects]
        subprocess.run([*zig("cc"), *flags, "-dynamic", *bits, "-o", program], check=True)
    return program


def compile_here(folder: Path) -> Path:
    """Compile tools/kernel_bits.c for this machine by its own compiler, once."""
    program = folder / "here"
    if not program.exists():
        objects = building.compile_kernels("", setup.levels(), folder).values()
        sources = [ROOT / "tools" / "kernel_bits.c", ROOT / "src_c" / "dispatch.c"]
        flags = ["-O1", "-I", ROOT / "src_c"]
        subprocess.run(["gcc", *flags, *sources, *objects, "-o", program], check=True)
    return program


def kernel_bits(system: str, folder: Path) -> Iterator[str]:
    """Yield what is wrong with the kernels compiled for a system."""
    program = compile_kernels(system, folder)
    runner = SYSTEMS[system]
    if runner is None:
        print(f"{system}: src_c/ compiles")
        return
    needed, command = runner
    if not shutil.which(needed):
        print(f"{system}: src_c/ compiles; NOT RUN, it needs {needed}", file=sys.stderr)
        if os.environ.get("CI"):
            yield f"{system}: it needs {needed}"
        return
    here = compile_here(folder)
    for level in ("avx2", "avx512"):
        expected = subprocess.run([here, level], capture_output=True, text=True)
        if expected.returncode:
            print(f"{level}: not compared, it cannot run on this CPU")
            continue
        printed = subprocess.run([*command, program, level], capture_output=True, text=True)
        if printed.returncode or printed.stdout.split() != expected.stdout.split():
            yield f"{system}: {level} has other bits than here\n{printed.stderr[-2000:]}"
        else:
            print(f"{system}: {level} has the same bits as here")


def main() -> int:
    """Do what was asked; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True)
    for name in ("sdist", "build"):
        tasks.add_parser(name).add_argument("-o", "--out", type=Path, default=ROOT / "dist")
    tasks.choices["build"].add_argument("target", choices=TARGETS)
    tasks.add_parser("try").add_argument("wheel", type=Path)
    tasks.add_parser("installed")
    tasks.add_parser("kernels").add_argument("systems", nargs="*", metavar="SYSTEM")
    options = parser.parse_args()
    problems: list[str] = []
    if options.task == "sdist":
        print(build_sdist(options.out))
    elif options.task == "build":
        options.out.mkdir(parents=True, exist_ok=True)
        print(build_wheel(options.target, options.out))
    elif options.task == "try":
        problems += [] if try_wheel(options.wheel) else [f"{options.wheel}: other bits"]
    elif options.task == "installed":
        test_installed(Path(sys.executable))
    else:
        with tempfile.TemporaryDirectory() as folder:
            for system in options.systems or SYSTEMS:
                problems += kernel_bits(system, Path(folder))
    print(*problems, sep="\n", end="\n" if problems else "")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
