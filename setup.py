"""Build the compiled part: a static library of kernels for each level and dtype, and extensions.

All metadata is in pyproject.toml. FASTGD_THREADS=off builds an engine without threads.
"""

import json
import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

# Fused operations are explicit (src_c/kernels/vec.h), and the compiler must not add others, so that
# bits are equal on every level.
CFLAGS = ["-O3", "-g0", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
WINDOWS = sys.platform == "win32"
THREADS = os.environ.get("FASTGD_THREADS", "on")
if THREADS not in {"on", "off"}:
    raise SystemExit(f"FASTGD_THREADS={THREADS!r}: allowed are on and off")
if THREADS == "off":
    CFLAGS += ["-DFGD_THREADS=0"]
CFLAGS += os.environ.get("FASTGD_CFLAGS", "").split()
LDFLAGS = [] if THREADS == "off" or WINDOWS else ["-pthread"]
LDFLAGS += os.environ.get("FASTGD_CFLAGS", "").split()

LEVEL_FLAGS = {
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx2", "-mfma"],
}


def levels():
    """Return the instruction levels of this machine's architecture."""
    wanted = os.environ.get("FASTGD_MACHINE")
    machine = (wanted or platform.machine()).lower()
    if machine in {"x86_64", "amd64"}:
        return ["baseline", "avx2", "avx512"]
    if machine in {"aarch64", "arm64"}:
        return ["neon"]
    if wanted and machine != "wasm32":
        raise SystemExit(f"FASTGD_MACHINE={wanted!r}: allowed are x86_64, aarch64 and wasm32")
    return ["baseline"]


HEADERS = [f"src_c/{name}.h" for name in ("fastgd", "barrier", "platform", "pool")]
KERNEL_SOURCES = [str(path) for path in Path("src_c").rglob("*") if path.suffix in {".h", ".c"}]


def kernel_libraries():
    libraries = []
    for level in levels():
        for dtype in ("f32", "f64"):
            source = f"src_c/isa/{level}_{dtype}.c"
            libraries.append(
                (
                    f"fastgd_{level}_{dtype}",
                    {
                        "sources": [source],
                        "include_dirs": ["src_c"],
                        "cflags": for_compiler(CFLAGS + LEVEL_FLAGS.get(level, [])),
                        "obj_deps": {"": KERNEL_SOURCES},
                    },
                )
            )
    return libraries


def use_clang_cl(compiler):
    """On Windows compile by clang-cl: Microsoft's compiler lacks GNU C's vectors."""
    if compiler.compiler_type == "msvc":
        compiler.initialize()
        compiler.cc = os.environ.get("CC", "clang-cl")


def for_compiler(flags):
    """Return options as the compiler takes them: clang-cl takes clang's after /clang:."""
    return [f"/clang:{flag}" for flag in flags] if WINDOWS else list(flags)


class BuildLibraries(build_clib):
    """Build the kernels; rebuild all if the flags of the last build were different."""

    def run(self):
        flags = repr([CFLAGS, os.environ.get("CC")])
        stamp = Path(self.build_temp, "fastgd-flags.txt")
        if not stamp.exists() or stamp.read_text() != flags:
            shutil.rmtree(self.build_temp, ignore_errors=True)
            stamp.parent.mkdir(parents=True)
            stamp.write_text(flags)
            self.get_finalized_command("build_ext").force = True
        super().run()

    def build_libraries(self, libraries):
        """Build the libraries in parallel, one on each core."""
        use_clang_cl(self.compiler)
        build = super().build_libraries
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda library: build([library]), libraries))


class BuildExtension(build_ext):
    """Build the kernels first, and the extensions in parallel."""

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()

    def run(self):
        self.run_command("build_clib")  # an in-place build would not run it
        super().run()

    def build_extensions(self):
        use_clang_cl(self.compiler)
        super().build_extensions()


class BuildWheel(bdist_wheel):
    """Put a bill of materials into the wheel, in dist-info/sboms (PEP 770)."""

    def write_wheelfile(self, wheelfile_base, *arguments, **options):
        super().write_wheelfile(wheelfile_base, *arguments, **options)
        folder = Path(wheelfile_base, "sboms")
        folder.mkdir(exist_ok=True)
        bill = bill_of_materials(self.distribution.get_version())
        (folder / "fastgd.cdx.json").write_text(json.dumps(bill, indent=2) + "\n")


def bill_of_materials(version):
    """Return what a wheel is made of, in CycloneDX's form: fastgd, and code that Cython writes."""

    def component(name, version, licence):
        purl = f"pkg:pypi/{name.lower()}@{version}"
        named = {"type": "library", "bom-ref": purl, "name": name, "version": version}
        return {**named, "purl": purl, "licenses": [{"license": {"id": licence}}]}

    own = component("fastgd", version, "BSD-3-Clause")
    cython = component("Cython", metadata.version("Cython"), "Apache-2.0")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": [cython],
        "dependencies": [{"ref": own["bom-ref"], "dependsOn": [cython["bom-ref"]]}],
    }


def extension(name, sources, **options):
    return Extension(
        f"fastgd.engine.{name}",
        sources=[f"fastgd/engine/{name}.pyx", *sources],
        include_dirs=["src_c"],
        extra_compile_args=for_compiler(CFLAGS),
        extra_link_args=list(LDFLAGS),
        **options,
    )


if __name__ == "__main__":
    from Cython.Build import cythonize

    setup(
        libraries=kernel_libraries(),
        ext_modules=cythonize(
            [
                extension("kernels", ["src_c/dispatch.c"], depends=KERNEL_SOURCES),
                extension("windows", [], depends=HEADERS),
                extension("layers", [], depends=HEADERS),
                extension("packing", [], depends=HEADERS),
                extension("step_loop", ["src_c/sum.c"], depends=HEADERS),
                extension("evaluation", [], depends=HEADERS),
                extension("workspace", [], depends=HEADERS),
                extension("side_by_side", [], depends=HEADERS),
                extension("engine", ["src_c/pool.c"], depends=HEADERS),
                extension(
                    "shuffle",
                    ["src_c/shuffle.c"],
                    depends=["src_c/shuffle.h", "src_c/shuffle.inc.c"],
                ),
                extension("sgd", [], depends=HEADERS),
            ],
            language_level=3,
        ),
        cmdclass={
            "bdist_wheel": BuildWheel,
            "build_clib": BuildLibraries,
            "build_ext": BuildExtension,
        },
    )
