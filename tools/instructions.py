"""Check the machine code of the inner loops.

Compiles each level's kernels as the build does (aarch64's with Debian's cross compiler) and reads
the disassembly. The innermost loop of every hot kernel must have the number of fused multiply-adds
of its tile, on vectors of the level's width, few other instructions, no multiplication without an
addition, and no access to the stack, which would be a spilled register. An optimizer's loop may
also multiply, divide and take roots. Samples of each storage dtype must be decoded on vectors of
the level's width. This finds a slow build without measuring time.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from building import CROSS, ROOT, add_option, compile_kernels, object_folder, setup

# Fused multiply-adds in one iteration of the main loop: rows x vectors of the kernel's tile.
FUSED = {
    "avx2": {
        "dense": 12, "dense_scale": 12, "dense_gradient": 12,
        "dot": 8, "dot_gradient": 9, "dots": 8, "dots_gradient": 12,
    },
    "avx512": {
        "dense": 16, "dense_scale": 16, "dense_gradient": 16,
        "dot": 4, "dot_gradient": 9, "dots": 24, "dots_gradient": 24,
    },
    "neon": {
        "dense": 16, "dense_scale": 16, "dense_gradient": 16,
        "dot": 8, "dot_gradient": 9, "dots": 8, "dots_gradient": 12,
    },
}  # fmt: skip
# The same for forms of optimizers that share one function, whose source has several loops.
SHARED_LOOPS = {
    "velocity": 2, "nesterov_velocity": 3,
    "rmsprop": 3, "rmsprop_momentum": 4, "rmsprop_centered": 5, "rmsprop_centered_momentum": 6,
}  # fmt: skip
MOST_UPDATING = 6.0
# Instructions for each fused one: loads, broadcasts, loop control; on NEON also address arithmetic.
MOST = {"avx2": 2.5, "avx512": 2.5, "neon": 3.5}
REGISTER = {"avx2": "%ymm", "avx512": "%zmm", "neon": "v"}
MULTIPLY_ADD = re.compile(r"vfn?m(add|sub)\d+p[sd]|fml[as]\s+v")
MULTIPLY = re.compile(r"vmulp[sd]|fmul\s+v")
STACK = re.compile(r"\(%r[sb]p|\[sp")
JUMP = re.compile(r"(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)\s+(?:[^<]*,\s*)?([0-9a-f]+) <")

VECTOR = {"avx2": re.compile("%ymm"), "avx512": re.compile("%zmm"), "neon": re.compile(r"\bv\d+\.")}
SAME = {"f32": "float32", "f64": "float64"}  # a copy, for which the compiler calls memcpy

Body = list[tuple[int, str]]  # address and instruction


def updates() -> dict[str, int]:
    """Return each optimizer's function, and the number of fused multiply-adds in its loop.

    On every level that is the number in its source.
    """
    source = (ROOT / "src_c" / "kernels" / "update.inc.c").read_text(encoding="utf-8")
    table = source[source.index("fgd_optimizer optimizers[]") :]
    counts = dict.fromkeys(re.findall(r", (\w+)\},$", table, re.MULTILINE), 0)
    for name in counts:
        body = re.search(rf"^static void {name}\(.*?^}}", source, re.MULTILINE | re.DOTALL)
        loop = body[0].partition("EACH_VECTOR {")[2] if body else ""
        counts[name] = loop.count("vfma(") or SHARED_LOOPS[name]
    return counts


def storages() -> list[str]:
    """Return the names of the dtypes that samples are decoded from."""
    source = (ROOT / "src_c" / "kernels" / "decode.inc.c").read_text(encoding="utf-8")
    table = source[source.index("#define FGD_STORAGES") : source.index("FGD_INLINE")]
    return re.findall(r"^ +X\((\w+),", table, re.MULTILINE)


def functions(prefix: str, compiled: Path) -> dict[str, Body]:
    """Return the instructions of each function of an object file."""
    command = [f"{prefix}objdump", "-d", "--no-show-raw-insn", compiled]
    text = subprocess.check_output(command, text=True)
    parts = re.split(r"\n[0-9a-f]+ <([^>]+)>:\n", text)[1:]
    return {name: parse(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def parse(text: str) -> Body:
    """Return the addresses and instructions of objdump's lines."""
    found = re.findall(r"^\s*([0-9a-f]+):\s+(.*)$", text, re.MULTILINE)
    return [(int(address, 16), instruction) for address, instruction in found]


def innermost_loops(body: Body) -> list[list[str]]:
    """Return the instructions of each loop (a backward jump) that contains no other loop."""
    loops = []
    for address, instruction in body:
        jump = JUMP.match(instruction)
        if jump and body[0][0] <= int(jump[1], 16) <= address:
            loops.append((int(jump[1], 16), address))
    inner = [
        (first, last)
        for first, last in loops
        if not any(
            first <= start and end <= last and (start, end) != (first, last) for start, end in loops
        )
    ]
    return [[text for at, text in body if first <= at <= last] for first, last in inner]


def fused(loop: list[str], register: str) -> int:
    """Return the number of fused multiply-adds on whole vectors."""
    return sum(bool(MULTIPLY_ADD.match(line)) and register in line for line in loop)


def main_loop(body: Body, register: str, share: float = 0.25) -> list[str]:
    """Return the innermost loop with the most fused multiply-adds, the shortest of several.

    Loops in which their share is smaller are not main loops: ends of sums, tails of rows.
    """

    def size(loop: list[str]) -> tuple[int, int]:
        return fused(loop, register), -len(loop)

    loops = innermost_loops(body)
    return max((k for k in loops if fused(k, register) >= share * len(k)), key=size, default=[])


def complaints(
    loop: list[str], register: str, wanted: int, most: float, multiplies: bool = False
) -> list[str]:
    """Return what is wrong with a kernel's main loop; `multiplies` allows separate products."""
    found = []
    if (count := fused(loop, register)) != wanted:
        found.append(f"{count} fused multiply-adds in place of {wanted}")
    if not multiplies and (separate := [line for line in loop if MULTIPLY.match(line)]):
        found.append(f"{len(separate)} multiplications are not fused: {separate[0]}")
    if spilled := [line for line in loop if STACK.search(line)]:
        found.append(f"{len(spilled)} instructions use the stack: {spilled[0]}")
    if len(loop) > most * wanted:
        found.append(f"more than {most} instructions for each fused one")
    return found


def compilers() -> dict[str, list[str]]:
    """Return the compilers' prefixes, and the levels that each can compile here."""
    native = [level for level in setup.levels() if level in FUSED]
    cross = shutil.which(f"{CROSS}gcc") and shutil.which(f"{CROSS}objdump")
    return {"": native} | ({CROSS: ["neon"]} if cross and "neon" not in native else {})


def check_kernels(level: str, dtype: str, bodies: dict[str, Body]) -> int:
    """Print a line for each kernel; return the number of complaints."""
    register, wrong = REGISTER[level], 0
    of_optimizers = updates()
    for name, wanted in (FUSED[level] | of_optimizers).items():
        is_update = name in of_optimizers
        most = MOST_UPDATING if is_update else MOST[level]
        loop = main_loop(bodies[name], register, 1 / most if is_update else 0.25)
        found = complaints(loop, register, wanted, most, multiplies=is_update)
        wrong += len(found)
        print(f"{level:7} {dtype} {name:25} {fused(loop, register):3} fused of {len(loop):3}",
              *found, sep="; ")  # fmt: skip
    return wrong


def check_decoding(level: str, dtype: str, bodies: dict[str, Body]) -> int:
    """Print a line for each storage dtype that no loop on whole vectors decodes; return how many.

    One loop converts, and one applies a mean and a scale, too.
    """
    wrong = 0
    for name in storages():
        loops = innermost_loops(bodies[f"decode_{name}"])
        found = sum(any(VECTOR[level].search(line) for line in loop) for loop in loops)
        if found < 2 - (name == SAME[dtype]):
            wrong += 1
            print(
                f"{level:7} {dtype} decode_{name:18} {found} loops on whole vectors in place of 2"
            )
    return wrong


def main() -> int:
    """Check every kernel; return 1 if one has a complaint, or if CI lacks a compiler."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_option(parser)
    prefixes, wrong = compilers(), 0
    with object_folder(parser.parse_args().objects) as folder:
        for prefix, levels in prefixes.items():
            for (level, dtype), compiled in compile_kernels(prefix, levels, folder).items():
                bodies = functions(prefix, compiled)
                wrong += check_kernels(level, dtype, bodies) + check_decoding(level, dtype, bodies)
    missing = set(FUSED).difference(*prefixes.values())
    for level in sorted(missing):
        print(f"{level}: NOT COMPILED, there is no compiler for it", file=sys.stderr)
    return bool(wrong or ("neon" in missing and os.environ.get("CI")))


if __name__ == "__main__":
    sys.exit(main())
