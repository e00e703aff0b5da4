"""Samplings: exact, reproducible, and equal to a slow definition of the same stream."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastgd import _sampling
from fastgd.sampling import SAMPLINGS, Stratified, make_sampler

BIT_GENERATORS = ["PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"]


def generator(seed=0, bits="PCG64"):
    return np.random.Generator(getattr(np.random, bits)(seed))


def words(rng):
    """Yield a generator's 64-bit words."""
    while True:
        yield int(rng.integers(0, 2**64, dtype=np.uint64))


def from_a_word(n):
    return 4 if n <= 1 << 14 else 3 if n <= 1 << 19 else 2 if n <= 1 << 29 else 1


def slow_draw(source, bounds):
    """Lemire's multiplication, with exact integers: uniform because surplus words are dropped."""
    product = int(np.prod([int(b) for b in bounds], dtype=object))
    while True:
        word, drawn = next(source), []
        for bound in bounds:
            whole, word = divmod(word * bound, 2**64)
            drawn.append(whole)
        if word >= 2**64 % product:
            return drawn


def slow_exchange(source, numbers):
    left = len(numbers)
    while left > 1:
        count = min(from_a_word(left), left - 1)
        for place in slow_draw(source, range(left, left - count, -1)):
            left -= 1
            numbers[place], numbers[left] = numbers[left], numbers[place]
    return numbers


def slow_permutation(n, rng, deal):
    source = words(rng)
    if not deal:
        return slow_exchange(source, list(range(n)))
    ids = itertools.chain.from_iterable(next(source).to_bytes(8, "little") for _ in range(n))
    piles = [[] for _ in range(256)]
    for number, pile in zip(range(n), ids, strict=False):
        piles[pile].append(number)
    return [number for pile in piles for number in slow_exchange(source, pile)]


@pytest.mark.parametrize("bits", BIT_GENERATORS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 64, 1000])
@pytest.mark.parametrize("deal", [False, True])
def test_a_permutation_is_its_definition(n, deal, bits):
    fast, slow = generator(7, bits), generator(7, bits)
    order = _sampling.permutation(n, fast, 0 if deal else None)
    assert order.tolist() == slow_permutation(n, slow, deal)


@pytest.mark.parametrize("n", [1, 2, 10, 1000, 70_000])
def test_draws_are_their_definition(n):
    fast, source = generator(3), words(generator(3))
    expected = []
    while len(expected) < 50:
        expected += slow_draw(source, [n] * min(from_a_word(n), 50 - len(expected)))
    assert _sampling.draws(50, n, fast).tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 70_000, _sampling.DEAL_FROM + 1])
def test_a_permutation_has_each_number_once(n):
    order = _sampling.permutation(n, generator())
    assert order.dtype == np.uint32
    assert (np.sort(order) == np.arange(n)).all()


def chi_square(counts):
    expected = counts.sum() / len(counts)
    return ((counts - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("deal_from", [None, 0], ids=["exchanged", "dealt"])
def test_all_orders_are_equally_likely(deal_from):
    """Of 120 orders: chi-square with 119 degrees of freedom exceeds 185 once in 10,000."""
    rng, orders = generator(1), list(itertools.permutations(range(5)))
    place = {order: i for i, order in enumerate(orders)}
    drawn = [tuple(_sampling.permutation(5, rng, deal_from).tolist()) for _ in range(24_000)]
    counts = np.bincount([place[order] for order in drawn], minlength=120)
    assert chi_square(counts) < 185


@pytest.mark.parametrize("deal_from", [None, 0], ids=["exchanged", "dealt"])
def test_each_number_is_anywhere_equally_likely(deal_from):
    rng, n = generator(2), 40
    counts = np.zeros((n, n))
    for _ in range(4000):
        counts[np.arange(n), _sampling.permutation(n, rng, deal_from)] += 1
    # 40 tables of 39 degrees of freedom: each exceeds 92 about once in 300,000
    assert all(chi_square(row) < 92 for row in counts)


def test_an_epoch_with_replacement_sees_two_thirds_of_the_samples():
    seen = len(np.unique(_sampling.draws(100_000, 100_000, generator()))) / 100_000
    assert seen == pytest.approx(1 - np.exp(-1), abs=0.005)


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("bits", BIT_GENERATORS)
def test_a_generators_state_says_what_comes_next(name, bits):
    labels = np.arange(100) % 3
    sampler = make_sampler(name, labels, 10, False)
    rng = generator(5, bits)
    sampler.epoch(100, rng)
    state = rng.bit_generator.state
    expected = sampler.epoch(100, rng).tolist()
    rng.bit_generator.state = state
    assert sampler.epoch(100, rng).tolist() == expected


@pytest.mark.parametrize("name", ["shuffle", "sequential", "stratified"])
def test_without_replacement_each_sample_comes_once(name):
    order = make_sampler(name, np.arange(100) % 7, 10, False).epoch(100, generator())
    assert sorted(order.tolist()) == list(range(100))


@pytest.mark.parametrize("batch_size", [1, 7, 10, 32, 100])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.7, 0.2, 0.07, 0.03)])
def test_stratified_batches_have_the_classes_shares(shares, batch_size):
    n, rng = 1000, generator(4)
    labels = rng.choice(len(shares), size=n, p=shares)
    order = Stratified(labels).epoch(n, rng)
    for start in range(0, n - batch_size + 1, batch_size):
        batch = labels[order[start : start + batch_size]]
        for c in range(len(shares)):
            share = (labels == c).mean()
            assert abs((batch == c).sum() - share * batch_size) <= 2


def test_stratified_orders_differ_from_epoch_to_epoch():
    sampler, rng = Stratified(np.arange(50) % 2), generator()
    assert sampler.epoch(50, rng).tolist() != sampler.epoch(50, rng).tolist()


def test_threads_may_share_a_generator():
    rng = generator()
    with ThreadPoolExecutor(8) as pool:
        orders = list(pool.map(lambda _: _sampling.permutation(5000, rng), range(40)))
    assert all((np.sort(order) == np.arange(5000)).all() for order in orders)
    assert len({order.tobytes() for order in orders}) == 40
