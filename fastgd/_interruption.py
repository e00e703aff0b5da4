"""Handle Ctrl-C while the command line's modules are imported; runs on import.

`python -m fastgd` imports the package before its own code can catch an interruption, which would
end in a traceback through NumPy's modules. Other programs' handlers are left alone.
"""

import os
import sys
from itertools import pairwise
from typing import Any

__all__ = ["end_quietly", "raise_again"]

INTERRUPTED = 130  # a shell's exit status for Ctrl-C: 128 + SIGINT


def is_command_line() -> bool:
    """Return whether Python was started only for the command line."""
    program = getattr(sys, "argv", [])[:1]  # an embedded Python may have none
    if program == ["-m"]:  # its value until the module is found
        words = sys.orig_argv
        return "-mfastgd" in words or ("-m", "fastgd") in pairwise(words)
    return bool(program) and os.path.basename(program[0]) in ("fastgd", "fastgd.exe")


def end_quietly(*signal: Any) -> None:
    """End the program, which has not started any work yet."""
    os.write(2, b"fastgd: interrupted\n")
    os._exit(INTERRUPTED)


def raise_again() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, now that callers can catch it."""
    import signal

    if signal.getsignal(signal.SIGINT) is end_quietly:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_command_line():
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as by nohup
        signal.signal(signal.SIGINT, end_quietly)
