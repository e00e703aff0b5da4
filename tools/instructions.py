"""Check the machine code of the inner loops: `python tools/instructions.py`.

Compiles each level's kernels as the build does and reads the disassembly: every hot kernel must
multiply and add in one instruction, on vectors of the level's own width, and keep what it adds up
in registers. A slow build is found this way without a clock.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import setup  # noqa: E402, the flags of the build

HOT = ("dense", "dense_scale", "dense_gradient", "dot", "dot_gradient", "dots", "dots_gradient")
REGISTER = {"avx2": "ymm", "avx512": "zmm"}


def functions(level: str, dtype: str, folder: Path) -> dict[str, list[str]]:
    """Return the instructions of each function of one level and dtype."""
    target = folder / f"{level}_{dtype}.o"
    source = ROOT / "src_c" / "isa" / f"{level}_{dtype}.c"
    flags = [*setup.CFLAGS, *setup.LEVEL_FLAGS[level], "-I", str(ROOT / "src_c")]
    subprocess.run(["gcc", *flags, "-c", source, "-o", target], check=True)
    text = subprocess.check_output(["objdump", "-d", "--no-show-raw-insn", target], text=True)
    bodies = re.split(r"\n[0-9a-f]+ <([^>]+)>:\n", text)[1:]
    return {name: body.splitlines() for name, body in zip(bodies[::2], bodies[1::2], strict=True)}


def complaints(name: str, body: list[str], register: str) -> list[str]:
    """Return what is wrong with a kernel's code."""
    fused = [line for line in body if "vfmadd" in line and register in line]
    separate = [line for line in body if re.search(r"\bvmulp[sd]\b", line) and register in line]
    spills = [
        line
        for line in body
        if re.search(rf"vmov\w+ +%{register}\d+,.*\(%r[sb]p\)", line)
        or re.search(r"vfmadd\w+ .*\(%r[sb]p\)", line)
    ]
    found = []
    if not fused:
        found.append("no fused multiply-add")
    if separate and name != "dense_scale":  # which multiplies once at the end of a tile
        found.append(f"{len(separate)} multiplications that are not fused: {separate[0].strip()}")
    if spills:
        found.append(f"{len(spills)} spilled registers: {spills[0].strip()}")
    return found


def main() -> int:
    """Print a line a kernel; return 1 when any of them is not as it should be."""
    levels = [level for level in setup.levels() if level in REGISTER]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for level in levels:
            for dtype in ("f32", "f64"):
                bodies = functions(level, dtype, Path(folder))
                for name in HOT:
                    body = bodies[name]
                    found = complaints(name, body, REGISTER[level])
                    wrong += len(found)
                    fused = sum("vfmadd" in line for line in body)
                    print(f"{level:7} {dtype} {name:15} {len(body):5} instructions, {fused} fused",
                          *found, sep="; ")  # fmt: skip
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
