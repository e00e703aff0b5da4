"""The command line.

`fastgd` trains one model at several batch sizes and compares them in a table and, with `--html`, on
a page: `_training`. `fastgd predict` uses a saved model: `_predicting`. For options see `_options`,
for the output `_output`, `_report` and `_page`, for the work `table_model` and `comparison`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fastgd._interruption import INTERRUPTED, raise_again
from fastgd._visible import visible
from fastgd.commandline._completion import complete
from fastgd.commandline._options import predict_parser, train_parser, with_config
from fastgd.commandline._places import check_places
from fastgd.commandline._predicting import predict
from fastgd.commandline._training import train
from fastgd.tables._table import InputError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments after the program's name; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        0 done, 1 every run diverged, 2 wrong options or files, 130 interrupted.
    """
    complete()
    words = list(sys.argv[1:] if arguments is None else arguments)
    raise_again()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as by >&- in a shell
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        if words[:1] == ["predict"]:
            work, options = predict, predict_parser().parse_args(with_config(words[1:]))
        else:
            own = words[words[:1] == ["compare"] :]
            work, options = train, train_parser().parse_args(with_config(own))
            options.words = words
        check_places(options)
        code = work(options)
        sys.stdout.flush()
        return code
    except InputError as error:
        return _complain(str(error))
    except ImportError as error:
        if "FASTGD_ISA" not in str(error):
            raise
        return _complain(str(error))
    except MemoryError as error:
        return _complain(f"not enough memory: {error}")
    except KeyboardInterrupt:
        print("fastgd: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        _forget_output()
        return 0
    except UnicodeEncodeError as error:
        return _complain(
            f"standard output is {error.encoding}, which cannot write "
            f"{error.object[error.start]!r}: set PYTHONIOENCODING=utf-8"
        )
    except OSError as error:
        _forget_output()
        return _complain(f"standard output: {error.strerror or error}")


def _complain(text: str) -> int:
    """Print an error, on one line; return its exit code."""
    print(f"fastgd: error: {visible(text)}", file=sys.stderr)
    return 2


def _forget_output() -> None:
    """Discard buffered output, so that flushing at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
