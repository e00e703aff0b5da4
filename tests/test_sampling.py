"""Samplings: exact, reproducible, and equal to a slow definition of the same stream."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastgd.engine import shuffle
from fastgd.sampling import SAMPLINGS, Poisson, Stratified, make_sampler

BIT_GENERATORS = ["PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"]


def generator(seed=0, bits="PCG64"):
    return np.random.Generator(getattr(np.random, bits)(seed))


def words(rng):
    """Yield a generator's 64-bit words."""
    while True:
        yield int(rng.integers(0, 2**64, dtype=np.uint64))


def stream(rng):
    """Yield the words of a call's SFC64 stream, seeded with three words of rng."""
    bits = np.random.SFC64()
    state = bits.state
    state["state"]["state"][:] = [*itertools.islice(words(rng), 3), 1]
    bits.state = state
    return itertools.islice(words(np.random.Generator(bits)), 12, None)


PILES = 256
FROM_A_WORD = ((4, 2**14), (3, 2**19), (2, 2**29), (1, 2**63))  # numbers, up to which bound


def slow_draw(source, bounds):
    """Lemire's multiplication, with exact integers: uniform because surplus words are dropped."""
    product = math.prod(bounds)
    while True:
        word, drawn = next(source), []
        for bound in bounds:
            whole, word = divmod(word * bound, 2**64)
            drawn.append(whole)
        if word >= 2**64 % product:
            return drawn


def slow_draws(source, n, bound):
    most = next(count for count, top in FROM_A_WORD if bound <= top)
    drawn = []
    while len(drawn) < n:
        drawn += slow_draw(source, [bound] * (most if len(drawn) + most <= n else 1))
    return drawn


def slow_exchange(source, numbers):
    done, n = 0, len(numbers)
    for count, top in FROM_A_WORD:
        while done + count <= min(n, top):
            for place in slow_draw(source, range(done + 1, done + count + 1)):
                numbers[place], numbers[done] = numbers[done], numbers[place]
                done += 1
    return numbers


def slow_permutation(source, n, spare=None):
    """Return the order made with piles, and whether piles were used."""
    mean, burst = -(-n // PILES), 8 * (n // 512 + 1)
    room = mean + (int(8 * math.sqrt(mean)) + 16 if spare is None else spare)
    piles = [[] for _ in range(PILES)]
    for start in range(0, n, burst):
        numbers = range(start, min(start + burst, n))
        ids = b"".join(next(source).to_bytes(8, "little") for _ in numbers[::8])
        for number, pile in zip(numbers, ids, strict=False):
            piles[pile].append(number)
        if max(map(len, piles)) > room:
            return slow_exchange(source, list(range(n))), False
    return [number for pile in piles for number in slow_exchange(source, pile)], True


@pytest.mark.parametrize("bits", BIT_GENERATORS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 64, 1000, 2**14 + 5])
def test_a_permutation_equals_its_definition(n, bits):
    expected = slow_exchange(stream(generator(7, bits)), list(range(n)))
    assert shuffle.permutation(n, generator(7, bits)).tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint32, np.int64])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 500, 515, 10_000])
@pytest.mark.parametrize("spare", [None, 0, 1], ids=["fits", "overflows", "perhaps"])
def test_a_permutation_with_piles_equals_its_definition(n, spare, dtype):
    order = shuffle.permutation(n, generator(8), 0, spare, dtype)
    expected, dealt = slow_permutation(stream(generator(8)), n, spare)
    assert order.dtype == dtype
    assert order.tolist() == expected
    assert dealt or spare is not None


@pytest.mark.parametrize("n", [1, 2, 10, 1000, 70_000, 2**19 + 1, 2**29 + 1, 2**32 + 1])
def test_draws_equal_their_definition(n):
    expected = slow_draws(stream(generator(3)), 51, n)
    assert shuffle.draws(51, n, generator(3)).tolist() == expected


@pytest.mark.parametrize("bits", BIT_GENERATORS)
@pytest.mark.parametrize(
    "call",
    [
        lambda rng: shuffle.permutation(70, rng),
        lambda rng: shuffle.permutation(70, rng, deal_from=0),
        lambda rng: shuffle.draws(70, 9, rng),
    ],
    ids=["exchanged", "dealt", "drawn"],
)
def test_a_call_draws_three_words(call, bits):
    rng, expected = generator(9, bits), itertools.islice(words(generator(9, bits)), 3, 5)
    call(rng)
    assert list(itertools.islice(words(rng), 2)) == list(expected)


@pytest.mark.parametrize("n", [0, 3])
def test_empty_results_draw_nothing(n):
    rng = generator()
    state = rng.bit_generator.state
    assert len(shuffle.draws(0, n, rng)) == len(shuffle.permutation(0, rng)) == 0
    assert rng.bit_generator.state == state


EDGES = [2**14, 2**19, shuffle.DEAL_FROM]


@pytest.mark.parametrize(
    "n", [1, 2, 7, 1000, *(n + i for n in EDGES for i in (-1, 0, 1)), 4 * 2**20]
)
def test_a_permutation_has_each_number_once(n):
    order = shuffle.permutation(n, generator())
    assert order.dtype == np.uint32
    assert (np.sort(order) == np.arange(n)).all()


def chi_square(counts):
    expected = counts.sum() / len(counts)
    return ((counts - expected) ** 2 / expected).sum()


PATHS = pytest.mark.parametrize(
    "path",
    [{}, {"deal_from": 0}, {"deal_from": 0, "spare": 0}, {"deal_from": 0, "dtype": np.int64}],
    ids=["exchanged", "dealt", "overflowing", "wide"],
)


@PATHS
def test_all_orders_are_equally_likely(path):
    """120 orders: chi-square with 119 degrees of freedom exceeds 185 once in 10,000."""
    rng, orders = generator(1), list(itertools.permutations(range(5)))
    place = {order: i for i, order in enumerate(orders)}
    drawn = [tuple(shuffle.permutation(5, rng, **path).tolist()) for _ in range(24_000)]
    counts = np.bincount([place[order] for order in drawn], minlength=120)
    assert chi_square(counts) < 185


@PATHS
def test_each_number_is_equally_likely_at_every_place(path):
    rng, n = generator(2), 40
    counts = np.zeros((n, n))
    for _ in range(4000):
        counts[np.arange(n), shuffle.permutation(n, rng, **path)] += 1
    # 40 tables of 39 degrees of freedom: each exceeds 92 about once in 300,000
    assert all(chi_square(row) < 92 for row in counts)


@pytest.mark.parametrize("n", [shuffle.DEAL_FROM - 1, shuffle.DEAL_FROM])
def test_parts_of_a_large_order_mix_all_parts_evenly(n):
    """32 x 32 parts: chi-square with 31^2 degrees of freedom exceeds 1,132 once in 10,000."""
    order = shuffle.permutation(n, generator(6))
    counts = np.zeros((32, 32))
    np.add.at(counts, (np.arange(n) * 32 // n, order.astype(np.int64) * 32 // n), 1)
    assert chi_square(counts.ravel()) < 1132


def test_an_epoch_with_replacement_sees_two_thirds_of_the_samples():
    seen = len(np.unique(shuffle.draws(100_000, 100_000, generator()))) / 100_000
    assert seen == pytest.approx(1 - np.exp(-1), abs=0.005)


def test_a_poisson_batch_draws_each_sample_independently():
    """2^5 subsets: chi-square with 31 degrees of freedom exceeds 71 once in 17,000."""
    rng, sampler, share = generator(3), Poisson(2, False), 2 / 5
    counts = np.zeros(32)
    for _ in range(8000):
        order, bounds = sampler.batches(5, rng)
        assert len(bounds) == 4
        for batch in np.split(order, bounds[1:-1]):
            assert len(set(batch.tolist())) == len(batch)
            counts[(1 << batch).sum()] += 1
    sizes = np.array([bin(subset).count("1") for subset in range(32)])
    expected = counts.sum() * share**sizes * (1 - share) ** (5 - sizes)
    assert ((counts - expected) ** 2 / expected).sum() < 71


@pytest.mark.parametrize(("drop_last", "batches"), [(False, 4), (True, 3)])
def test_an_epoch_has_as_many_poisson_batches_as_others(drop_last, batches):
    order, bounds = Poisson(3, drop_last).batches(10, generator())
    assert len(bounds) == batches + 1
    assert (bounds[0], bounds[-1]) == (0, len(order))


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("bits", BIT_GENERATORS)
def test_the_generators_state_determines_the_order(name, bits):
    labels = np.arange(100) % 3
    sampler = make_sampler(name, labels, 10, False)
    rng = generator(5, bits)
    sampler.epoch(100, rng)
    state = rng.bit_generator.state
    expected = sampler.epoch(100, rng).tolist()
    rng.bit_generator.state = state
    assert sampler.epoch(100, rng).tolist() == expected


@pytest.mark.parametrize("name", ["shuffle", "sequential", "stratified"])
def test_without_replacement_each_sample_is_drawn_once(name):
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


def test_the_only_sample_of_a_class_is_equally_likely_at_every_place():
    """The others are at equal distances, and start at half of one, so both ends are half as wide.

    Chi-square with 19 degrees of freedom exceeds 54 about once in 30,000.
    """
    sampler, rng = Stratified(np.arange(20) == 7), generator(5)
    places = [sampler.epoch(20, rng).tolist().index(7) for _ in range(4000)]
    expected = 4000 / 19 * np.array([0.5, *[1] * 18, 0.5])
    assert ((np.bincount(places, minlength=20) - expected) ** 2 / expected).sum() < 54


def test_stratified_orders_differ_from_epoch_to_epoch():
    sampler, rng = Stratified(np.arange(50) % 2), generator()
    assert sampler.epoch(50, rng).tolist() != sampler.epoch(50, rng).tolist()


def test_threads_may_share_a_generator():
    rng = generator()
    with ThreadPoolExecutor(8) as pool:
        orders = list(pool.map(lambda _: shuffle.permutation(5000, rng), range(40)))
    assert all((np.sort(order) == np.arange(5000)).all() for order in orders)
    assert len({order.tobytes() for order in orders}) == 40
