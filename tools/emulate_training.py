"""Compare whole trainings' bits between levels, and with aarch64 under emulation.

`python tools/emulate_training.py`: runs tools/training_bits.py on every level of this machine that
fuses multiply-adds and, with Debian's cross compiler and qemu, on aarch64: with Debian's Python
for it, unpacked into a temporary folder, NumPy's wheel, and the package built for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from emulate import CROSS, QEMU, ROOT

PACKAGES = ("libc6", "libgcc-s1", "libstdc++6", "libgomp1", "libexpat1", "zlib1g")
OF_PYTHON = ("{}-minimal", "lib{}-minimal", "lib{}-stdlib", "lib{}-dev")
WHEELS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
TRAINING = Path("tools", "training_bits.py")
THREADS = {"OMP_NUM_THREADS": "3"}  # three teach more than two, which share evenly


class MissingError(Exception):
    """What this machine lacks, in words."""


def unpack_python(folder: Path) -> str:
    """Unpack Debian's Python for aarch64 into the folder; return its name, such as python3.11.

    apt keeps its lists there too, so that nothing of this machine changes.
    """
    for name in ("lists/partial", "archives/partial"):
        (folder / "apt" / name).mkdir(parents=True)
    (folder / "apt" / "status").touch()
    settings = {
        "APT::Architecture": "arm64", "APT::Architectures::": "arm64",
        "APT::Sandbox::User": "root",
        "Dir::State": folder / "apt", "Dir::State::status": folder / "apt" / "status",
        "Dir::Cache": folder / "apt",
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    try:
        subprocess.run(["apt-get", *options, "update", "-qq"], check=True, capture_output=True)
        depends = subprocess.check_output(
            ["apt-cache", *options, "depends", "python3-minimal"], text=True
        )
        python = re.search(r"python3\.\d+", depends)
        if python is None:
            raise MissingError("a python3-minimal for arm64 among apt's packages")
        names = [*PACKAGES, *(name.format(python[0]) for name in OF_PYTHON)]
        subprocess.run(
            ["apt-get", *options, "download", "-qq", *names],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingError(f"apt's packages for arm64 ({error})") from error
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    return python[0]


def unpack_numpy(folder: Path, version: str) -> None:
    """Unpack NumPy's wheel for aarch64 and this Python into folder/site."""
    platforms = [word for name in WHEELS for word in ("--platform", name)]
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check",
            "--only-binary=:all:", "--no-deps", *platforms, "--python-version", version,
            "-d", folder, "numpy",
        ],
        check=True,
    )  # fmt: skip
    for wheel in folder.glob("*.whl"):
        shutil.unpack_archive(wheel, folder / "site", "zip")


def build(folder: Path, python: str) -> None:
    """Build the package for aarch64 into folder/site."""
    source = folder / "source"
    shutil.copytree(ROOT / "fastgd", source / "fastgd", ignore=shutil.ignore_patterns("*.so"))
    shutil.copytree(ROOT / "src_c", source / "src_c")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    headers = folder / "root" / "usr" / "include"
    environment = {
        "CC": f"{CROSS} -I{headers / python} -I{headers}",
        "LDSHARED": f"{CROSS} -shared",
        "FASTGD_MACHINE": "aarch64",
        "FASTGD_OPENMP": "on",
    }
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-lib", folder / "site"],
        cwd=source, env={**os.environ, **environment}, check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for built in (folder / "site" / "fastgd").glob("*.so"):  # named for the machine that built it
        built.rename(built.with_name(built.name.split(".")[0] + ".so"))


def emulated(folder: Path) -> str:
    """Return what the trainings print on an emulated aarch64."""
    if not (shutil.which(CROSS) and shutil.which(QEMU)):
        raise MissingError(f"{CROSS} and {QEMU} (Debian: gcc-aarch64-linux-gnu qemu-user)")
    python = unpack_python(folder)
    unpack_numpy(folder, python.removeprefix("python"))
    build(folder, python)
    root = folder / "root"
    environment = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(folder / "site")}
    return subprocess.check_output(
        [QEMU, "-L", root, root / "usr" / "bin" / python, ROOT / TRAINING],
        env={**os.environ, **THREADS, **environment}, text=True,
    )  # fmt: skip


def main() -> int:
    """Compare; return 1 where a level differs, or where CI cannot emulate."""
    from fastgd import _kernels

    failed = False
    printed = {}
    for level in _kernels.levels():
        if level != "baseline":
            printed[level] = subprocess.check_output(
                [sys.executable, ROOT / TRAINING],
                env={**os.environ, **THREADS, "FASTGD_ISA": level}, text=True,
            )  # fmt: skip
    if "neon" not in printed:
        with tempfile.TemporaryDirectory() as folder:
            try:
                printed["neon"] = emulated(Path(folder))
            except MissingError as lack:
                print(f"neon: NOT RUN, it needs {lack}", file=sys.stderr)
                failed = bool(os.environ.get("CI"))
    if not printed:
        return failed
    (first, expected), *others = printed.items()
    for level, text in others:
        lines = list(zip(text.splitlines(), expected.splitlines(), strict=True))
        differing = [ours for ours, theirs in lines if ours != theirs]
        print(f"{level} and {first}: {len(differing) or 'none'} of {len(lines)} trainings differ")
        print(*differing[:20], sep="\n", end="\n" if differing else "")
        failed |= bool(differing)
    return failed


if __name__ == "__main__":
    sys.exit(main())
