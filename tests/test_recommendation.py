"""One recommendation: table, sentences, page, saved model and next command must not contradict."""

import csv
import html
import re
import shlex

import numpy as np
import pytest
from sklearn import datasets

import fastgd as gd
from fastgd.commandline import _main as cli
from fastgd.comparison import Comparison, Entry, Trial
from fastgd.comparison._decision import about_others, decide, overfitting

TABLES = {
    "iris": (datasets.load_iris, "regression"),
    "wine": (datasets.load_wine, "classification"),
    "breast cancer": (datasets.load_breast_cancer, "classification"),
    "diabetes": (datasets.load_diabetes, "regression"),
}


def outliers(rng):
    X = rng.standard_normal((300, 3))
    X[::100] *= 40
    return X, 1e4 * X.sum(axis=1) + rng.standard_normal(300)


def noise(rng):
    return rng.standard_normal((80, 5)), rng.standard_normal(80)


def easy(rng):
    X = rng.uniform(-1, 1, (500, 2))
    return X, X @ [3.0, -1.0]


GENERATED = {"outliers": outliers, "noise": noise, "easy": easy}
FAST = ("diabetes", "wine", "outliers")
NAMES = [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in (*TABLES, *GENERATED)
]


def write(path, name):
    """Write a data set as a CSV file whose target is the column y; return the path."""
    if name in TABLES:
        load, task = TABLES[name]
        X, y = load(return_X_y=True)
        if task == "classification":
            y = [f"class {value}" for value in y]
    else:
        X, y = GENERATED[name](np.random.default_rng(0))
    with open(path, "w", newline="", encoding="utf-8") as stream:
        rows = ([*row, goal] for row, goal in zip(X.tolist(), list(y), strict=True))
        csv.writer(stream).writerows([[*(f"x{i}" for i in range(X.shape[1])), "y"], *rows])
    return str(path)


@pytest.fixture(scope="module", params=NAMES)
def job(request, tmp_path_factory):
    """Run the command line on a data set, with two seeds."""
    folder = tmp_path_factory.mktemp("job")
    file = write(folder / "table.csv", request.param)
    return [run(folder, file, seed) for seed in ("0", "7")]


def run(folder, file, seed):
    """Run the command line; return its code, output, result and page."""
    kept = []
    join = Comparison.join
    words = [file, "--target", "y", "--seed", seed, "--html", str(folder / "page.html")]
    out = folder / "out.txt"
    with pytest.MonkeyPatch.context() as patch, open(out, "w", encoding="utf-8") as stream:
        patch.setattr("sys.stdout", stream)
        patch.setattr(Comparison, "join", lambda parts: kept.append(join(parts)) or kept[0])
        code = cli.main([*words, "--save", str(folder / "m.npz")])
    text = out.read_text(encoding="utf-8")
    page = (folder / "page.html").read_text(encoding="utf-8")
    return code, text, kept[0], html.unescape(page)


def sentences(out):
    """Return the sentences below the table."""
    text = " ".join(out.split("-----\n")[1].split("\n\n", 1)[1].split())
    return re.split(r"(?<=[.:]) (?=[A-Z])", text)


def test_every_part_names_the_same_batch_size(job):
    for code, out, result, page in job:
        best = f"{result.best.batch_size:,}"
        assert code == 0
        assert [line.split()[1] for line in out.splitlines() if line.endswith(" *")] == [best]
        assert re.findall(r"Take batch size ([\d,]+)", out) == [best]
        assert re.findall(r"Saved the model of batch size ([\d,]+)", out) == [best]
        assert re.findall(r'class="marked"><th[^>]*>([\d,]+)', page) == [best]
        assert re.findall(r"Take batch size ([\d,]+)", page) == [best]
        assert not re.search(r"[Bb]est batch|advice is|came out best", out + page)


def test_nothing_diverges_at_a_rate_that_was_chosen(job):
    for _, out, result, _ in job:
        assert "diverged" not in out
        assert not any(entry.diverged for entry in result)


def test_nothing_that_was_passed_over_is_shown_to_be_better(job):
    for _, _, result, _ in job:
        decision = result.decision
        for entry in result:
            if entry.mean("judged") < result.best.mean("judged"):
                assert entry in decision.level
            if entry in decision.level:
                assert result.best.seconds <= 1.5 * entry.seconds + 1e-3


def test_seeds_do_not_contradict_each_other(job):
    levels = [{entry.batch_size for entry in result.decision.level} for _, _, result, _ in job]
    assert levels[0] & levels[1]


def test_no_sentence_compares_a_metric_with_a_loss(job):
    for _, out, _, _ in job:
        for sentence in sentences(out):
            metric = re.search(r"variance|right in|accuracy|R\^2", sentence)
            assert not (metric and "loss" in sentence), sentence


def test_the_last_line_is_a_command_that_works(job):
    for _, out, _, _ in job:
        assert out.endswith("\n")
        last = out.splitlines()[-1]
        words = shlex.split(last.removeprefix("Next: "))
        assert words[:2] == ["fastgd", "predict"]
        assert words[-1] == "NEW.csv"


def test_overfitting_is_named_where_it_is(job):
    for _, out, result, _ in job:
        words = " ".join(out.split())
        for entry in result:
            curve, kept = entry.curve, entry.kept_epoch
            assert curve[kept - 1] == min(curve)
            rose = curve[-1] > 1.05 * curve[kept - 1]
            fell = entry.history.loss[-1] < entry.history.loss[kept - 1]
            named = f"batch size {entry.batch_size:,} from epoch {kept + 1} on" in words
            assert named == (rose and fell)


# --- the rule -----------------------------------------------------------------------------------


def entry(batch_size, losses, seconds=1.0, training=None):
    """Return an entry of runs with these validation losses."""
    trials = []
    for seed, loss in enumerate(losses):
        history = gd.History(
            loss=training or [1.0, 0.5], validation_loss=[2 * loss, loss],
            learning_rate=[0.1] * 2, seconds=[seconds / 2] * 2, optimizer=gd.SGD(0.1),
        )  # fmt: skip
        trials.append(Trial(seed, gd.Network([1, 1]), history, 1.0, 0.5, loss, kept_epoch=2))
    return Entry(gd.plan(100, batch_size, epochs=2), tuple(trials))


@pytest.mark.parametrize(
    ("entries", "chosen", "level"),
    [
        ([(1, [0.1] * 3, 9.0), (8, [0.2] * 3, 1.0)], 1, [1]),
        ([(1, [0.1] * 3, 9.0), (8, [0.1005] * 3, 1.0)], 8, [1, 8]),
        ([(1, [0.1, 0.2, 0.3], 9.0), (8, [0.3, 0.2, 0.15], 1.0)], 8, [1, 8]),
        ([(1, [0.1, 0.2, 0.3], 9.0), (8, [0.12, 0.22, 0.32], 1.0)], 1, [1]),
        ([(1, [0.1] * 3, 1.2), (8, [0.1005] * 3, 1.0)], 1, [1, 8]),
        ([(1, [0.1] * 3, 1e-3), (8, [0.1005] * 3, 1e-4)], 1, [1, 8]),
        ([(1, [3.0e-5] * 3, 9.0), (8, [0.0123] * 3, 1.0)], 1, [1]),
        ([(1, [3e-12] * 3, 9.0), (8, [4e-9] * 3, 1.0)], 8, [1, 8]),
        ([(1, [0.1], 9.0), (8, [0.2], 1.0)], 1, [1]),
        ([(1, [1, 1, 1], 9.0), (8, [1.2] * 3, 2.0), (9, [1, 1.1, 2], 0.5)], 1, [1]),
        ([(1, [1, 1, 1, 1, 1], 9.0), (8, [1.02, 1.02, 1.02, 1.02, 9], 1.0)], 1, [1]),
    ],
    ids=[
        "lowest", "within 1 %", "chance", "the same in each seed", "about as fast",
        "a lead below a millisecond", "a small number is no small difference", "rounding",
        "one seed", "better than the best is no equal", "higher for each of five seeds",
    ],
)  # fmt: skip
def test_the_rule(entries, chosen, level):
    decision = decide([entry(*one) for one in entries])
    assert decision.chosen.batch_size == chosen
    assert [one.batch_size for one in decision.level] == level


def test_with_a_goal_times_are_those_to_the_goal():
    """The fastest to the goal may take longest to the end."""
    slow, fast = entry(1, [0.3] * 3, 1.0), entry(8, [0.2] * 3, 4.0)
    slow.history.validation_loss[:] = [0.6, 0.3]
    fast.history.validation_loss[:] = [0.4, 0.2]
    slow.history.seconds[:] = [3.0, 3.0]
    fast.history.seconds[:] = [2.0, 2.0]
    decision = decide([slow, fast], goal=0.5)
    assert decision.chosen is fast
    assert about_others(decision, [slow, fast], "validation") == [
        "Batch size 1 took 3 times as long."
    ]


def test_an_equal_that_is_a_little_faster_is_said_to_be():
    entries = [entry(1, [0.1] * 3, 1.2), entry(8, [0.1005] * 3, 1.0)]
    (said,) = about_others(decide(entries), entries, "validation")
    assert said == "Batch size 8 is about as fast, with a higher mean loss."


@pytest.mark.parametrize(("highest", "diverged"), [(1e32, True), (100.0, False)])
def test_a_run_that_explodes_has_diverged(highest, diverged):
    run = entry(8, [0.1], training=[highest, 0.5])
    assert run.diverged == diverged
    assert (decide([run]).chosen is None) == diverged


@pytest.mark.parametrize(
    ("training", "validation", "named"),
    [([1.0, 0.5], [0.016, 0.056], True), ([1.0, 1.5], [0.016, 0.056], False),
     ([1.0, 0.5], [0.016, 0.0161], False)],
)  # fmt: skip
def test_overfitting_is_a_rise_that_the_training_loss_does_not_share(training, validation, named):
    run = entry(8, [0.016], training=training)
    run.history.validation_loss[:] = validation
    run = Entry(run.plan, (Trial(0, run.net, run.history, 1.0, 0.5, 0.016, kept_epoch=1),))
    said = overfitting([run])
    assert bool(said) == named
    assert ("from epoch 2 on (first seed: from 0.016 to 0.056 in epoch 2)" in said) == named


def test_the_spread_of_the_seeds_is_shown():
    X = np.random.default_rng(0).standard_normal((60, 3))
    result = gd.compare(gd.Network([3, 1]), X, X[:, 0], [8], optimizer=gd.SGD(0.05), rng=3)
    assert [trial.seed for trial in result[0].trials] == [3, 4, 5]
    assert result[0].spread == np.std(result[0].losses, ddof=1) > 0
    assert "over 3 seeds" in result.advice()[0]


def test_a_rate_that_diverges_for_another_seed_is_replaced():
    """The second seed's validation data are drawn so that only the first accepts the high rate."""
    X = np.ones((40, 1))
    X[7] = 1e4

    def seven_is_held(seed):
        net = gd.Network([1, 1])
        rate = gd.SGD(1e-9)
        history = gd.train(net, X, X[:, 0], epochs=1, optimizer=rate, validation=0.5, rng=seed)
        return 7 in history.validation_samples

    seed = next(k for k in range(99) if seven_is_held(k) and not seven_is_held(k + 1))
    result = gd.compare(
        gd.Network([1, 1]), X, X[:, 0], [1], optimizer=[gd.SGD(1e-1), gd.SGD(1e-10)],
        validation=0.5, seeds=2, rng=seed, goal=1e9, epochs=4, early_stopping=None,
    )  # fmt: skip
    assert not result[0].diverged
    assert result[0].optimizer == gd.SGD(1e-10)
