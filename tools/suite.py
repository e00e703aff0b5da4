"""Which tests run again on another build of the package, or on another instruction level."""

# Tests of what no compiler can break, or of other libraries' numbers.
_ELSEWHERE = (
    "against_torch", "cli*", "convexity", "descents", "docs", "escapes", "examples", "graphs",
    "instructions", "landscapes", "nodes", "package", "page", "plot*", "schedules", "tables",
)  # fmt: skip
_IGNORED = [f"--ignore-glob=*/test_{name}.py" for name in _ELSEWHERE]

# pytest's arguments for kernels that were compiled in another way
OTHER_KERNELS = ["-m", "not slow", *_IGNORED]
# for the same kernels: tests that force each level in turn would tell nothing new
SAME_KERNELS = ["-m", "not slow and not each_level", *_IGNORED]
