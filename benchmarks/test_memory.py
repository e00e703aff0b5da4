"""A run adds less than 10 MB of peak memory to the data, measured in a separate process."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMIT_MB = 10.0

# A peak never falls, so a peak from creating the data would hide the run's. The data are created
# in place, and on Linux the peak is reset to the current use just before the run.
SCRIPT = """
import contextlib, resource, sys
import numpy as np
import fastgd as gd

def peak_kb():
    try:
        with open("/proc/self/status") as status:
            return next(int(l.split()[1]) for l in status if l.startswith("VmHWM"))
    except OSError:
        unit = 1024 if sys.platform == "darwin" else 1
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit

sizes, batch, n = {sizes!r}, {batch!r}, {n}
rng = np.random.default_rng(0)
X = np.empty((n, sizes[0]), np.float32)
rng.standard_normal(dtype=np.float32, out=X)
y = X[:, 0].copy()
net = gd.Network(sizes, dtype="float32", rng=0)
with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = peak_kb()
history = gd.train(net, X, y, batch_size=batch, epochs=2, optimizer=gd.SGD(0.01), rng=0)
after = peak_kb()
assert len(history.loss) == 2
print((after - before) / 1024)
"""


@pytest.mark.parametrize("batch", [32, None], ids=["b32", "bn"])
@pytest.mark.parametrize("sizes", [[32, 1], [20, 64, 64, 1]], ids=["linear", "network"])
def test_a_run_adds_less_than_ten_megabytes(sizes, batch):
    script = SCRIPT.format(sizes=sizes, batch=batch, n=100_000)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    added = float(done.stdout)
    assert added < LIMIT_MB, (
        f"training {sizes} at batch size {batch or 'n'} added {added:.1f} MB to the data; "
        f"the limit is {LIMIT_MB:g} MB"
    )
