"""Shared by the timed tests: the fixture that times an epoch, and the summary of ratios.

``pytest benchmarks/`` times; ``pytest benchmarks/ --benchmark-disable`` runs every test once on
tiny data. Neither is part of the ordinary test run, whose ``testpaths`` is ``tests``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

RESULTS: pytest.StashKey[dict[str, dict[str, float]]] = pytest.StashKey()
BUDGET = 0.5  # target seconds for all rounds of one benchmark
MAX_ROUNDS = 30

Timer = Callable[..., None]


@pytest.hookimpl(tryfirst=True)  # before pytest-benchmark reads its options
def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = {}
    option = config.option
    if getattr(option, "benchmark_columns", ...) is None:
        option.benchmark_columns = ["median", "iqr", "rounds"]
    if getattr(option, "benchmark_sort", ...) is None:
        option.benchmark_sort = "median"
    if getattr(option, "benchmark_group_by", ...) is None:
        option.benchmark_group_by = "group"


@pytest.fixture
def time_epoch(benchmark: Any, request: pytest.FixtureRequest) -> Timer:
    """Time ``epoch()``, one call per round, after a warm-up.

    Parameters of the returned function: ``group`` and ``backend`` name the table and the row;
    ``samples`` is the number of samples per epoch; ``epoch`` trains one epoch; ``reset`` runs
    untimed before each round; ``warm_up`` runs once before the rounds and returns the share of an
    epoch that it trained.
    """

    def time_it(
        group: str,
        backend: str,
        samples: int,
        epoch: Callable[[], object],
        reset: Callable[[], object],
        warm_up: Callable[[], float],
    ) -> None:
        benchmark.group = group
        if not benchmark.enabled:
            benchmark.pedantic(epoch, setup=_quiet(reset), rounds=1)
            return
        begin = time.perf_counter()
        share = warm_up()
        estimate = (time.perf_counter() - begin) / share
        rounds = int(min(max(BUDGET / estimate, 1), MAX_ROUNDS))
        benchmark.pedantic(epoch, setup=_quiet(reset), rounds=rounds, iterations=1)
        seconds = statistics.median(benchmark.stats.stats.data)
        benchmark.extra_info.update(samples=samples, samples_per_second=samples / seconds)
        results = request.config.stash[RESULTS]
        results.setdefault(group, {})[backend] = samples / seconds

    return time_it


def _quiet(reset: Callable[[], object]) -> Callable[[], None]:
    def setup() -> None:  # pytest-benchmark would use a returned value as arguments
        reset()

    return setup


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    results = config.stash.get(RESULTS, {})
    if not results:
        return
    terminalreporter.section("samples per second, and the ratios to the compiled backend")
    width = max(map(len, results))
    for group, speed in results.items():
        parts = [
            f"{speed['compiled'] / speed[other]:.1f} times {other}"
            for other in ("vectorized", "loop")
            if other in speed and "compiled" in speed
        ]
        known = ", ".join(f"{name} {value:,.0f}/s" for name, value in speed.items())
        if parts:
            known = f"compiled is {', '.join(parts)}  ({known})"
        terminalreporter.write_line(f"{group + ':':<{width + 1}} {known}")
