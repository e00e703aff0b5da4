"""fastgd as on a CPU without AVX-512: the same with a forced instruction level."""

from __future__ import annotations

import os

from . import with_fastgd
from .peer import Run, Unsupported
from .workloads import Array, Workload


def setup(workload: Workload, X: Array, y: Array, threads: int) -> Run:
    os.environ["FASTGD_ISA"] = "avx2"  # read once per process; this process runs only this peer
    try:
        return with_fastgd.setup(workload, X, y, threads)
    except ImportError as error:
        if "FASTGD_ISA" in str(error):
            raise Unsupported(str(error).partition(". Set")[0]) from error
        raise
