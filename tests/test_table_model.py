"""TableModel: from frames of every kind to predictions, and into files."""

import copy
import json
import pickle

import numpy as np
import pandas
import polars
import pyarrow
import pytest
from saved.make import HERE

import fastgd as gd
from fastgd.tables._csv import read_csv
from fastgd.tables._dates import find_format, parse
from fastgd.tables._encoding import Encoding
from fastgd.tables._frames import as_table
from fastgd.tables._inputs import CategoryColumn, DateColumn, NumberColumn
from fastgd.tables._learning import learn_encoding


def houses(n=200):
    rng = np.random.default_rng(0)
    area, city = rng.uniform(20, 200, n).round(2), rng.choice(["Bern", "Lyon", "Oslo"], n)
    price = 3 * area + 100 * (city == "Bern")
    return {"area": area, "city": city, "price": price, "rooms": (area // 50).astype(int)}


@pytest.fixture(scope="module")
def prices():
    return gd.TableModel(rng=0, ignore=["rooms"], epochs=40).fit(houses(), target="price")


@pytest.fixture(scope="module")
def cities():
    return gd.TableModel(rng=0, epochs=20).fit(houses(), target="city")


def as_file(path):
    def write(columns):
        pandas.DataFrame(columns).to_csv(path, index=False)
        return path

    return write


@pytest.mark.parametrize(
    "kind", [dict, pandas.DataFrame, polars.DataFrame, pyarrow.table, as_table, "file"]
)
def test_frames_of_every_kind_give_the_same_predictions(kind, prices, tmp_path):
    make = as_file(tmp_path / "a.csv") if kind == "file" else kind
    new = {"city": ["Bern", "Oslo"], "area": [100.0, 50.0]}
    np.testing.assert_array_equal(prices.predict(make(new)), prices.predict(new))
    np.testing.assert_allclose(prices.predict(new), [400, 150], rtol=0.1)


def test_numbers_come_in_their_units_and_classes_by_name(prices, cities):
    assert prices.score(houses()) > 0.98
    assert prices.validation_score > 0.98
    assert cities.classes.tolist() == ["Bern", "Lyon", "Oslo"]
    chances = cities.predict_proba(houses())
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
    predicted = cities.predict(houses())
    assert predicted.tolist() == cities.classes[chances.argmax(axis=1)].tolist()
    assert cities.score(houses()) == np.mean(predicted == houses()["city"])


def test_classes_of_whole_numbers_are_numbers():
    model = gd.TableModel(rng=0, epochs=5).fit(houses(), target="rooms")
    assert model.predict(houses()).dtype == np.int64
    with pytest.raises(ValueError, match="predicted as a number: it has no classes"):
        gd.TableModel(rng=0, epochs=1).fit(houses(), target="price").predict_proba(houses())


def test_several_targets():
    columns = houses() | {"tax": houses()["price"] / 1000}
    model = gd.TableModel(rng=0, epochs=60).fit(columns, target=["price", "tax"])
    predicted = model.predict(columns)
    assert predicted.shape == (200, 2)
    np.testing.assert_allclose(predicted[:, 0], predicted[:, 1] * 1000, rtol=0.2)
    assert model.score(columns) > 0.95
    with pytest.raises(ValueError, match="several targets must all be numbers"):
        gd.TableModel(task="classification").fit(columns, target=["city", "rooms"])


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("name", ["prices", "cities"])
def test_a_file_loses_nothing(name, again, request, tmp_path):
    model = request.getfixturevalue(name)
    model.save(tmp_path / "a.npz")
    for loaded in (gd.load(tmp_path / "a.npz"), gd.TableModel.load(tmp_path / "a.npz")):
        assert isinstance(loaded, gd.TableModel)
        assert repr(loaded) == repr(model)
        assert (loaded.settings, loaded.notes) == (model.settings, model.notes)
        np.testing.assert_array_equal(loaded.predict(houses()), model.predict(houses()))
        again(loaded).save(tmp_path / "b.npz")
        assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()


def test_settings_survive_a_file(tmp_path):
    settings = {"hidden": (8, 4), "optimizer": gd.Adam(0.01, betas=(0.8, 0.99)), "batch_size": 7}
    model = gd.TableModel(**settings, rng=3, epochs=2).fit(houses(), target="price")
    model.save(tmp_path / "a.npz")
    loaded = gd.load(tmp_path / "a.npz")
    assert {name: loaded.settings[name] for name in settings} == settings
    loaded.fit(houses(), target="price")
    assert loaded.network.params.tobytes() == model.network.params.tobytes()


@pytest.mark.parametrize("path", sorted(HERE.glob("table-*.npz")), ids=lambda path: path.stem)
def test_files_of_earlier_versions_load(path, tmp_path):
    model = gd.load(path)
    new = {"area": [134.7, 68.6, 27.4], "city": ["Lyon", "Bern", "Lyon"]}
    new["kind"] = ["big", "small", "small"]
    expected = [404.325, 305.607, 81.693]  # what version 0.1.0 predicted
    np.testing.assert_allclose(model.predict(new), expected, atol=2e-3)
    model.save(tmp_path / "new.npz")
    np.testing.assert_array_equal(gd.load(tmp_path / "new.npz").predict(new), model.predict(new))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"epochs": 0}}, "epochs is 0"),
        ({"settings": {"speed": 1}}, "no argument 'speed'"),
        ({"settings": {"optimizer": ["jump", {}]}}, "jump"),
        ({"notes": [1]}, "its notes are"),
        ({"score": "good"}, "its score is"),
    ],
)
def test_damaged_settings_are_refused(change, message, prices, tmp_path):
    prices.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        entries = dict(file)
    header = json.loads(str(entries["fastgd"]))
    header["model"] |= change
    np.savez(tmp_path / "a.npz", **entries | {"fastgd": np.array(json.dumps(header))})
    with pytest.raises(ValueError, match=message):
        gd.load(tmp_path / "a.npz")


def test_a_network_is_no_model_of_a_table(tmp_path):
    gd.Network([2, 1]).save(tmp_path / "net.npz")
    assert isinstance(gd.load(tmp_path / "net.npz"), gd.Network)
    with pytest.raises(ValueError, match="a network without the columns that it reads"):
        gd.TableModel.load(tmp_path / "net.npz")


def test_the_command_line_saves_the_same_object(tmp_path, monkeypatch, capsys):
    from fastgd.commandline import main

    monkeypatch.chdir(tmp_path)
    as_file("house.csv")(houses())
    words = ["--batch-size", "32", "--epochs", "40", "--ignore", "rooms", "--seeds", "1"]
    assert main(["house.csv", "--target", "price", *words, "--save", "m.npz"]) == 0
    capsys.readouterr()
    model = gd.TableModel(rng=0, ignore=["rooms"], epochs=40).fit("house.csv", target="price")
    loaded = gd.load("m.npz")
    assert loaded.network.params.tobytes() == model.network.params.tobytes()
    assert repr(loaded) == repr(model)


def test_a_notebook_shows_what_was_done_with_the_data(prices):
    html = prices._repr_html_()
    assert html.count("<li>") == len(prices.notes) >= 2
    assert "TableModel(price from area" in html


def test_the_same_seed_gives_the_same_bits(prices):
    again = gd.TableModel(rng=0, ignore=["rooms"], epochs=40).fit(houses(), target="price")
    assert again.network.params.tobytes() == prices.network.params.tobytes()


def test_missing_values_get_the_median_and_a_mark():
    columns = houses()
    columns["area"][:40] = np.nan
    columns["city"] = np.where(np.arange(200) % 4 == 0, "", columns["city"])
    model = gd.TableModel(rng=0, ignore=["rooms"], epochs=5).fit(columns, target="price")
    area, city = model.encoding.columns
    assert (area.width, city.width) == (2, 4)
    X = model.encoding.features(as_table({"area": [None, area.fill], "city": ["", "Bern"]}))
    assert X[0, 0] == X[1, 0]
    assert X[:, 1].tolist() == [1, 0]
    assert X[:, 2:].tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    assert "Missing values: city (50), area (40)." in " ".join(model.notes)
    assert np.isfinite(model.predict({"area": [np.nan], "city": [None]})).all()


@pytest.mark.parametrize(
    ("missing", "said"),
    [("drop", "Dropped: 10 rows with missing values"), ("impute", "Dropped: 4")],
)
def test_rows_without_a_target_are_left_out(missing, said):
    columns = houses()
    columns["price"][:4] = np.nan
    columns["area"][4:10] = np.nan
    model = gd.TableModel(rng=0, epochs=2, missing=missing).fit(columns, target="price")
    assert said in " ".join(model.notes)


def test_an_error_names_arguments_not_options():
    columns = houses()
    columns["area"][3] = np.nan
    model = gd.TableModel(missing="error")
    with pytest.raises(ValueError, match=r"'area' 1 \(row 3: ''\).* with missing= drop"):
        model.fit(columns, target="price")
    columns = houses() | {"area": ["1,234"] + ["5"] * 199, "size": ["-"] + ["6"] * 199}
    with pytest.raises(ValueError, match=r"row 0.*the same in 1 more column: 'size'"):
        gd.TableModel().fit(columns, target="price")


def test_a_gap_where_training_had_none_is_an_error(prices):
    with pytest.raises(ValueError, match="in training these columns had none"):
        prices.predict({"area": [np.nan], "city": ["Bern"]})


def test_columns_that_hold_nothing_or_names_are_left_out():
    n = 200
    columns = houses() | {"note": [None] * n, "id": [f"house {i}" for i in range(n)]}
    model = gd.TableModel(rng=0, epochs=2).fit(columns, target="price")
    assert model.encoding.names == ["area", "city", "rooms"]
    text = " ".join(model.notes)
    assert "Left out: note, which holds no values." in text
    assert "Left out: id, whose 200 texts are almost all different" in text


def test_rare_categories_are_other():
    rng = np.random.default_rng(0)
    codes = rng.geometric(0.2, 300)
    columns = {"code": [f"c{k}" for k in codes], "y": codes * 1.5}
    model = gd.TableModel(rng=0, epochs=5, max_categories=4).fit(columns, target="y")
    (code,) = model.encoding.columns
    assert (len(code.values), code.other, code.width) == (4, True, 5)
    assert any('are "other"' in note for note in model.notes)
    rare, unseen = model.predict({"code": [f"c{max(codes)}", "never seen"]})
    assert rare == unseen


# --- dates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["2024-01-31", "2023-12-01"], ""),
        (["2024-01-31T12:30:00", "2024-01-31 13:00:00+01:00"], ""),
        (["1/2/2024", "12/31/2024"], "%m/%d/%Y"),
        (["1/2/2024", "31/12/2024"], "%d/%m/%Y"),
        (["31.12.2024"], "%d.%m.%Y"),
        (["Jan 1 2000", "Dec 31 1999"], "%b %d %Y"),
        (["2024/01/31 23:59"], "%Y/%m/%d %H:%M"),
        (["2024-01-31", "soon"], None),
        (["May", "June"], None),
        ([], None),
    ],
)
def test_the_format_of_dates_is_found(texts, form):
    assert find_format(texts) == form


@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d", "%m/%d/%Y", "%m/%d/%Y %H:%M", "%d %b %Y",
     "%B %d, %Y", "%d-%b-%Y"],
)  # fmt: skip
def test_dates_are_those_of_pandas(form):
    texts = pandas.date_range("2023-11-30 05:00", periods=40, freq="31h").strftime(form).tolist()
    found = [parse(text, find_format(texts)) for text in texts]
    assert found == pandas.to_datetime(pandas.Series(texts)).tolist()


def test_a_date_becomes_its_parts():
    column = DateColumn("t", "", 0.0, 86400.0, 1970.0, 1.0, hours=True, missing=True)
    X = column.encode(as_table({"t": np.array(["1971-03-05T06:00", "NaT"], "M8[s]")}), "error")
    assert X.shape == (2, column.width) == (2, 26)
    seconds, year, *rest = X[0].tolist()
    assert seconds == pytest.approx(428.25)
    assert year == 1
    assert np.flatnonzero(rest[:12]).tolist() == [2]
    assert np.flatnonzero(rest[12:19]).tolist() == [4]
    turn = 2 * np.pi * 64 / 365.25
    np.testing.assert_allclose(rest[19:], [np.sin(turn), np.cos(turn), 1, 0, 0], atol=1e-6)
    assert X[1].tolist() == [0] * 25 + [1]


def test_a_date_that_is_none_is_named():
    dates = [f"2024-{month:02}-{day:02}" for month in range(1, 5) for day in range(1, 21)]
    model = gd.TableModel(rng=0, epochs=2).fit(
        {"day": dates, "y": np.arange(80.0)}, target="y"
    )  # fmt: skip
    assert "day (a date, ISO: time, year, month" in model.notes[1]
    with pytest.raises(ValueError, match=r"row 1, column 'day': '31.1.2024' is not an ISO date"):
        model.predict({"day": ["2024-01-31", "31.1.2024"]})


def test_encodings_come_back_from_their_fields():
    table = as_table(
        houses() | {"day": pandas.date_range("2020", periods=200), "x": [1.0, None] * 100}
    )
    for target in ("price", ["price", "area"], "city"):
        task, most = ("classification", 3) if target == "city" else ("regression", 2)
        encoding = learn_encoding(table, target, task, np.arange(150), max_categories=most)
        fields = json.loads(json.dumps(encoding.to_fields()))
        assert Encoding.from_fields(fields) == encoding
        kinds = {type(column) for column in encoding.columns}
        assert {NumberColumn, DateColumn} <= kinds <= {NumberColumn, DateColumn, CategoryColumn}


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 64}, "hidden must list the units of hidden layers, not 64"),
        ({"hidden": [0]}, "hidden is 0"),
        ({"task": "ranking"}, "task is 'ranking'"),
        ({"missing": "ignore"}, "missing is 'ignore'"),
        ({"categorical": "a"}, r"categorical must list names of columns, as \['a'\], not 'a'"),
        ({"rng": np.random.default_rng(0)}, "rng must be a whole number, the seed, or None"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"lr": 0.1}, "takes no argument 'lr'"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        gd.TableModel(**settings)


@pytest.mark.parametrize(
    ("frame", "target", "message"),
    [
        (3, "y", "frame must be a frame of pandas, polars or Arrow"),
        ({"a": [1, 2], "y": [1]}, "y", "columns of one length"),
        ({"a": [], "y": []}, "y", "the frame has no rows"),
        ({"a": [[1, 2]] * 20, "y": [1] * 20}, "y", "column 'a' of the frame has 2 dimensions"),
        ({"a": [1, 2], "y": [1, 2]}, "y", "^the frame: 2 usable rows"),
        ({"a": range(20), "2": range(20)}, 2, "target must be the name of a column.*'2' for 2"),
        ({"a": range(20), "2": range(20)}, ["a", 2], "target must be the name of a column"),
        ({"a": range(20)}, [], "target must be the name of a column"),
        ({2: range(20), "2": range(20)}, "2", "the frame has several columns '2'"),
        ({"a": range(20), "y": range(20)}, "z", "the frame has no column 'z'"),
        ({"a y": ["1 2"] * 20}, "a y", r"no column left to predict 'a y' from: .*sep"),
    ],
)
def test_frames_that_cannot_be_used(frame, target, message):
    model = gd.TableModel()
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(frame, target=target)
    with pytest.raises(ValueError, match="not fitted"):
        model.predict({"a": [1]})


def test_reading_a_zip_and_leaving_lines_out(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("data.csv", "a title\n\nx,y\n1,2\n")
    table = read_csv(str(tmp_path / "a.zip"), skip_lines=1)
    assert list(table.columns) == ["x", "y"]
    assert table.lines.tolist() == [4]
