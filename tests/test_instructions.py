"""tools/instructions.py, which reads the machine code of the inner loops in CI."""

import sys
from pathlib import Path

import pytest

from fastgd.engine import kernels

TOOLS = Path(__file__).parents[1] / "tools"

LOOP = """
  8:	xor    %eax,%eax
 10:	vmovups (%rsi),%ymm0
 14:	vbroadcastss (%rdi),%ymm1
 18:	vfmadd231ps %ymm0,%ymm1,%ymm2
 1c:	vfmadd231ps %ymm0,%ymm1,%ymm3
 1e:	vfmadd231ps %ymm0,%ymm1,%ymm4
 20:	cmp    %rax,%rdi
 24:	jne    10 <dense+0x10>
 28:	vmulps %ymm2,%ymm3,%ymm3
 2c:	vmovaps %ymm3,0x20(%rsp)
 30:	cmp    %rbx,%rsi
 34:	jne    8 <dense+0x8>
"""
NEON_LOOP = """
 10:	ldr	q0, [x1]
 14:	fmla	v2.4s, v0.4s, v1.s[0]
 18:	fmla	v3.4s, v0.4s, v1.s[1]
 1c:	b.ne	10 <dense+0x10>  // b.any
"""


@pytest.fixture
def instructions(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    import instructions

    yield instructions
    for name in ("instructions", "building", "setup"):
        sys.modules.pop(name)


def complaints(instructions, text, wanted=3, register="%ymm"):
    loop = instructions.main_loop(instructions.parse(text), register)
    return instructions.complaints(loop, register, wanted, 3.0)


def test_a_good_loop_passes_whatever_surrounds_it(instructions):
    assert complaints(instructions, LOOP) == []
    assert complaints(instructions, NEON_LOOP, wanted=2, register="v") == []


@pytest.mark.parametrize(
    ("good", "bad", "complaint"),
    [
        (
            "vfmadd231ps %ymm0,%ymm1,%ymm3",
            "vaddps %ymm0,%ymm1,%ymm3",
            "2 fused multiply-adds in place of 3",
        ),
        (
            "vfmadd231ps %ymm0,%ymm1,%ymm3",
            "vfmadd231ps %xmm0,%xmm1,%xmm3",
            "2 fused multiply-adds in place of 3",
        ),
        ("vmovups (%rsi),%ymm0", "vfmadd231ps %ymm0,%ymm1,%ymm5", "4 fused multiply-adds in place"),
        ("vmovups (%rsi),%ymm0", "vmulps %ymm1,%ymm3,%ymm0", "are not fused: vmulps"),
        ("vmovups (%rsi),%ymm0", "vmovaps 0x20(%rsp),%ymm0", "use the stack: vmovaps 0x20"),
        ("vmovups (%rsi),%ymm0", "vmovaps %ymm0,-0x20(%rbp)", "use the stack: vmovaps %ymm0"),
        ("cmp    %rax,%rdi", "\n 21:".join(["\tnop"] * 5), "more than 3.0 instructions"),
        ("jne    10 <dense+0x10>", "jne    40 <dense+0x40>", "use the stack"),  # unrolled away
    ],
)
def test_a_bad_loop_is_reported(instructions, good, bad, complaint):
    assert good in LOOP
    text = LOOP.replace(good, bad)
    assert any(complaint in found for found in complaints(instructions, text))


def test_every_kernel_has_a_tile_on_every_level(instructions):
    kernels = [set(tiles) for tiles in instructions.FUSED.values()]
    assert all(names == kernels[0] for names in kernels)


def test_an_optimizers_loop_may_also_multiply(instructions):
    text = LOOP.replace("vmovups (%rsi),%ymm0", "vmulps %ymm5,%ymm6,%ymm0")
    loop = instructions.main_loop(instructions.parse(text), "%ymm")
    assert instructions.complaints(loop, "%ymm", 3, 3.0, multiplies=True) == []
    assert len(instructions.complaints(loop, "%ymm", 3, 3.0)) == 1


def test_every_optimizers_loop_is_checked(instructions):
    counts = instructions.updates()
    forms = {"adamw": "adam", "efficient_adam": "adam", "nadamw": "nadam"}  # of one function
    names = kernels.names()["optimizer"]
    assert set(counts) == {forms.get(name, name) for name in names}
    assert all(2 <= count <= 6 for count in counts.values())


def test_all_lists_of_levels_are_equal(instructions):
    files = {tuple(path.stem.split("_")) for path in (TOOLS.parent / "src_c" / "isa").glob("*.c")}
    levels = {level for level, _ in files}
    assert files == {(level, dtype) for level in levels for dtype in ("f32", "f64")}
    assert kernels.compiled_levels() == instructions.setup.levels()
    assert levels >= set(instructions.setup.levels()) | set(instructions.setup.LEVEL_FLAGS)
    fused = levels - {"baseline"}
    assert fused == set(instructions.FUSED) == set(instructions.MOST) == set(instructions.REGISTER)
