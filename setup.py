"""Build the compiled part: a static library of kernels for each level and dtype, and extensions.

All metadata is in pyproject.toml. Set FASTGD_OPENMP to auto (the default: use OpenMP if the
compiler has it), on (fail without it) or off.
"""

import os
import platform
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

# Fused operations are explicit (src_c/kernels/vec.h), and the compiler must not add others, so that
# bits are equal on every level.
CFLAGS = ["-O3", "-g0", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
CFLAGS += os.environ.get("FASTGD_CFLAGS", "").split()
LDFLAGS = os.environ.get("FASTGD_CFLAGS", "").split()

OPENMP_FLAGS = (
    (["-fopenmp"], ["-fopenmp"]),
    (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),  # Apple's clang with Homebrew's libomp
)
OPENMP_PROBE = """
#include <omp.h>
int main(void) {
    int n = 0;
#pragma omp parallel num_threads(2) reduction(+ : n)
    n += 1;
    return n == 0 || omp_get_max_threads() < 1;
}
"""
NO_OPENMP = """
fastgd: WARNING: this compiler has no working OpenMP ({reason}).
fastgd: The package will run on ONE thread. To use more, install OpenMP (gcc has it built in;
fastgd: for clang the package libomp-dev, on macOS `brew install libomp`) and build again.
"""

LEVEL_FLAGS = {
    "avx2": ["-mavx2", "-mfma"],
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
    if wanted:
        raise SystemExit(f"FASTGD_MACHINE={wanted!r}: allowed are x86_64 and aarch64")
    return ["baseline"]


HEADERS = ["src_c/fastgd.h", "src_c/barrier.h", "src_c/team.h"]
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
                        "cflags": CFLAGS + LEVEL_FLAGS.get(level, []),
                        "obj_deps": {"": KERNEL_SOURCES},
                    },
                )
            )
    return libraries


class BuildLibraries(build_clib):
    """Build the kernels; rebuild all if the flags of the last build were different."""

    def run(self):
        flags = repr([CFLAGS, os.environ.get("FASTGD_OPENMP"), os.environ.get("CC")])
        stamp = Path(self.build_temp, "fastgd-flags.txt")
        if not stamp.exists() or stamp.read_text() != flags:
            shutil.rmtree(self.build_temp, ignore_errors=True)
            stamp.parent.mkdir(parents=True)
            stamp.write_text(flags)
            self.get_finalized_command("build_ext").force = True
        super().run()

    def build_libraries(self, libraries):
        """Build the libraries in parallel, one on each core."""
        build = super().build_libraries
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda library: build([library]), libraries))


class BuildExtension(build_ext):
    """Add OpenMP to the engine if a test program compiles and links with it."""

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()

    def run(self):
        self.run_command("build_clib")  # an in-place build would not run it
        super().run()

    def build_extensions(self):
        compile_flags, link_flags = self.openmp()
        for extension in self.extensions:
            if extension.name == "fastgd.engine.engine":
                extension.extra_compile_args += compile_flags
                extension.extra_link_args += link_flags
        super().build_extensions()

    def openmp(self):
        wanted = os.environ.get("FASTGD_OPENMP", "auto").lower()
        if wanted not in {"auto", "on", "off"}:
            raise SystemExit(f"FASTGD_OPENMP={wanted!r}: allowed are auto, on and off")
        if wanted == "off":
            return [], []
        failures = []
        for compile_flags, link_flags in OPENMP_FLAGS:
            failure = self.probe(compile_flags, link_flags)
            if failure is None:
                return compile_flags, link_flags
            failures.append(f"{' '.join(compile_flags)}: {failure}")
        reason = "; ".join(failures)
        if wanted == "on":
            raise SystemExit(
                f"FASTGD_OPENMP=on, but no OpenMP program compiles and links: {reason}"
            )
        print(NO_OPENMP.format(reason=reason), file=sys.stderr)
        return [], []

    def probe(self, compile_flags, link_flags):
        """Compile and link a small OpenMP program; return the error message, None for success."""
        folder = tempfile.mkdtemp()
        try:
            source = Path(folder, "probe.c")
            source.write_text(OPENMP_PROBE)
            objects = self.compiler.compile(
                [str(source)], output_dir=folder, extra_postargs=compile_flags
            )
            self.compiler.link_executable(
                objects, "probe", output_dir=folder, extra_postargs=link_flags
            )
        except Exception as error:  # compilers raise many types; all mean that these flags fail
            return str(error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return None


def extension(name, sources, **options):
    return Extension(
        f"fastgd.engine.{name}",
        sources=[f"fastgd/engine/{name}.pyx", *sources],
        include_dirs=["src_c"],
        extra_compile_args=list(CFLAGS),
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
                extension("engine", [], depends=HEADERS),
                extension(
                    "shuffle",
                    ["src_c/shuffle.c"],
                    depends=["src_c/shuffle.h", "src_c/shuffle.inc.c"],
                ),
                extension("sgd", [], depends=HEADERS),
            ],
            language_level=3,
        ),
        cmdclass={"build_clib": BuildLibraries, "build_ext": BuildExtension},
    )
