"""Which tests run again on another build of the package, or on another instruction level."""


def _ignored(*names: str) -> list[str]:
    return [f"--ignore-glob=*/test_{name}.py" for name in names]


# Tests of what no compiler can break, or of other libraries' numbers.
_ELSEWHERE = _ignored(
    "against_torch", "cli*", "convexity", "descents", "docs", "escapes", "examples", "graphs",
    "instructions", "landscapes", "nodes", "package", "page", "plot*", "schedules", "tables",
)  # fmt: skip

# pytest's arguments for kernels that were compiled in another way
OTHER_KERNELS = ["-m", "not slow", *_ELSEWHERE]
# for the same kernels: tests that force each level in turn would tell nothing new
SAME_KERNELS = ["-m", "not slow and not each_level", *_ELSEWHERE]
# for another level of the same build: nor would signals, and how many threads there are
OTHER_LEVEL = [*SAME_KERNELS, *_ignored("interruption", "threads")]
