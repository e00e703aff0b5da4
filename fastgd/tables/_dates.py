"""Recognise and parse dates in text: ISO 8601, and the formats that are common in CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

__all__ = ["ISO", "find_format", "parse"]

#: stands for ISO 8601, which has many forms
ISO = ""
DAYS = (
    "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%m/%d/%y", "%d/%m/%y",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%b %Y",
)  # fmt: skip
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
FORMATS = (ISO, *(day + time for day in DAYS for time in TIMES))
EPOCH = datetime(1970, 1, 1)
#: text without this many digits is not tried
FEWEST_DIGITS = 4


def parse(text: str, form: str) -> datetime | None:
    """Return the time that a text names, in UTC if it has a time zone; None if it names none."""
    if sum(map(str.isdigit, text)) < FEWEST_DIGITS:
        return None
    try:
        found = datetime.fromisoformat(text) if form == ISO else datetime.strptime(text, form)
    except ValueError:
        return None
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def find_format(texts: Sequence[str]) -> str | None:
    """Return the first format that fits all of some texts; None if there is none.

    Months come before days where both orders fit, as in pandas.
    """
    if not texts:
        return None
    fitting = (form for form in FORMATS if parse(texts[0], form) is not None)
    return next((form for form in fitting if all(parse(text, form) for text in texts)), None)
