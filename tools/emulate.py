"""Compare bits between the instruction levels, and with aarch64 under emulation.

kernels: tools/kernel_bits.c, compiled with the kernels for this machine and, by Debian's cross
compiler, for aarch64. trainings: tools/training_bits.py, by this Python and one for aarch64. Each
runs on every level of this machine that fuses multiply-adds and, under qemu, on NEON; all must
print the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import aarch64
from building import CROSS, ROOT, add_option, compile_kernels, object_folder, setup

THREADS = {"OMP_NUM_THREADS": "3"}  # three, because two threads mostly get equal shares

Printed = dict[str, str]  # by level


def build(prefix: str, levels: list[str], folder: Path) -> Path:
    """Compile kernel_bits.c with the kernels of these levels; return the program's path."""
    objects = compile_kernels(prefix, levels, folder).values()
    program = folder / f"{prefix}bits"
    sources = [ROOT / "tools" / "kernel_bits.c", ROOT / "src_c" / "dispatch.c"]
    flags = ["-O1", "-static", "-I", ROOT / "src_c"]
    subprocess.run([f"{prefix}gcc", *flags, *sources, *objects, "-o", program], check=True)
    return program


def kernels_here(folder: Path) -> Printed:
    """Return the output of kernel_bits.c on each level that this CPU can run."""
    printed = {}
    program = build("", setup.levels(), folder)
    for level in setup.levels():
        run = subprocess.run([program, level], capture_output=True, text=True)
        if run.returncode == 0 and level != "baseline":
            printed[level] = run.stdout
        else:
            reason = "does not fuse" if level == "baseline" else "cannot run on this CPU"
            print(f"{level}: not compared, it {reason}")
    return printed


def kernels_emulated(folder: Path) -> str:
    """Return the output of kernel_bits.c with NEON on an emulated aarch64."""
    aarch64.check_tools()
    program = build(CROSS, ["neon"], folder)
    return subprocess.check_output([aarch64.QEMU, program, "neon"], text=True)


def trainings_here(folder: Path) -> Printed:
    """Return the output of training_bits.py on each level that this CPU can run."""
    from fastgd.engine import kernels

    script = ROOT / "tools" / "training_bits.py"
    return {
        level: subprocess.check_output(
            [sys.executable, script],
            env={**os.environ, **THREADS, "FASTGD_ISA": level}, text=True,
        )
        for level in kernels.levels()
        if level != "baseline"
    }  # fmt: skip


def trainings_emulated(folder: Path) -> str:
    """Return the output of training_bits.py on an emulated aarch64."""
    with tempfile.TemporaryDirectory() as root:
        return aarch64.run_python(ROOT / "tools" / "training_bits.py", Path(root), **THREADS)


def same(printed: Printed) -> bool:
    """Print how many lines of each level differ from the first; return whether none do."""
    if not printed:
        return True
    (first, expected), *others = printed.items()
    all_equal = True
    for level, text in others:
        pairs = list(zip(text.splitlines(), expected.splitlines(), strict=True))
        differing = [f"{ours} != {theirs}" for ours, theirs in pairs if ours != theirs]
        print(f"{level} and {first}: {len(differing) or 'none'} of {len(pairs)} lines differ")
        print(*differing[:20], sep="\n", end="\n" if differing else "")
        all_equal &= not differing
    return all_equal


def main() -> int:
    """Compare; return 1 if a level differs, or if CI cannot emulate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("kernels", "trainings"), help="what to compare")
    add_option(parser)
    options = parser.parse_args()
    here, emulated = {
        "kernels": (kernels_here, kernels_emulated),
        "trainings": (trainings_here, trainings_emulated),
    }[options.what]
    missing = False
    with object_folder(options.objects) as folder:
        printed = here(folder)
        if "neon" not in printed:
            try:
                printed["neon"] = emulated(folder)
            except aarch64.MissingError as lack:
                print(f"neon: NOT RUN, it needs {lack}", file=sys.stderr)
                missing = bool(os.environ.get("CI"))
    return missing or not same(printed)


if __name__ == "__main__":
    sys.exit(main())
