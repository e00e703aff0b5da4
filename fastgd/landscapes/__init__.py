"""Costs of few parameters with a known shape, for studying gradient descent.

Each is a finite sum: its cost is the mean of n terms, as a network's cost is the mean of its
samples' losses, and a batch is some of the terms. Saddles, minima and curvatures are known in
closed form, so that the effect of a batch size can be shown and proved. For networks and data see
`fastgd.train`.
"""

from fastgd.landscapes._convexity import ConvexityCheck, is_convex_on
from fastgd.landscapes._costs import Bowl, Quintic, Rosenbrock, Saddle
from fastgd.landscapes._descent import descend
from fastgd.landscapes._escape import EscapeShares, escape_share
from fastgd.landscapes._landscape import Landscape

__all__ = [
    "Bowl",
    "ConvexityCheck",
    "EscapeShares",
    "Landscape",
    "Quintic",
    "Rosenbrock",
    "Saddle",
    "descend",
    "escape_share",
    "is_convex_on",
]
