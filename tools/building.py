"""Builds for the other tools: of the kernels alone, and of the package from a copied source."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import setup  # noqa: E402, the flags of the build

CROSS = "aarch64-linux-gnu-"  # prefix of Debian's cross compiler and its tools
DTYPES = ("f32", "f64")
SOURCES = ("fastgd", "src_c", "setup.py", "pyproject.toml", "README.md", "LICENSE")

Objects = dict[tuple[str, str], Path]  # by level and dtype


def compile_kernels(prefix: str, levels: Iterable[str], folder: Path) -> Objects:
    """Compile each level and dtype with the gcc of this prefix, unless the folder has it."""

    def compile_one(kind: tuple[str, str]) -> Path:
        level, dtype = kind
        target = folder / f"{prefix}{level}_{dtype}.o"
        if not target.exists():
            source = ROOT / "src_c" / "isa" / f"{level}_{dtype}.c"
            flags = [*setup.CFLAGS, *setup.LEVEL_FLAGS.get(level, []), "-I", ROOT / "src_c"]
            subprocess.run([f"{prefix}gcc", *flags, "-c", source, "-o", target], check=True)
        return target

    kinds = list(product(levels, DTYPES))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(kinds, pool.map(compile_one, kinds), strict=True))


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --objects, a folder of compiled kernels."""
    parser.add_argument(
        "--objects", type=Path, metavar="FOLDER",
        help="keep the compiled kernels here, and reuse those that are already here (compiled from "
        "the same sources)",
    )  # fmt: skip


@contextmanager
def object_folder(named: Path | None) -> Iterator[Path]:
    """Yield the named folder, or a temporary one."""
    if named is not None:
        named.mkdir(parents=True, exist_ok=True)
        yield named
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def copy_sources(folder: Path) -> Path:
    """Copy the sources of a build, so that parallel builds share no folder; return the copy.

    Cython's output is copied too. Files keep their times, so it is still up to date.
    """
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            shutil.copy2(source, copy)
    return copy


def install(target: Path, **environment: str) -> None:
    """Build the package with these environment variables, and install it into the target."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
                "--no-cache-dir", "--target", target, ".",
            ],
            cwd=copy_sources(Path(folder)),
            env={**os.environ, **environment},
            check=True,
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build and install the package into a folder.")
    parser.add_argument("target", type=Path, help="the folder; created if it does not exist")
    install(parser.parse_args().target)
