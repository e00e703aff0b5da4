"""The tests that are repeated on another build of the package, or on another instruction level."""


def _ignored(*names: str) -> list[str]:
    return [f"--ignore-glob=*/test_{name}.py" for name in names]


# Tests that do not depend on the compiler, or that compare with other libraries.
_ELSEWHERE = _ignored(
    "against_torch", "cli*", "convexity", "descents", "docs", "escapes", "examples", "graphs",
    "instructions", "landscapes", "nodes", "package", "page", "plot*", "schedules", "tables",
)  # fmt: skip

# pytest's arguments for a quick look: each value of each parameter once
SOME_TESTS = ["-m", "not slow", "--cross-section", *_ignored("interruption")]
# for kernels that were compiled differently
OTHER_KERNELS = ["-m", "not slow", "--cross-section", *_ELSEWHERE]
# for the same kernels: tests that force each level in turn would be repetitions
SAME_KERNELS = ["-m", "not slow and not each_level", "--cross-section", *_ELSEWHERE]
# for another level of the same build: so would tests of signals and numbers of threads
OTHER_LEVEL = [*SAME_KERNELS, *_ignored("interruption", "threads")]
