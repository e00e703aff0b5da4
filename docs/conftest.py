"""The examples on the pages, run by pytest: pictures are drawn for nobody, and closed."""

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def _pictures() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")
