"""Compare epochs over samples as they are stored with epochs over the same samples as float32.

60,000 rows of 784 bytes, as images have, for a softmax regression and a network of 128 hidden
units; and a linear model of 512 columns on a set larger than the last-level cache, in bytes, in
half precision and in float64. Both arrays are trained on in turns; ``pytest
benchmarks/test_rows.py`` prints the milliseconds per epoch and their ratio. The last test trains a
network on sparse rows, beside scikit-learn's MLPClassifier.
"""

from __future__ import annotations

import statistics
import time
import warnings

import numpy as np
import pytest

import fastgd as gd

ROUNDS = 5
IMAGES, PIXELS = 60_000, 784
LARGE, COLUMNS = 120_000, 512  # 246 MB in float32
DOCUMENTS, WORDS, WORDS_PER_ROW = 20_000, 50_000, 100


def bytes_and_classes(n, width):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, width), dtype=np.uint8), rng.integers(10, size=n)


def epochs_in_turns(makes, arrays, y, rounds, **settings):
    """Return the median seconds of an epoch on each array."""
    times = [[] for _ in arrays]
    for _ in range(rounds):
        for seconds, X in zip(times, arrays, strict=True):
            history = gd.train(makes(), X, y, epochs=3, rng=0, **settings)
            seconds.append(min(history.seconds))
    return [statistics.median(each) for each in times]


def report(capsys, name, stored, converted):
    with capsys.disabled():
        print(
            f"\n{name}: {1e3 * stored:.1f} ms, float32 {1e3 * converted:.1f} ms, "
            f"{converted / stored:.2f} times as fast"
        )


@pytest.mark.parametrize("sizes", [[PIXELS, 10], [PIXELS, 128, 10]], ids=["softmax", "network"])
@pytest.mark.parametrize("n_threads", [1, None])
def test_bytes_of_images(sizes, n_threads, benchmark, capsys):
    X, y = bytes_and_classes(IMAGES if benchmark.enabled else 50, PIXELS)

    def make():
        return gd.Network(sizes, loss="cross_entropy", rng=0)

    settings = {"batch_size": 32, "optimizer": gd.SGD(1e-7), "n_threads": n_threads}
    rounds = ROUNDS if benchmark.enabled else 1
    stored, converted = epochs_in_turns(make, [X, X.astype("f4")], y, rounds, **settings)
    benchmark.pedantic(lambda: None, rounds=1)
    report(capsys, f"uint8, {'-'.join(map(str, sizes))}, {n_threads} threads", stored, converted)


@pytest.mark.parametrize("storage", ["uint8", "float16", "float64"])
@pytest.mark.parametrize("batch_size", [1, 64])
def test_linear_model_beyond_the_cache(storage, batch_size, benchmark, capsys):
    X, y = bytes_and_classes(LARGE if benchmark.enabled else 50, COLUMNS)
    arrays = [X.astype(storage), X.astype("f4")]
    rounds = ROUNDS if benchmark.enabled else 1
    stored, converted = epochs_in_turns(
        lambda: gd.Network([COLUMNS, 1], rng=0), arrays, y.astype("f4"), rounds,
        batch_size=batch_size, optimizer=gd.SGD(1e-9), n_threads=1,
    )  # fmt: skip
    benchmark.pedantic(lambda: None, rounds=1)
    report(capsys, f"{storage}, linear, batches of {batch_size}", stored, converted)


def text(n, n_words):
    """Return n rows of word weights, with probabilities about proportional to 1 / rank."""
    sparse = pytest.importorskip("scipy.sparse", reason="needs the extra `sklearn`")
    rng = np.random.default_rng(0)
    ranks = np.exp(rng.random((n, WORDS_PER_ROW)) * np.log(n_words + 1)).astype(np.int64) - 1
    words = np.minimum(ranks, n_words - 1).astype(np.int32)
    starts = np.arange(0, words.size + 1, WORDS_PER_ROW, dtype=np.int32)
    X = sparse.csr_array((rng.random(words.size, np.float32), words.ravel(), starts), (n, n_words))
    X.sum_duplicates()
    return X, rng.integers(2, size=n)


@pytest.mark.parametrize(
    ("solver", "optimizer"),
    [("sgd", gd.SGD(0.01)), ("adam", gd.Adam(0.001))],
    ids=["sgd", "adam"],
)
def test_sparse_rows_beside_scikit_learn(solver, optimizer, benchmark, capsys):
    neural_network = pytest.importorskip("sklearn.neural_network", reason="needs `sklearn`")
    n, n_words = (DOCUMENTS, WORDS) if benchmark.enabled else (100, 1000)
    X, y = text(n, n_words)
    net = gd.Network([n_words, 64, 1], loss="log_loss", rng=0)
    history = gd.train(net, X, y, batch_size=200, epochs=3, optimizer=optimizer, rng=0)
    clf = neural_network.MLPClassifier((64,), solver=solver, momentum=0, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch does not converge
        begin = time.perf_counter()
        clf.fit(X, y)
        peer = time.perf_counter() - begin
    benchmark.pedantic(lambda: None, rounds=1)
    own = min(history.seconds)
    with capsys.disabled():
        print(f"\n{solver}, sparse: {own:.2f} s, scikit-learn {peer:.2f} s, {peer / own:.1f} times")
