"""Training on files larger than memory: speed beside reading alone, memory, and convergence.

``python benchmarks/larger_than_memory.py --memory 1024 --folder /data/tmp`` writes a data set of
four times that memory (in MB), and runs each measurement in a process of its own that may use no
more.
As root under a writable memory cgroup (v1 or v2) the kernel enforces it, page cache included;
otherwise the data set is still read cold, but only anonymous memory is limited (RLIMIT_DATA), and
the table says so. ``--small`` takes half a minute and proves nothing but that it runs.

Peers that are not installed (torch, scikit-learn, xgboost, vw) are left out, by name.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

D = 64
BATCH = 64
GROUPS = 256  # blocks of the Parquet file
NETWORK = [D, 64, 64, 1]
CGROUPS = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")


# ---------------------------------------------------------------------------------------
# The data set
# ---------------------------------------------------------------------------------------


def write_data(folder: str, n: int) -> None:
    """Write X.npy, y.npy and rows.parquet: n rows of D features, part by part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    w = rng.standard_normal(D).astype("f4") / 8
    X = np.lib.format.open_memmap(os.path.join(folder, "X.npy"), "w+", "f4", (n, D))
    y = np.empty(n, "f4")
    names = [f"x{k}" for k in range(D)]
    schema = pa.schema([(name, pa.float32()) for name in [*names, "y"]])
    size = -(-n // GROUPS)
    options = {"compression": "none", "use_dictionary": False}
    with pq.ParquetWriter(os.path.join(folder, "rows.parquet"), schema, **options) as file:
        for start in range(0, n, size):
            end = min(start + size, n)
            part = rng.standard_normal((end - start, D), dtype="f4")
            target = part @ w + rng.standard_normal(end - start).astype("f4") / 10
            X[start:end], y[start:end] = part, target
            columns = [*map(np.ascontiguousarray, part.T), target]
            file.write_table(pa.table(columns, schema=schema), row_group_size=size)
    X.flush()
    np.save(os.path.join(folder, "y.npy"), y)


def drop_cache(folder: str) -> None:
    """Remove the files from the page cache."""
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# ---------------------------------------------------------------------------------------
# Measurements: each returns rows a second and may return more, in a process of its own
# ---------------------------------------------------------------------------------------

Result = dict[str, Any]


def timed(rows: int, function: Callable[[], Any]) -> Result:
    begun = time.perf_counter()
    function()
    return {"rows/s": rows / (time.perf_counter() - begun)}


def cat(folder: str, n: int) -> Result:
    """Read X.npy and y.npy from end to end, as cat does."""

    def read() -> None:
        buffer = bytearray(1 << 23)
        for name in ("X.npy", "y.npy"):
            with open(os.path.join(folder, name), "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    return timed(n, read)


def scan(folder: str, n: int) -> Result:
    """Read the row groups with pyarrow, and do nothing with them."""
    import pyarrow.parquet as pq

    def read() -> None:
        with pq.ParquetFile(os.path.join(folder, "rows.parquet")) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group)

    return timed(n, read)


def open_source(folder: str, kind: str) -> Any:
    import fastgd as gd

    if kind == "npy":
        return gd.open_blocks(os.path.join(folder, "X.npy"), os.path.join(folder, "y.npy"))
    return gd.open_blocks(os.path.join(folder, "rows.parquet"), target="y")


def train(folder: str, n: int, kind: str, sizes: list[int]) -> Result:
    """Train one epoch on blocks."""
    import fastgd as gd

    net = gd.Network(sizes, rng=0)
    blocks = open_source(folder, kind)
    history = gd.train(net, blocks, batch_size=BATCH, epochs=1, optimizer=gd.SGD(0.001), rng=0)
    return {
        "rows/s": n / history.seconds[0],
        "waited": history.wait_seconds[0] / history.seconds[0],
        "loss": history.loss[0],
    }


def in_memory(folder: str, n: int, sizes: list[int]) -> Result:
    """Train on as many rows as fit into memory several times, from an array."""
    import fastgd as gd

    rows = min(n, 200_000)
    X = np.array(np.load(os.path.join(folder, "X.npy"), mmap_mode="r")[:rows])
    y = np.load(os.path.join(folder, "y.npy"))[:rows]
    net = gd.Network(sizes, rng=0)
    history = gd.train(net, X, y, batch_size=BATCH, epochs=5, optimizer=gd.SGD(0.001), rng=0)
    return {"rows/s": rows / statistics.median(history.seconds)}


def with_sklearn(folder: str, n: int) -> Result:
    """SGDRegressor.partial_fit on each row group: batches of one sample."""
    import pyarrow.parquet as pq
    from sklearn.linear_model import SGDRegressor

    model = SGDRegressor(learning_rate="constant", eta0=0.001, penalty=None)

    def run() -> None:
        with pq.ParquetFile(os.path.join(folder, "rows.parquet")) as file:
            for group in range(file.num_row_groups):
                part = file.read_row_group(group)
                table = np.column_stack([column.to_numpy() for column in part.columns])
                model.partial_fit(table[:, :D], table[:, D])

    return timed(n, run)


def with_torch(folder: str, n: int, sizes: list[int]) -> Result:
    """DataLoader over an IterableDataset of row groups with a shuffle buffer of 8 of them."""
    import pyarrow.parquet as pq
    import torch
    from torch.utils.data import DataLoader, IterableDataset

    torch.set_num_threads(1)

    class Rows(IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            generator = torch.Generator().manual_seed(0)
            with pq.ParquetFile(os.path.join(folder, "rows.parquet")) as file:
                order = torch.randperm(file.num_row_groups, generator=generator).tolist()
                for at in range(0, len(order), 8):
                    parts = [file.read_row_group(group) for group in order[at : at + 8]]
                    columns = [[c.to_numpy() for c in part.columns] for part in parts]
                    held = torch.from_numpy(np.concatenate([np.column_stack(c) for c in columns]))
                    held = held[torch.randperm(len(held), generator=generator)]
                    yield from held.split(BATCH)

    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), 0.001)

    def run() -> None:
        for batch in DataLoader(Rows(), batch_size=None, num_workers=1):
            loss = ((model(batch[:, :D])[:, 0] - batch[:, D]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return timed(n, run)


def with_xgboost(folder: str, n: int) -> Result:
    """XGBoost's external memory, only for reading: one quantile matrix from the row groups."""
    import pyarrow.parquet as pq
    import xgboost

    class Groups(xgboost.DataIter):
        def __init__(self) -> None:
            self.file = pq.ParquetFile(os.path.join(folder, "rows.parquet"))
            self.at = 0
            super().__init__(cache_prefix=os.path.join(folder, "xgboost"))

        def next(self, input_data: Any) -> bool:
            if self.at == self.file.num_row_groups:
                return False
            part = self.file.read_row_group(self.at)
            table = np.column_stack([column.to_numpy() for column in part.columns])
            input_data(data=table[:, :D], label=table[:, D])
            self.at += 1
            return True

        def reset(self) -> None:
            self.at = 0

    return timed(n, lambda: xgboost.ExtMemQuantileDMatrix(Groups()))


LINEAR = [D, 1]
#: name: the function, its further arguments, and what its speed is compared with
TASKS: dict[str, tuple[Callable[..., Result], tuple[Any, ...], str]] = {
    "cat .npy": (cat, (), ""),
    "pyarrow scan": (scan, (), ""),
    "linear in memory": (in_memory, (LINEAR,), ""),
    "network in memory": (in_memory, (NETWORK,), ""),
    "linear, .npy": (train, ("npy", LINEAR), "cat .npy"),
    "linear, Parquet": (train, ("parquet", LINEAR), "pyarrow scan"),
    "network, .npy": (train, ("npy", NETWORK), "network in memory"),
    "network, Parquet": (train, ("parquet", NETWORK), "network in memory"),
    "sklearn partial_fit": (with_sklearn, (), "pyarrow scan"),
    "torch linear": (with_torch, (LINEAR,), "pyarrow scan"),
    "torch network": (with_torch, (NETWORK,), "network in memory"),
    "xgboost reading": (with_xgboost, (), "pyarrow scan"),
}


# ---------------------------------------------------------------------------------------
# Processes with little memory
# ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def limited(megabytes: int) -> Iterator[tuple[str, str]]:
    """Make a cgroup; yield its folder (empty if there is none) and how memory is limited."""
    for root in CGROUPS:
        version = 2 if os.path.exists(os.path.join(root, "cgroup.controllers")) else 1
        group = os.path.join(root, f"fastgd-benchmark-{os.getpid()}")
        limit = "memory.max" if version == 2 else "memory.limit_in_bytes"
        try:
            os.mkdir(group)
        except OSError:
            continue
        try:
            with open(os.path.join(group, limit), "w") as file:
                file.write(str(megabytes << 20))
        except OSError:
            os.rmdir(group)
            continue
        try:
            yield group, f"cgroup v{version}, page cache included"
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(group)
        return
    yield "", "RLIMIT_DATA: anonymous memory only, the page cache is not limited"


def run_task(name: str, folder: str, n: int, group: str, megabytes: int) -> Result:
    """Run a measurement in a process of its own."""
    command = [
        sys.executable, os.path.abspath(__file__), "--task", name, "--folder", folder,
        "--rows", str(n), "--memory", str(megabytes), "--group", group,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"error": "not installed" if "ModuleNotFoundError" in lines[-1] else lines[-1]}
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def be_task(arguments: argparse.Namespace) -> None:
    """Be the process of a measurement: enter the limit, measure, print."""
    if arguments.group:
        with open(os.path.join(arguments.group, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))
    else:
        room = arguments.memory << 20
        resource.setrlimit(resource.RLIMIT_DATA, (room, room))
    function, more, _ = TASKS[arguments.task]
    result = function(arguments.folder, arguments.rows, *more)
    with open("/proc/self/status") as file:  # getrusage would count the parent's memory
        (peak,) = (line.split()[1] for line in file if line.startswith("VmHWM"))
    result["peak MB"] = int(peak) / 1024
    print(json.dumps(result))


def measure_speed(folder: str, n: int, megabytes: int, rounds: int) -> None:
    """Print rows a second of every task, cold and warm."""
    with limited(megabytes) as (group, how):
        print(f"memory: {megabytes} MB ({how}); data: {n:,} rows of {D} float32, "
              f"{n * 4 * (D + 1) / 2**20:.0f} MB, in .npy and in Parquet")  # fmt: skip
        print(f"{'':22}{'cold rows/s':>12}{'share':>7}{'warm rows/s':>13}{'share':>7}"
              f"{'waited':>8}{'peak MB':>9}")  # fmt: skip
        speeds: dict[str, list[float]] = {}
        for name, (_, _, beside) in TASKS.items():
            found = []
            for cold in (True, False):
                runs = []
                for _ in range(rounds):
                    if cold:
                        drop_cache(folder)
                    runs.append(run_task(name, folder, n, group, megabytes))
                    if "error" in runs[-1]:
                        break
                found.append(sorted(runs, key=lambda run: run.get("rows/s", 0))[len(runs) // 2])
                if "error" in found[-1]:
                    break
            if "error" in found[-1]:
                print(f"{name:22}{found[-1]['error'][:70]}")
                continue
            speeds[name] = [run["rows/s"] for run in found]
            shares = ["", ""]
            if beside in speeds:
                pairs = zip(speeds[name], speeds[beside], strict=True)
                shares = [f"{100 * mine / other:.0f} %" for mine, other in pairs]
            waited = f"{100 * found[1]['waited']:.0f} %" if "waited" in found[1] else ""
            peak = max(run["peak MB"] for run in found)
            print(f"{name:22}{found[0]['rows/s']:12.3g}{shares[0]:>7}{found[1]['rows/s']:13.3g}"
                  f"{shares[1]:>7}{waited:>8}{peak:9.0f}")  # fmt: skip


# ---------------------------------------------------------------------------------------
# Convergence
# ---------------------------------------------------------------------------------------


def measure_convergence(n: int, epochs: int) -> None:
    """Print the loss after equal epochs on rows sorted by their target: the worst case."""
    import fastgd as gd

    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 16)).astype("f4")
    w = rng.standard_normal((16, 2)).astype("f4")
    y = (X @ w[:, 0] + np.tanh(X @ w[:, 1]) + rng.standard_normal(n) / 2).astype("f4")
    sort = np.argsort(y)
    X, y = X[sort], y[sort]
    blocks = gd.open_blocks(X, y, block_rows=-(-n // GROUPS))
    options = {"batch_size": 32, "epochs": epochs, "optimizer": gd.SGD(0.01)}
    ways = {
        "full shuffle": {"sampling": "shuffle"},
        f"window 8 of {len(blocks)}": {"window": 8},
        "window 1": {"window": 1},
        "sequential": {"sampling": "sequential"},
    }
    print(f"\nconvergence: {n:,} rows sorted by target, {epochs} epochs; mean loss, 3 seeds")
    reference = 0.0
    for sizes, what in (([16, 1], "linear"), ([16, 32, 1], "network")):
        for name, way in ways.items():
            losses = []
            for seed in range(3):
                net = gd.Network(sizes, rng=seed)
                gd.train(net, blocks, rng=seed, **options, **way)
                losses.append(net.loss_value(X, y))
            loss = statistics.mean(losses)
            reference = loss if name == "full shuffle" else reference
            print(f"{what:9}{name:20}{loss:10.5f}{100 * (loss / reference - 1):+10.2f} %")
    with contextlib.suppress(ImportError):
        from sklearn.linear_model import SGDRegressor

        model = SGDRegressor(learning_rate="constant", eta0=0.01 / 32, penalty=None, random_state=0)
        for _ in range(epochs):
            for i in range(len(blocks)):
                model.partial_fit(*blocks.read(i))
        loss = float(((model.predict(X) - y) ** 2).mean())
        print(f"{'linear':9}{'sklearn partial_fit':20}{loss:10.5f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--memory", type=int, default=1024, help="MB that a process may use")
    parser.add_argument("--times", type=float, default=4, help="the data's size, in memories")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the median counts")
    parser.add_argument("--folder", help="where to write the data; temporary by default")
    parser.add_argument("--small", action="store_true", help="only test that it runs")
    for hidden in ("--task", "--group"):
        parser.add_argument(hidden, default="", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        be_task(arguments)
        return
    if arguments.small:
        arguments.memory, arguments.times, arguments.rounds = 640, 0.1, 1
    n = int(arguments.memory * arguments.times * 2**20) // (4 * (D + 1))
    folder = tempfile.mkdtemp(prefix="fastgd-benchmark-", dir=arguments.folder)
    try:
        write_data(folder, n)
        measure_speed(folder, n, arguments.memory, arguments.rounds)
    finally:
        shutil.rmtree(folder)
    measure_convergence(20_000 if arguments.small else 200_000, 3 if arguments.small else 10)


if __name__ == "__main__":
    main()
