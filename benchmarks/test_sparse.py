"""Compare an epoch over sparse text-like rows in fastgd's SGDClassifier and scikit-learn's.

100,000 rows have 80 words each out of 100,000, with probabilities about proportional to 1 / rank.
Both estimators train on the same rows in the same order, in turns; ``pytest
benchmarks/test_sparse.py`` prints the milliseconds per epoch and their ratio.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest

sparse = pytest.importorskip("scipy.sparse", reason="needs the extra `sklearn`")
linear_model = pytest.importorskip("sklearn.linear_model", reason="needs the extra `sklearn`")

from fastgd.sklearn import SGDClassifier  # noqa: E402, after the checks above

ROWS, WORDS, WORDS_PER_ROW = 100_000, 100_000, 80
ROUNDS = 5


def text(n, n_words, rng):
    """Return n rows of word weights, and classes that depend on them."""
    ranks = np.exp(rng.random((n, WORDS_PER_ROW)) * np.log(n_words + 1)).astype(np.int64) - 1
    words = rng.permutation(n_words).astype(np.int32)[np.minimum(ranks, n_words - 1)]
    starts = np.arange(0, words.size + 1, WORDS_PER_ROW, dtype=np.int32)
    X = sparse.csr_array((rng.random(words.size) + 0.1, words.ravel(), starts), (n, n_words))
    X.sum_duplicates()
    score = X @ rng.standard_normal(n_words) + 0.5 * rng.standard_normal(n)
    return X, np.where(score > 0, 1, -1)


def seconds(make, X, y, epochs, **settings):
    clf = make(max_iter=epochs, tol=None, random_state=0, **settings)
    begin = time.perf_counter()
    clf.fit(X, y)
    return time.perf_counter() - begin


def an_epoch(make, X, y, **settings):
    """Return the time of the epochs after the first, without the checks of the data."""
    return (seconds(make, X, y, 4, **settings) - seconds(make, X, y, 1, **settings)) / 3


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "settings",
    [{"loss": "hinge"}, {"loss": "log_loss"}, {"loss": "hinge", "penalty": "l1"}],
    ids=["hinge-l2", "log_loss-l2", "hinge-l1"],
)
def test_sparse_epoch(settings, dtype, benchmark, capsys):
    n, n_words = (ROWS, WORDS) if benchmark.enabled else (200, 500)
    X, y = text(n, n_words, np.random.default_rng(0))
    X = X.astype(dtype)
    peer, own = linear_model.SGDClassifier, SGDClassifier
    times = {peer: [], own: []}
    for _ in range(ROUNDS if benchmark.enabled else 1):
        for make in times:
            times[make].append(an_epoch(make, X, y, **settings))
    benchmark.group = f"sparse {settings} {dtype}"
    benchmark.pedantic(lambda: seconds(own, X, y, 1, **settings), rounds=1)
    if not benchmark.enabled:  # times of so few rows are meaningless
        return
    theirs, ours = (statistics.median(times[make]) for make in (peer, own))
    benchmark.extra_info.update(sklearn_epoch=theirs, fastgd_epoch=ours)
    with capsys.disabled():
        print(
            f"\n{settings} {dtype}: scikit-learn {theirs * 1e3:.1f} ms per epoch, fastgd "
            f"{ours * 1e3:.1f} ms, {theirs / ours:.2f} times as fast"
        )
