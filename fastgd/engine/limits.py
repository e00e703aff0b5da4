"""The limits of the number of threads that users set outside fastgd: OpenMP's, and threadpoolctl's.

fastgd's threads are its own (src_c/pool.c), but a limit for OpenMP's threads is meant for them too.
"""

from __future__ import annotations

import os
import warnings

__all__ = ["from_environment"]


def from_environment(cores: int) -> int:
    """Return the most threads to use: as OpenMP's variables say, or one per core."""
    wanted = _number("OMP_NUM_THREADS") or cores
    return min(wanted, _number("OMP_THREAD_LIMIT") or wanted)


def _number(name: str) -> int | None:
    """Return the number in a variable of OpenMP's; None if it has none, with a warning.

    OMP_NUM_THREADS may list a number for each level of nested teams. There is one level here.
    """
    text = os.environ.get(name, "").split(",")[0].strip()
    if not text:
        return None
    if text.isdecimal() and int(text) > 0:
        return min(int(text), 2**30)
    warnings.warn(
        f"{name}={text!r} is not a positive number of threads: fastgd ignores it",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _register() -> None:
    """Let threadpoolctl, where it is installed, find the engine among the loaded libraries.

    Imported now (3 ms), because it must know the engine before a user sets a limit.
    """
    try:
        from threadpoolctl import LibController, register
    except ImportError:
        return

    class Controller(LibController):  # type: ignore[misc]  # comes without types
        """fastgd's threads, which obey limits for OpenMP."""

        user_api = "openmp"
        internal_api = "fastgd"
        filename_prefixes = ("engine.",)
        check_symbols = ("fastgd_get_max_threads", "fastgd_set_max_threads")

        def get_num_threads(self) -> int:
            """Return the limit."""
            return int(self.dynlib.fastgd_get_max_threads())

        def set_num_threads(self, num_threads: int) -> None:
            """Set the limit, for all threads of Python."""
            self.dynlib.fastgd_set_max_threads(num_threads)

        def get_version(self) -> None:
            """Return None: the package's version is the library's."""

    register(Controller)


_register()
