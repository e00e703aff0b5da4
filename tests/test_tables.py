"""Reading CSV files, and turning their columns into numbers and back."""

import bz2
import gzip
import io
import json
import lzma
import math
import re
import sys

import numpy as np
import pytest

from fastgd.tables._csv import ROWS_AT_ONCE, read_csv
from fastgd.tables._encoding import Encoding, require_columns, split_names
from fastgd.tables._gaps import find_gaps
from fastgd.tables._inputs import CategoryColumn, NumberColumn
from fastgd.tables._learning import guess_task, learn_encoding
from fastgd.tables._mending import nearly_numbers, shorten
from fastgd.tables._table import MISSING, InputError
from fastgd.tables._targets import ClassTarget, NumberTarget


@pytest.fixture
def table(tmp_path):
    """Return a function that writes text to a file and reads it as a table."""

    def read(content, **options):
        path = tmp_path / "data.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(str(path), **options)

    return read


def cells(table):
    return {name: texts.tolist() for name, texts in table.columns.items()}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiters_and_line_ends_are_found(table, delimiter, newline):
    text = f"a,b{newline}1,x{newline}2,y".replace(",", delimiter)
    assert cells(table(text)) == {"a": ["1", "2"], "b": ["x", "y"]}


def test_quotes_blanks_and_line_breaks_inside_cells(table):
    result = table('\n"a, b", c\n"1,5"," x "\n\n2,"two\nlines"\n3,"say ""hi"""\n')
    assert cells(result) == {"a, b": ["1,5", "2", "3"], "c": ["x", "two\nlines", 'say "hi"']}
    assert result.lines.tolist() == [3, 5, 7]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_a_byte_order_mark_are_recognised(table, encoding):
    assert cells(table("größe,stadt\n1,Zürich\n".encode(encoding))) == {
        "größe": ["1"],
        "stadt": ["Zürich"],
    }


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "cp1252"])
def test_a_byte_order_mark_decides_the_encoding(table, mark, encoding):
    assert cells(table("a,b\n1,\u00fc\n".encode(mark), encoding=encoding)) == {
        "a": ["1"],
        "b": ["\u00fc"],
    }


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_an_encoding_without_mark_is_recognised_by_its_zeros(table, encoding):
    content = "a,b\n1,2\n".encode(encoding)
    with pytest.raises(InputError, match=f"for example --encoding {encoding}$"):
        table(content)
    assert cells(table(content, encoding=encoding)) == {"a": ["1"], "b": ["2"]}


def test_a_table_in_one_line_names_the_encoding(table):
    with pytest.raises(InputError, match="read as utf-16-le, has a header but no rows"):
        table("a,b\n1,2\n".encode("utf-16-be"), encoding="utf-16-le")


def test_an_error_suggests_naming_the_encoding(table):
    content = "é\nü\n".encode("cp1252")
    with pytest.raises(InputError, match=r"is not UTF-8 text \(it has the byte 0xe9\).*cp1252"):
        table(content)
    assert cells(table(content, encoding="cp1252")) == {"é": ["ü"]}
    with pytest.raises(InputError, match="'klingon' is not a text encoding that Python knows"):
        table(content, encoding="klingon")


def test_more_rows_than_are_read_at_once(table):
    n = 2 * ROWS_AT_ONCE + 3
    seen = []
    result = table("a\n" + "".join(f"{i}\n" for i in range(n)), on_rows=seen.append)
    assert np.array_equal(result.numbers("a"), np.arange(n))
    assert result.lines[[0, -1]].tolist() == [2, n + 1]
    assert seen == [ROWS_AT_ONCE, 2 * ROWS_AT_ONCE, n]


def test_columns_without_a_name_are_dropped(table):
    assert cells(table(",a\n0,5\n1,6\n")) == {"a": ["5", "6"]}


def test_standard_input(monkeypatch):
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"a,b\n1,2\n")))
    monkeypatch.setattr(sys, "stdin", stdin)
    result = read_csv("-")
    assert result.source == "standard input"
    assert cells(result) == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "data.csv is empty"),
        (" \n\n", "data.csv is empty"),
        ("a,b\n", "a header but no rows"),
        ("a,b,a\n1,2,3\n", "two columns are named 'a'"),
        ("1,2\n3,4\n", "must hold the columns' names, but it begins with 1, 2; add a header"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, but the header names 2 columns"),
        ("a,b\n1\n", "line 2 has 1 cell, but the header names 2 columns"),
        ("a,b\n1,2\n".encode("utf-16-le"), "is not utf-8 text .*--encoding utf-16-le"),
        (bytes(9), "not text but binary data, which begin with zeros: save the table as CSV"),
        (
            b"PK\x03\x04\x14\0",
            "not text but a zip archive without a .csv, as workbooks of Excel .* save .* as CSV",
        ),
        (b"\x28\xb5\x2f\xfd\0", "not text but compressed by zstd: unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "not text but a 7z archive: unpack it first"),
        (b"\x1f\x8b\x08\0", "data.csv: Compressed file ended"),
        (b"BZh9\0\0\0\0\0\0\0", "data.csv: Invalid data stream"),
        (lzma.compress(b"a,b\n1,2\n")[:-20], "data.csv: Compressed file ended"),
        (gzip.compress(b"PAR1\x15\x04"), "not text but a Parquet file"),
        (",,\n1,2,3\n", "must hold the columns' names, but it has none: remove the lines above"),
        ("A report\n\na,b\n1,2\n", "line 3 has 2 cells, but the header names 1 column; remove a t"),
        (b"PAR1\x15\x04", "not text but a Parquet file"),
        ('a,b\n1,2\n"1"x,3\n', "line 3: .*are all quotes in pairs"),
        ('a,b\n1,"2\n3,4\n', "line 3: unexpected end of data; are all quotes in pairs"),
    ],
)
def test_an_invalid_table_is_an_error_that_names_the_line(table, content, message):
    with pytest.raises(InputError, match=message):
        table(content)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: No such file"):
        read_csv(str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="directory"):
        read_csv(str(tmp_path))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_compressed_files_are_read(pack, encoding, table):
    assert cells(table(pack("a,b\n1,\u00fc\n".encode(encoding)))) == {"a": ["1"], "b": ["\u00fc"]}


def test_similar_names_are_compared_without_extensions(tmp_path):
    (tmp_path / "wine.csv").touch()
    with pytest.raises(InputError, match=r"nofile\.csv: No such file or directory$"):
        read_csv(str(tmp_path / "nofile.csv"))


def test_a_file_with_a_similar_name_is_suggested(tmp_path):
    (tmp_path / "house.csv").touch()
    with pytest.raises(InputError, match=r"hous\.csv: No such .*: did you mean .*/house\.csv\?$"):
        read_csv(str(tmp_path / "hous.csv"))
    with pytest.raises(InputError, match=r"No such file or directory$"):
        read_csv(str(tmp_path / "none" / "house.csv"))


def test_a_column_is_numeric_only_if_all_its_cells_are(table):
    result = table("a,b,c,d\n1,1_000, -2e3 ,NA\n.5,2,+7,?\n")
    assert result.numbers("a").tolist() == [1.0, 0.5]
    assert result.numbers("b") is None
    assert result.first_non_number("b") == 0
    assert result.numbers("c").tolist() == [-2000.0, 7.0]
    assert np.isnan(result.numbers("d")).all()


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("1,234", ".", "1234"),
        ("$1,234,567.50", ".", "1234567.50"),
        ("-€5", ".", "-5"),
        ("12.5 %", ".", "12.5"),
        ("1 234", ".", "1234"),
        ("1'234", ".", "1234"),
        ("1\u202f234,5", ",", "1234,5"),
        ("1.234,5 €", ",", "1234,5"),
        ("1,5", ".", None),
        ("12,34,567", ".", None),
        ("555 1234", ".", None),
        ("Q1", ".", None),
        ("2020-01-31", ".", None),
        ("", ".", None),
    ],
)
def test_numbers_with_signs_and_marks_between_thousands(table, text, decimal, number):
    assert table("a;b\n1;2\n", decimal=decimal).plain(text) == number


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (("$9", "$1,234"), "line 2, column 'a b': '$9' is not a number, but most cells seem to be"),
        (
            ("$9", "$1,234"),
            "some: write such cells as 9, or give --categorical 'a b' if categories",
        ),
        (
            ("12,426", "5"),
            "line 2, column 'a b': '12,426' is not a number, but 1 of the column's 2",
        ),
        (("1,234", "5"), "such cells as 1234, or give --decimal , if these are decimal commas, or"),
        (("1,5", "2,5"), "some: give --decimal , if these are decimal commas, or give --cat"),
        (
            ("1", "2", "-"),
            "line 4, column 'a b': '-' is not a number, but 2 of the column's 3 cells",
        ),
        (("1", "2", "x"), "cells are: correct the cell (a missing value is an empty one), or give"),
        (
            ("1", "5%", "NA"),
            "line 3, column 'a b': '5%' is not a number, .* write such cells as 5,",
        ),
        (
            ("1", "x"),
            "line 3, column 'a b': 'x' is not a number, but 1 of the column's 2 cells are",
        ),
    ],
)
def test_text_among_numbers_is_an_error(table, values, hint):
    """The same for a target: one wrong cell would turn it into some 50 classes."""
    pattern = re.escape(hint).replace(r"\.\*", ".*")
    result = table("y;a b\n" + "".join(f"{i};{text}\n" for i, text in enumerate(values)))
    with pytest.raises(InputError, match=pattern):
        learn_encoding(result, "y", "regression", np.arange(len(values)))
    with pytest.raises(InputError, match=r"is not a number, .*, or give --task classification if"):
        guess_task(result, "a b")


@pytest.mark.parametrize("values", [("1", "x", "y"), ("1", "x", "y", "NA"), ("x", "y", "2020-1-1")])
def test_a_column_with_less_than_half_numbers_is_categorical(table, values):
    result = table("y;a\n" + "".join(f"{i};{text}\n" for i, text in enumerate(values)))
    encoding = learn_encoding(result, "y", "regression", np.arange(len(values)))
    assert isinstance(encoding.columns[0], CategoryColumn)
    assert guess_task(result, "a") == ("classification", "its values are text")


def test_text_among_numbers_can_be_declared_categorical(table):
    result = table("y,a\n1,1\n2,x\n0.5,3\n")
    encoding = learn_encoding(result, "y", "regression", np.arange(3), categorical=["a"])
    assert encoding.columns == (CategoryColumn("a", ("1", "3", "x")),)


def test_numbers_beside_one_frequent_text_are_noted(table):
    result = table("y,a b\n1,none\n2,none\n3,none\n4,7\n5,8\n")
    encoding = learn_encoding(result, "y", "regression", np.arange(5))
    (note,) = nearly_numbers(result, [*encoding.columns, encoding.target], ())
    assert note.startswith("Note: a b is read as categories, as 'none' in line 2 is not a number: ")
    assert "--categorical 'a b' that" in note
    assert nearly_numbers(result, [*encoding.columns, encoding.target], ["a b"]) == []


def test_with_decimal_commas_no_number_has_a_point(table):
    result = table("a;b\n1,5;1.234\n2;5.678\n", decimal=",")
    assert result.numbers("b") is None
    assert result.first_non_number("b") == 0


def test_decimal_commas_make_numbers_and_leave_the_text(table):
    result = table("a;b\n1,5;x\n-0,25;y\n", decimal=",")
    assert result.numbers("a").tolist() == [1.5, -0.25]
    assert result.columns["a"].tolist() == ["1,5", "-0,25"]


@pytest.mark.parametrize("word", ["", " ", *MISSING])
def test_rows_with_missing_values_are_reported(table, word):
    result = table(f'a,b\n1,x\n"{word}",y\n3,"{word}"\n')
    gaps = find_gaps(result, ["a", "b"])
    assert gaps.complete.tolist() == [True, False, False]
    word = word.strip()
    assert str(gaps).endswith(
        f"values are missing in 2 of 3 rows: 'a' 1 (line 3: {word!r}), 'b' 1 (line 4: {word!r})"
    )
    assert not find_gaps(result.take(gaps.complete), ["a", "b"])


def test_all_columns_with_missing_values_are_named_the_worst_first(table):
    gaps = find_gaps(table("a,b,c\n,1,1\n2,,2\n3,,3\n"), ["a", "b", "c"])
    assert "in 3 of 3 rows: 'b' 2 (line 3: ''), 'a' 1 (line 2: '')" in str(gaps)
    assert gaps.costs == "b 2, a 1"


def test_of_very_many_columns_with_missing_values_the_worst_are_named(table):
    names = [f"c{i}" for i in range(21)]
    gaps = find_gaps(table(",".join(names) + "\n" + "NA," * 20 + "NA\n"), names)
    assert str(gaps).endswith("'c19' 1 (line 2: 'NA') and 1 more column")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a b,y\n,1\n,2\n", "column 'a b' holds no values: give --ignore 'a b'$"),
        ('"a,""b",y,c\n,1,\n,2,\n', """columns .*'c' hold no values: give --ignore '"a,""b",c'$"""),
        ("a,y\n1,\n2,NA\n", "the target 'y' holds no values$"),
    ],
)
def test_columns_without_any_value_are_named(table, content, message):
    result = table(content)
    with pytest.raises(InputError, match=message):
        find_gaps(result, result.columns).require_values("y")


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["x", "y", "1"], "classification"),
        (["0", "1", "1"], "classification"),
        ([str(i) for i in range(10)], "classification"),
        ([str(i) for i in range(11)], "regression"),
        (["0.5", "1", "1"], "regression"),
        (["1", "NA", "2.0"], "classification"),
    ],
)
def test_the_task_is_guessed(table, values, task):
    assert guess_task(table("y\n" + "\n".join(values)), "y")[0] == task


MIXED = "size,color,same,price\n1,red,5,10\n2,blue,5,20\n3,red,5,30\n9,green,5,90\n"


def test_features_are_standardised_on_the_training_rows_and_one_hot(table):
    result = table(MIXED)
    encoding = learn_encoding(result, "price", "regression", np.array([0, 1, 2]))
    scale = np.std([1, 2, 3])
    assert encoding.columns == (
        NumberColumn("size", 2.0, scale),
        CategoryColumn("color", ("blue", "green", "red")),
        NumberColumn("same", 5.0, 5.0),
    )
    expected = [
        [-1 / scale, 0, 0, 1, 0],
        [0, 1, 0, 0, 0],
        [1 / scale, 0, 0, 1, 0],
        [7 / scale, 0, 1, 0, 0],
    ]
    X = encoding.features(result)
    assert X.dtype == np.float32
    np.testing.assert_allclose(X, expected, rtol=1e-6)
    assert encoding.n_features == 5
    assert encoding.describe() == "size, color (3 categories), same"


@pytest.mark.parametrize(
    ("mean", "scale", "prediction", "text"),
    [
        (850_000, 225_000, 1.0831114, "1093700"),
        (1e7, 50.0, 0.5, "10000025"),
        (0.0, 1.0, -1e-9, "0"),
        (0.0, 1.0, -1.5, "-1.5"),
        (1.0, 0.001, 0.123456, "1.00012346"),
        (0.0, 1e-12, 1.25, "1.25e-12"),
        (0.0, 1e20, 1.25, "1.25e+20"),
    ],
)
def test_predictions_have_the_digits_that_matter(mean, scale, prediction, text):
    target = NumberTarget("price", mean, scale)
    assert target.decode(np.array([prediction], np.float32)) == [text]


def test_targets_are_encoded_and_decoded(table):
    result = table(MIXED)
    number = learn_encoding(result, "price", "regression", np.arange(4)).target
    assert number.decode(number.encode(result)) == ["10", "20", "30", "90"]
    assert number.score(number.encode(result), number.encode(result)) == 1.0
    classes = learn_encoding(result, "color", "classification", np.arange(4)).target
    assert classes.encode(result).tolist() == [2, 0, 2, 1]
    assert classes.decode(np.eye(3)[[2, 0, 2, 1]]) == ["red", "blue", "red", "green"]
    assert classes.score(np.eye(3)[[2, 0, 2, 2]], classes.encode(result)) == 0.75


def test_classes_that_are_numbers_are_in_order_and_keep_their_names(table):
    result = table("x,y\n" + "\n".join(f"1,{y}" for y in ["10", "2.0", "007", "-1"]))
    target = learn_encoding(result, "y", "classification", np.arange(4)).target
    assert target.classes == ("-1", "2.0", "007", "10")


def test_numbers_that_stand_for_categories(table):
    result = table(MIXED)
    encoding = learn_encoding(
        result, "price", "regression", np.arange(4), categorical=["size"], ignore=["same"]
    )
    assert encoding.columns[0] == CategoryColumn("size", ("1", "2", "3", "9"))
    assert encoding.names == ["size", "color"]


@pytest.mark.parametrize("target", ["price", "color"])
def test_an_encoding_survives_json_bit_for_bit(table, target):
    result = table(MIXED.replace("10\n", "0.1\n"))
    task = "regression" if target == "price" else "classification"
    encoding = learn_encoding(result, target, task, np.arange(4))
    assert Encoding.from_fields(json.loads(json.dumps(encoding.to_fields()))) == encoding


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": 1, "columns": [{"name": "a"}], "target": {"name": "b"}},
        {"version": 1, "columns": 3, "target": {}},
        {"version": "1", "columns": [], "target": {}},
        *(
            {"version": 1, "columns": [column], "target": {"name": "y", "classes": ["a", "b"]}}
            for column in [
                {"name": 1, "mean": 0.0, "scale": 1.0},
                {"name": "\ud800", "mean": 0.0, "scale": 1.0},
                {"name": "x", "mean": "0", "scale": 1.0},
                {"name": "x", "mean": math.nan, "scale": 1.0},
                {"name": "x", "mean": 10**400, "scale": 1.0},
                {"name": "x", "mean": 0.0, "scale": 0.0},
                {"name": "x", "mean": 0.0, "scale": math.inf},
                {"name": "x", "values": "abc"},
                {"name": "x", "values": ["a", "a"]},
                {"name": "x", "values": []},
                {"name": "x", "values": [1]},
            ]
        ),
        {"version": 1, "columns": [], "target": {"name": "y", "classes": ["a"]}},
        {"version": 1, "columns": [], "target": {"name": "y", "mean": 0.0, "scale": -1.0}},
    ],
)
def test_damaged_encodings(fields):
    with pytest.raises(InputError, match="description of the columns is damaged"):
        Encoding.from_fields(fields)


def test_encodings_of_a_later_version():
    with pytest.raises(InputError, match="later version"):
        Encoding.from_fields({"version": 99})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("size,color\n1,pink\n", "line 2, column 'color': the model knows no 'pink'; in training"),
        ("size,color\nbig,red\n", "line 2, column 'size': 'big' is not a number, but the column"),
        ("size,color\n-inf,red\n", "line 2, column 'size': -inf is not a finite number"),
        ("size,color\n1e300,red\n", r"line 2, column 'size': 1e\+300 is too large for a model"),
    ],
)
def test_cells_that_a_model_cannot_encode_are_an_error(table, content, message):
    encoding = learn_encoding(table(MIXED), "price", "regression", np.arange(4), ignore=["same"])
    with pytest.raises(InputError, match=message):
        encoding.features(table(content))


def test_unknown_categories_can_be_ignored(table):
    encoding = learn_encoding(table(MIXED), "price", "regression", np.arange(4))
    X = encoding.features(table("same,size,color\n5,1,pink\n"), unknown="ignore")
    assert X[0, 1:4].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("content", "task", "message"),
    [
        ("y,a\n" + "1,2\n" * 3, "regression", "the target 'y' is 1 in all training rows"),
        ("y,a\n" + "1,2\n" * 3, "classification", "the target 'y' is '1' in all rows"),
        ("y\n1\n2\n", "regression", "no column left to predict 'y' from"),
        ("y,a\n1,2\nx,3\n", "regression", "line 3, column 'y': 'x' is not a number"),
        ("y,a\n1,1e200\n2,-1e200\n", "regression", "column 'a': .* too large to standardise"),
        ("y;a\n1;1,5\n2;2,5\n3;3,5\n", "regression", "--decimal , if these are decimal commas"),
        ("y,a\nu,1\nv,2\nw,3\n", "classification", "than 2 classes. Give another --target, or"),
        (
            "y,a\n1,1\n2,2\n3,3\n",
            "classification",
            r"Give --task regression, or raise .*s$",
        ),
        ("y,a\n1e200,1\n-1e200,2\n", "regression", "too large to standardise; divide them$"),
        ("y;a\n$1,200;1\n2;2\n", "regression", "line 2, column 'y': .* such cells as 1200$"),
    ],
)
def test_tables_without_information_are_refused(table, content, task, message):
    result = table(content)
    with pytest.raises(InputError, match=message):
        learn_encoding(result, "y", task, np.arange(len(result)), max_categories=2)


def test_one_category_is_one(table):
    result = table("y,a\n1,x\n2,x\n3,x\n")
    assert learn_encoding(result, "y", "regression", np.arange(3)).describe() == "a (1 category)"
    assert guess_task(table("y\n1\n1\n"), "y")[1] == "it has 1 different whole number"


@pytest.mark.parametrize(
    ("words", "most", "text"),
    [("", 3, ""), ("a", 3, "'a'"), ("ab", 3, "'a' and 'b'"), ("abc", 3, "'a', 'b' and 'c'"),
     ("abcd", 3, "'a', 'b', 'c' and 1 more")],
)  # fmt: skip
def test_lists_in_messages(words, most, text):
    assert shorten(words, most) == text


@pytest.mark.parametrize(
    ("header", "text", "names"),
    [
        ("a,b", "a,b", ["a", "b"]),
        ("a,b", "a , b,", ["a", "b"]),
        ('"a, b",b', "a, b", ["a, b"]),
        ('"a, b",b', '"a, b",b', ["a, b", "b"]),
        ("a,b", "", []),
    ],
)
def test_names_of_columns_in_an_option(table, header, text, names):
    assert split_names(table(f"{header}\n1,2\n"), text) == names


def test_a_title_above_the_header_is_suspected(table):
    result = table("A report,,,\nday,a,b,c\n1,2,3,4\n")
    with pytest.raises(InputError, match=r"has no column 'c'.*its first line a title\? Remove"):
        require_columns(result, ["c"], "which --target names")


def test_a_score_on_targets_that_do_not_vary():
    assert NumberTarget("y", 0.0, 1.0).score(np.ones(3), np.zeros(3)) == -np.inf
    assert ClassTarget("y", ("a", "b")).score(np.eye(2), np.array([0, 0])) == 0.5
