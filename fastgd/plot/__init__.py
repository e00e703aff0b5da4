"""Pictures of gradient descent; needs matplotlib (``pip install 'fastgd[plot]'``).

Every function draws on the given axes or on a new figure, and returns the axes. Its title states
the picture's main finding, computed from the data. Lines differ in dashes and markers, so that
they can be distinguished in grey. ``plt.style.use("fastgd.plot.light")`` or
``"fastgd.plot.dark"`` gives a user's own pictures the same look. If the text of the axes is light,
the functions use the colours for dark backgrounds.

A function checks its arguments and computes everything to draw before it changes the axes.
Nothing here trains.
"""

# ruff: noqa: E402
from fastgd._extras import need

need("matplotlib", "plot", "fastgd.plot")  # before the modules below import it

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
