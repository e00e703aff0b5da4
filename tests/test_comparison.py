"""compare(): runs of several batch sizes from one start, and how they are shown."""

import html.parser
import io
import math
import re

import numpy as np
import pytest
from conftest import assert_close, make_data
from rich.console import Console

import fastgd as gd
from fastgd import _columns, plot
from fastgd._columns import number
from fastgd.comparison._decision import _ratio

X = np.random.default_rng(0).standard_normal((120, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32) + 3
VALIDATION = X[:20], Y[:20]


def compare(*sizes, **options):
    settings = {"optimizer": gd.SGD(0.05), "epochs": 4, "rng": 0} | options
    return gd.compare(gd.Network([3, 1]), X, Y, sizes or (1, 8, None), **settings)


@pytest.mark.parametrize("side_by_side", [True, False])
def test_each_entry_has_the_bits_of_train(side_by_side, dtype):
    net = gd.Network([3, 8, 1], dtype=dtype, rng=1)
    settings = {"optimizer": gd.Adam(0.01), "validation": VALIDATION, "epochs": 3, "rng": 5}
    sizes = (32, 1, None)
    result = gd.compare(net, X, Y, sizes, seeds=1, side_by_side=side_by_side, **settings)
    for entry, size in zip(result, sizes, strict=True):
        alone = net.copy()
        history = gd.train(alone, X, Y, batch_size=size, **settings)
        assert entry.batch_size == (size or 120)
        assert entry.net.params.tobytes() == alone.params.tobytes()
        assert entry.history.loss == history.loss
        assert entry.loss == alone.loss_value(X, Y)
        assert entry.validation_loss == alone.loss_value(*VALIDATION)
        assert (entry.updates, entry.sample_gradients) == (history.updates, 360)
        assert entry.seconds == sum(entry.history.seconds) > 0


def test_the_network_stays_as_it_is_and_the_runs_share_nothing():
    net = gd.Network([3, 4, 1], rng=0)
    before = net.params.tobytes()
    result = gd.compare(net, X, Y, [1, 8], epochs=2)
    assert net.params.tobytes() == result.start.params.tobytes() == before
    assert result[0].net is not result[1].net
    net.params[:] = 0
    assert result.start.params.tobytes() == before


@pytest.mark.parametrize("rng", [None, np.random.default_rng(3)])
def test_any_run_is_made_again_from_the_seed(rng):
    result = compare(8, 32, rng=rng)
    for entry in result:
        net = result.start.copy()
        gd.train(
            net, X, Y, batch_size=entry.batch_size, epochs=4, optimizer=entry.optimizer,
            rng=result.seed,
        )  # fmt: skip
        assert net.params.tobytes() == entry.net.params.tobytes()


def test_settings_of_train_are_passed_on():
    weight = np.linspace(0.5, 1.5, 120)
    result = compare(
        50, sampling="sequential", drop_last=True, sample_weight=weight, record=("loss",)
    )
    (entry,) = result
    assert entry.sample_gradients == 400
    assert entry.history.trace["loss"].shape == (8,)
    assert entry.loss == entry.net.loss_value(X, Y, sample_weight=weight)


@pytest.mark.parametrize("name", ["vectorized", "loop"])
def test_other_backends_run_one_after_the_other(name):
    result = compare(8, None, backend=name)
    assert not result.side_by_side
    losses = [[entry.loss for entry in runs] for runs in (result, compare(8, None))]
    assert_close(*losses, "float32", 4 * 120)


def test_an_optimizer_for_each_batch_size():
    seen = []

    def scaled(batch_size):
        seen.append(batch_size)
        return gd.SGD(0.001 * batch_size)

    result = compare(1, 8, None, optimizer=scaled)
    assert seen == [1, 8, 120]
    assert [entry.optimizer.learning_rate for entry in result] == [0.001, 0.008, 0.12]


def test_of_several_optimizers_the_one_with_the_lowest_loss_is_kept():
    rates = [1e-6, 1e30, 0.05]
    result = compare(8, 32, optimizer=[gd.SGD(rate) for rate in rates])
    assert [entry.optimizer.learning_rate for entry in result] == [0.05, 0.05]
    assert result.tried == 3
    assert "tried up to 3 optimizers" in " ".join(str(result).split())


def test_of_several_optimizers_validation_data_decide_where_there_are_any():
    result = compare(8, optimizer=[gd.SGD(1e-6), gd.SGD(0.05)], validation=(X, -Y))
    assert result[0].optimizer.learning_rate == 1e-6
    assert "the lowest validation loss" in " ".join(str(result).split())


def test_with_a_goal_the_optimizer_that_is_there_first_is_kept():
    slow, fast, wild = gd.SGD(0.02), gd.SGD(0.05), gd.SGD(1e30)

    def stop_early(net, history):
        return history.optimizer == fast

    for goal, expected in ((5.0, fast), (-1.0, slow)):
        result = compare(8, optimizer=[slow, fast, wild], goal=goal, callbacks=[stop_early])
        assert result[0].optimizer == expected
    assert "reached the goal in the fewest epochs, or else" in " ".join(str(result).split())


@pytest.mark.parametrize("side_by_side", [True, False])
def test_a_run_that_diverges_is_a_row_that_says_so(side_by_side):
    rates = {1: 1e30, 8: 0.05, 120: 0.1}
    result = compare(
        optimizer=lambda size: gd.SGD(rates[size]),
        side_by_side=side_by_side,
        validation=VALIDATION,
        score=lambda net: 1.0,
    )
    first = result[0]
    assert first.diverged
    assert np.isfinite(first.net.params).all()
    assert math.isnan(first.loss)
    assert math.isnan(first.validation_loss)
    assert math.isnan(first.score)
    assert [entry.batch_size for entry in result.trained] == [8, 120]
    assert first not in (result.best, result.fastest)
    assert [row.endswith("diverged") for row in str(result).splitlines()].count(True) == 1


def test_when_all_runs_diverge_nothing_is_best():
    result = compare(optimizer=gd.SGD(1e30))
    assert (result.best, result.fastest, result.trained) == (None, None, ())
    assert math.isnan(result.goal)
    assert str(result).count("diverged") == 3


def test_the_time_to_a_loss():
    (entry,) = compare(8, validation=VALIDATION)
    losses = entry.history.validation_loss
    assert losses == entry.curve == sorted(losses, reverse=True)
    reached = entry.time_to(losses[1])
    assert reached == (2, 30, 2 * np.median(entry.history.seconds))
    assert entry.time_to(losses[-1] / 2) is None
    assert entry.time_to(losses[0]).updates == 15


def test_the_goal_is_98_percent_of_the_way_to_the_lowest_loss():
    result = compare(1, 8, None, validation=VALIDATION)
    start = gd.Network([3, 1]).loss_value(*VALIDATION)
    lowest = min(min(entry.history.validation_loss) for entry in result)
    assert result.start_loss == start
    assert result.goal == pytest.approx(lowest + 0.02 * (start - lowest))
    assert result[0].time_to(result.goal) is not None
    assert result[2].time_to(result.goal) is None
    assert result.fastest in result[:2]


def notes(result):
    return " ".join(str(result).split())


def test_the_table_says_what_the_goal_is():
    assert "The goal is a training loss of 5." in notes(compare(goal=5.0))
    assert "oal" not in notes(compare(validation=VALIDATION))


def test_a_goal_that_is_asked_for():
    assert compare(goal=5.0).goal == 5.0
    never = compare(8, None, goal=-1.0)
    assert never.fastest is None
    assert str(never).count(" never") == 2


def test_a_goal_where_every_run_only_got_worse():
    result = compare(8, 32, optimizer=gd.SGD(5.0), epochs=1)
    assert min(min(entry.curve) for entry in result) > result.start_loss
    assert result.goal == min(min(entry.curve) for entry in result)


@pytest.mark.parametrize("options", [{}, {"validation": VALIDATION}, {"score": lambda net: 1.0}])
def test_the_best_has_the_lowest_loss_whatever_the_score(options):
    assert compare(**options).best.batch_size == 1


def test_the_text_table():
    result = compare(1, 8, None, validation=VALIDATION, score=lambda net: 0.5)
    lines = str(result).splitlines()
    assert max(map(len, lines)) <= 81
    assert " ".join(lines[:2]).startswith("Network([3, 1], loss='squared_error', dtype='float32')")
    start = next(i for i, line in enumerate(lines) if set(line) == {"-"}) + 1
    rows = [line.split() for line in lines[start : start + 3]]
    assert [row[:4] for row in rows] == [
        ["stochastic", "1", "480", "0.05"],
        ["mini-batch", "8", "60", "0.05"],
        ["batch", "120", "4", "0.05"],
    ]
    assert f"{result[2].mean('loss'):.4f}" in rows[2]
    assert f"{result[2].mean('validation_loss'):.4f}" in rows[2]
    assert f"{result[2].spread:.4f}" in rows[2]
    assert [row[-1] == "*" for row in rows] == [entry is result.best for entry in result]


@pytest.mark.parametrize(
    ("sizes", "options", "expected"),
    [((1, 8), {}, True), ((1, 8), {"side_by_side": False}, False), ((8,), {"seeds": 1}, False)],
)
def test_runs_side_by_side_are_said(sizes, options, expected):
    result = compare(*sizes, **options)
    assert result.side_by_side == expected
    assert ("runs side by side" in notes(result)) == expected


class Cells(html.parser.HTMLParser):
    """What is in the cells of a table."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells = [], []
        self.feed(text)
        self.close()
        assert not self.tags

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append((tag, dict(attrs).get("scope"), ""))

    def handle_endtag(self, tag):
        assert self.tags.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.tags):
            tag, scope, text = self.cells[-1]
            self.cells[-1] = tag, scope, text + data


def test_the_table_of_a_notebook():
    rates = {1: 1e30, 8: 0.05, 120: 0.1}
    result = compare(optimizer=lambda size: gd.SGD(rates[size]))
    cells = Cells(result._repr_html_()).cells
    heads = [text for tag, scope, text in cells if scope == "col"]
    assert heads[:3] == ["batch size", "method", "updates"]
    assert heads[-2:] == ["train loss", "±"]
    assert [text for _, scope, text in cells if scope == "row"] == [
        "1",
        "8 recommended",
        "120",
    ]
    assert cells[2 * len(heads) - 1][2] == "diverged"
    assert re.findall(r"<tr class=\"marked\"><th[^>]*>(\d+)", result._repr_html_()) == ["8"]


def test_the_table_of_rich():
    console = Console(width=80, record=True, file=io.StringIO())
    result = compare(validation=VALIDATION, score=lambda net: 0.5)
    console.print(result)
    text = console.export_text(clear=False)
    assert "stochastic" in text
    assert "Network([3, 1]" in text
    assert "…" not in text
    (bold,) = (
        line for line in console.export_text(styles=True).splitlines()
        if line.startswith(("\x1b[1mstoch", "\x1b[1mmini", "\x1b[1mbatch "))
    )  # fmt: skip
    assert f"{result.best.batch_size:,}" in bold
    assert f"Recommended: batch size {result.best.batch_size:,}." in " ".join(text.split())


def test_a_narrow_terminal_shows_whole_columns_and_names_the_others():
    result = compare(validation=VALIDATION, goal=1.0)
    counts = set()
    for width in range(24, 90):
        console = Console(width=width)
        with console.capture() as capture:
            console.print(result)
        assert "…" not in capture.get()
        table, caption = re.split("─+", capture.get())
        _, _, left_out = " ".join(caption.split()).partition(" Not shown for lack of space: ")
        names = left_out.rstrip(".").split(", ") if left_out else []
        assert ("mini-batch" in caption) == ("method" not in names)
        assert ("rate" in table) == ("learning rate" not in names)
        assert "valid." in table
        assert "to goal" in table
        counts.add(len(names))
    assert counts == set(range(7))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5000"), (99.99996, "100.000"), (244.18974, "244.190"), (-12.34567, "-12.346"),
        (999.99999, "1000.00"), (1234.5, "1.2e+03"), (math.inf, "inf"),
    ],
)  # fmt: skip
def test_numbers_leave_a_blank_before_them(value, text):
    assert _columns.number(value, 4) == text


def test_plot_is_given_the_histories_by_name(monkeypatch):
    given = {}
    monkeypatch.setattr(
        plot, "loss", lambda histories, **options: given.update(options, h=histories)
    )
    result = compare(goal=0.5)
    result.plot("second")
    assert given["against"] == "second"
    assert given["target"] == result.goal
    assert not given["validation"]
    assert list(given["h"]) == [1, 8, 120]
    assert given["h"][8].loss == result[1].history.loss
    assert given["h"][8].seconds == [result[1].seconds_per_epoch] * 4


def with_seconds(result, *seconds):
    """Give each epoch of the entries a duration."""
    for entry, value in zip(result, seconds, strict=True):
        entry.history.seconds[:] = [value] * entry.epochs
    return result


def test_with_a_goal_the_advice_is_the_first_to_reach_it():
    result = with_seconds(compare(1, 8, None, goal=1.0), 0.05, 0.01, 0.002)
    advice = result.advice()
    chosen = result[1].time_to(1.0)
    assert result.best is result[1]
    assert advice[0] == (
        f"Take batch size 8 with learning rate 0.05: it reached the goal, a training loss of 1, in "
        f"{10 * chosen.epochs} milliseconds ({chosen.epochs} epochs, {chosen.updates} updates)."
    )
    assert "Batch size 120 did not reach the goal." in advice
    assert "one learning rate" in advice[-1]


def test_the_advice_when_no_run_is_good_enough():
    assert compare(optimizer=gd.SGD(1e30)).advice() == [
        "Every run diverged. Lower the learning rate."
    ]
    result = gd.compare(gd.Network([3, 1]), X * 1e9, Y, [8], optimizer=gd.SGD(0.1), rng=0)
    assert "The features reach" in result.advice()[0]
    assert "No batch size reached the goal, a training loss" in compare(goal=-1.0).advice()[0]


def test_a_run_that_takes_as_long_is_said_to():
    assert _ratio(1.0, 1.0, "times as long", "about as long") == "about as long"
    assert _ratio(1.04, 1.0, "times as long", "about as long") == "about as long"
    assert _ratio(1.2, 1.0, "times as long", "about as long") == "1.2 times as long"
    assert _ratio(1.0, 0.0, "times the time", "as long") == "many times the time"


def test_a_comparison_is_a_sequence_of_its_runs():
    result = compare()
    assert len(result) == 3
    assert result[-1].batch_size == 120
    assert [entry.batch_size for entry in result[:2]] == [1, 8]
    assert repr(result[1]).startswith("Entry(batch_size=8, 4 epochs, loss ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_sizes": []}, "batch_sizes is empty"),
        ({"batch_sizes": [8, 1, 8]}, "batch_sizes has 8 twice: name each once"),
        ({"batch_sizes": 32}, r"must list numbers or None, as \[1, 32\], not 32"),
        ({"batch_sizes": "1,32"}, "must list numbers"),
        ({"batch_size": 32}, "takes batch_sizes"),
        ({"epochs": 0}, "epochs is 0"),
        ({"optimizer": 0.1}, r"optimizer is 0.1, but must be an optimizer"),
        ({"optimizer": []}, "must be an optimizer"),
        ({"optimizer": gd.SGD}, r"make one of it, as in fastgd\.SGD\(0\.01\)"),
        ({"optimizer": lambda size: None}, r"optimizer\(1\) returned None"),
        ({"goal": "low"}, "goal must be a number"),
        ({"goal": np.nan}, "goal is nan, but must be finite$"),
        ({"score": lambda net: None}, "score must return a number, not None"),
        ({"score": 1}, "score must be a function"),
        ({"score": lambda net, X: 0.0}, r"takes \(net\), but .* takes \(net, X\): missing"),
        ({"rng": -1}, "rng is -1"),
        ({"resume": gd.History()}, "no resume: every run starts with net as it is"),
        ({"samplings": "shuffle"}, "no argument 'samplings'.*: did you mean 'sampling'"),
        ({"samplings": "shuffle", "optimizer": None}, "did you mean 'sampling'"),
        (
            {"momentum": 0.9},
            r"optimizer=fastgd.SGD\(\.\.\., momentum=",
        ),
        ({"seed": 0}, "did you mean 'rng'"),
        ({"sampling": "shufle"}, "did you mean 'shuffle'"),
        ({"side_by_side": True, "backend": "loop"}, "needs the compiled backend"),
        ({"side_by_side": 1}, "True or False"),
        ({"n_threads": 0}, "n_threads is 0"),
        ({"n_threads": 0, "side_by_side": False}, "n_threads is 0"),
        ({"backend": "gpu"}, "backend is 'gpu'"),
        ({"validation": X}, "validation must be a tuple"),
    ],
)
def test_mistakes_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        gd.compare(gd.Network([3, 1]), X, Y, **{"batch_sizes": [1, None]} | options)


def test_batch_sizes_that_mean_all_samples_are_one_entry():
    result = gd.compare(gd.Network([3, 1]), X, Y, [8, 120, 500, None], epochs=1, rng=0)
    assert [entry.batch_size for entry in result] == [8, 120]
    assert result[1].method == "batch"


@pytest.mark.parametrize(("n", "sizes"), [(120, [1, 8, 32, 120]), (32, [1, 8, 32]), (1, [1])])
def test_batch_sizes_that_nobody_chose_suit_the_data(n, sizes):
    result = gd.compare(gd.Network([3, 1]), X[:n], Y[:n], epochs=1, rng=0)
    assert [entry.batch_size for entry in result] == sizes


def test_a_start_that_is_no_network():
    with pytest.raises(TypeError, match=r"net must be a fastgd\.Network"):
        gd.compare([3, 1], X, Y)


@pytest.mark.parametrize("loss", ["cross_entropy", "log_loss", "poisson"])
def test_every_kind_of_loss_is_compared(loss):
    sizes = [4, 6, 3 if loss == "cross_entropy" else 1]
    data = make_data(sizes, loss, n=60)
    result = gd.compare(gd.Network(sizes, loss=loss, rng=0), *data, [4, None], epochs=2, rng=0)
    for entry in result:
        assert entry.loss == entry.net.loss_value(*data) < result.start.loss_value(*data)


@pytest.mark.parametrize("most", [6, 7])
@pytest.mark.parametrize("value", [0.00012345, 9.99999, 99.99999, 211.48711, 999.99, 12345.6, 1e30])
def test_a_cell_leaves_room_for_a_blank(value, most):
    text = number(value, 4, most)
    assert len(text) <= most
    assert float(text) == pytest.approx(value, rel=0.3, abs=1e-4)
