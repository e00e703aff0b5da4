"""Pictures of gradient descent; needs matplotlib (``pip install fastgd[plot]``).

Every function draws on the axes that it is given, or on a new figure, and returns the axes. Its
title says what the picture shows, computed from what is drawn. Lines differ in dashes and
markers, so that they can be told apart in grey. ``plt.style.use("fastgd.plot.light")``, or
``"fastgd.plot.dark"``, gives a user's own pictures the same look; where the text of the axes is
light the functions here take the colours for dark paper by themselves.

A function checks what it was given, computes all that will be drawn, and only then touches the
axes. What is drawn comes from the rest of the package: nothing here trains.
"""

try:
    import matplotlib  # noqa: F401, to say which extra brings it
except ImportError as error:
    raise ImportError(
        "fastgd.plot draws with matplotlib, which can not be imported "
        f"({error}): pip install 'fastgd[plot]'"
    ) from error

from fastgd.plot._coverage import coverage
from fastgd.plot._escape import escape
from fastgd.plot._graph import graph
from fastgd.plot._loss import loss
from fastgd.plot._paths import animate_paths, paths
from fastgd.plot._schedules import schedules
from fastgd.plot._spread import gradient_spread
from fastgd.plot._trace import trace

__all__ = [
    "animate_paths",
    "coverage",
    "escape",
    "gradient_spread",
    "graph",
    "loss",
    "paths",
    "schedules",
    "trace",
]
