"""A Python for aarch64 with NumPy and the package, run by qemu: for tools/emulate.py.

It is Debian's Python, unpacked into a temporary folder together with NumPy's wheel and the
package's, which is cross-compiled.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from building import CROSS
from wheels import build_wheel

QEMU = "qemu-aarch64"
PACKAGES = ("libc6", "libgcc-s1", "libstdc++6", "libexpat1", "zlib1g")
OF_PYTHON = ("{}-minimal", "lib{}-minimal", "lib{}-stdlib", "lib{}-dev")
WHEELS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")


class MissingError(Exception):
    """The message names what this machine lacks."""


def unpack_python(folder: Path) -> str:
    """Unpack Debian's Python for aarch64 into the folder; return its name, such as python3.11.

    apt's lists are kept there too, so that this machine's own are not changed.
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
    """Build a wheel for aarch64, and unpack it into folder/site."""
    headers = folder / "root" / "usr" / "include"
    wheel = build_wheel(
        "manylinux2014_aarch64", folder / "wheels", f"-I{headers / python} -I{headers}"
    )
    shutil.unpack_archive(wheel, folder / "site", "zip")
    engine = folder / "site" / "fastgd" / "engine"
    for built in engine.glob("*.so"):  # the name has the version of the building Python
        built.rename(built.with_name(built.name.split(".")[0] + ".so"))


def check_tools() -> None:
    """Raise `MissingError` if this machine cannot compile or run programs for aarch64."""
    if not (shutil.which(f"{CROSS}gcc") and shutil.which(QEMU)):
        raise MissingError(
            f"{CROSS}gcc and {QEMU} (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)"
        )


def run_python(script: Path, folder: Path, **environment: str) -> str:
    """Return the output of a script on an emulated aarch64, whose files are put into the folder."""
    check_tools()
    python = unpack_python(folder)
    unpack_numpy(folder, python.removeprefix("python"))
    build(folder, python)
    root = folder / "root"
    places = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(folder / "site")}
    return subprocess.check_output(
        [QEMU, "-L", root, root / "usr" / "bin" / python, script],
        env={**os.environ, **places, **environment}, text=True,
    )  # fmt: skip
