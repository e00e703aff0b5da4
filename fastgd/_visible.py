"""What comes from files and is shown to people: without characters that command a terminal.

A file that stands as it is, such as a table of predictions, is no business of this module.
"""

from __future__ import annotations

import unicodedata
from typing import Any

__all__ = ["Visible", "visible"]

#: categories of characters that move, colour or ring, end a line, or are half of a character
HIDDEN = ("Cc", "Zl", "Zp", "Cs")
#: those that turn the order of the characters around them: a name could show as another
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def visible(text: str) -> str:
    r"""Return text with its control characters as Python writes them, such as \x1b.

    >>> print(visible("red \x1b[31m, bell \a, line\nend"))
    red \x1b[31m, bell \x07, line\nend
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in HIDDEN or char in TURNING
        else char
        for char in text
    )


class Visible:
    """A stream whose lines are written as `visible` makes them."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Write lines of text; their ends stay as they are."""
        self.stream.write("\n".join(map(visible, text.split("\n"))))
