"""Compare the kernels' bits between levels, and with aarch64 under emulation.

`python tools/emulate.py`: compiles tools/kernel_bits.c with the kernels for this machine and,
with Debian's cross compiler and qemu, for aarch64, runs every level that fuses multiply-adds,
and compares what they print.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import setup  # noqa: E402, the flags of the build

CROSS, QEMU = "aarch64-linux-gnu-gcc", "qemu-aarch64"


def build(compiler: str, levels: list[str], folder: Path) -> Path:
    """Compile the program with the kernels of these levels; return where it is."""

    def kernels(level: str, dtype: str) -> Path:
        target = folder / f"{compiler}-{level}-{dtype}.o"
        source = ROOT / "src_c" / "isa" / f"{level}_{dtype}.c"
        flags = [*setup.CFLAGS, *setup.LEVEL_FLAGS.get(level, []), "-I", ROOT / "src_c"]
        subprocess.run([compiler, *flags, "-c", source, "-o", target], check=True)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(kernels, *zip(*product(levels, ("f32", "f64")), strict=True)))
    program = folder / f"{compiler}-bits"
    sources = [ROOT / "tools" / "kernel_bits.c", ROOT / "src_c" / "dispatch.c"]
    flags = ["-O1", "-static", "-I", ROOT / "src_c"]
    subprocess.run([compiler, *flags, *sources, *objects, "-o", program], check=True)
    return program


def fingerprints(folder: Path) -> dict[str, str]:
    """Return what each level that can be run prints."""
    printed = {}
    native = setup.levels()
    program = build("gcc", native, folder)
    for level in native:
        run = subprocess.run([program, level], capture_output=True, text=True)
        if run.returncode == 0 and level != "baseline":
            printed[level] = run.stdout
        else:
            reason = "does not fuse" if level == "baseline" else "cannot run on this CPU"
            print(f"{level}: not compared, it {reason}")
    if native != ["neon"] and shutil.which(CROSS) and shutil.which(QEMU):
        program = build(CROSS, ["neon"], folder)
        printed["neon"] = subprocess.check_output([QEMU, program, "neon"], text=True)
    return printed


def main() -> int:
    """Compare; return 1 where a level differs, or where CI lacks the emulator."""
    with tempfile.TemporaryDirectory() as folder:
        printed = fingerprints(Path(folder))
    failed = False
    if "neon" not in printed:
        print(f"neon: NOT RUN, it needs {CROSS} and {QEMU} (Debian: gcc-aarch64-linux-gnu "
              "libc6-dev-arm64-cross qemu-user)", file=sys.stderr)  # fmt: skip
        failed = bool(os.environ.get("CI"))
    (first, expected), *others = printed.items()
    for level, text in others:
        differing = [
            f"{ours} != {theirs}"
            for ours, theirs in zip(text.splitlines(), expected.splitlines(), strict=True)
            if ours != theirs
        ]
        print(f"{level} and {first}: {len(differing) or 'no'} kernels differ", *differing, sep="\n")
        failed |= bool(differing)
    return failed


if __name__ == "__main__":
    sys.exit(main())
