"""Escape control characters in text from files before it is shown on a terminal.

Files that are written unchanged, such as a table of predictions, do not use this module.
"""

from __future__ import annotations

import unicodedata
from typing import Any

__all__ = ["Visible", "visible"]

#: categories: control characters, line and paragraph separators, surrogates
CONTROL_CATEGORIES = ("Cc", "Zl", "Zp", "Cs")
#: characters that change the order of text around them: a name could look like another
DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def visible(text: str) -> str:
    r"""Return text with its control characters as Python escapes, such as \x1b.

    >>> print(visible("red \x1b[31m, bell \a, line\nend"))
    red \x1b[31m, bell \x07, line\nend
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in CONTROL_CATEGORIES or char in DIRECTION_MARKS
        else char
        for char in text
    )


class Visible:
    """A stream that passes its lines through `visible`."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Write lines of text; line ends are kept."""
        self.stream.write("\n".join(map(visible, text.split("\n"))))
