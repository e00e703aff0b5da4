"""Network, its files, and the definitions behind it."""

import copy
import os
import pickle
import re

import numpy as np
import pytest
from conftest import assert_close

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.backends import compiled
from fastgd.losses import LOSSES


def test_weights_and_biases_are_views_on_the_parameters():
    net = gd.Network([2, 3, 1], rng=0)
    assert [W.shape for W in net.weights] == [(2, 3), (3, 1)]
    assert [b.shape for b in net.biases] == [(3,), (1,)]
    net.params[:] = np.arange(13)
    assert net.weights[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert net.biases[0].tolist() == [6, 7, 8]
    net.weights[1][...] = -1
    assert net.params[9:12].tolist() == [-1, -1, -1]


def test_replacing_a_view_is_refused():
    with pytest.raises(TypeError):
        gd.Network([2, 1]).weights[0] = np.ones((2, 1))


@pytest.mark.parametrize(
    "twin",
    [gd.Network.copy, copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["copy", "copy.copy", "deepcopy", "pickle"],
)
def test_a_copy_has_its_own_parameters(twin):
    net = gd.Network([2, 3, 1], rng=0)
    other = twin(net)
    assert repr(other) == repr(net)
    if twin is not copy.copy:
        other.weights[0][...] = 7
        assert not (net.weights[0] == 7).any()
    assert (other.weights[0] == other.params[:6].reshape(2, 3)).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_forward_equals_its_definition(loss, hidden, dtype):
    outputs = 1 if LOSSES[loss].one_output else 4
    net = gd.Network([3, 17, outputs], hidden=hidden, loss=loss, dtype=dtype, rng=0)
    X = np.random.default_rng(0).standard_normal((70, 3)).astype(dtype)
    z = ACTIVATIONS[hidden].value(X @ net.weights[0] + net.biases[0])
    z = z @ net.weights[1] + net.biases[1]
    shape = (70,) if outputs == 1 else (70, 4)
    assert_close(net.forward(X), z.reshape(shape), dtype, 3, 17)
    assert_close(net.predict(X), LOSSES[loss].link(z).reshape(shape), dtype, 3, 17)


@pytest.mark.parametrize("n", [1, 7, 64, 257, 1000])
def test_forward_takes_any_number_of_samples(n, isa, n_threads, monkeypatch):
    net = gd.Network([5, 33, 2], rng=0)
    X = np.random.default_rng(0).standard_normal((n, 5)).astype(np.float32)
    together = net.forward(X)
    monkeypatch.setattr(compiled, "ALL_THREADS", False)
    rows = np.vstack([net.forward(X[i : i + 1]) for i in range(n)])
    assert together.tobytes() == rows.tobytes()


def test_loss_value_reductions():
    net = gd.Network([1, 2], dtype="float64")
    X, y = [[1.0], [2.0]], [[1.0, 3.0], [0.0, 2.0]]
    assert net.loss_value(X, y, reduction="none").tolist() == [5.0, 2.0]
    assert net.loss_value(X, y, reduction="sum") == 7.0
    assert net.loss_value(X, y) == 3.5
    assert net.loss_value(X, y, sample_weight=[2.0, 0.0]) == 5.0


def test_the_same_seed_gives_the_same_network():
    first, second, other = (gd.Network([4, 8, 2], rng=seed) for seed in (1, 1, 2))
    assert (first.params == second.params).all()
    assert not (first.params == other.params).all()


@pytest.mark.parametrize(("hidden", "gain"), [("relu", 2), ("tanh", 1)])
def test_initial_weights_have_their_variance(hidden, gain):
    net = gd.Network([400, 500, 1], hidden=hidden, rng=0)
    assert net.weights[0].var() == pytest.approx(gain / 400, rel=0.02)
    assert not net.biases[0].any()


def test_a_linear_model_begins_at_zero():
    assert not gd.Network([3, 2], rng=0).params.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3],), "at least the number of inputs"),
        (([3, 0],), r"sizes\[1\] is 0"),
        (([3, 1.5],), "whole number"),
        (([True, 1],), "truth value"),
        ((3,), r"list the units of each layer, such as \[3, 1\], not 3"),
        (("31",), "list the units"),
    ],
)
def test_bad_sizes_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        gd.Network(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": "rellu"}, "did you mean 'relu'"),
        ({"hidden": "ReLU"}, "did you mean 'relu'"),
        ({"hidden": "swish"}, "did you mean 'silu'"),
        ({"hidden": "logistic"}, "did you mean 'sigmoid'"),
        ({"hidden": ["relu"]}, "1 activation, but .* 2 hidden layers"),
        ({"hidden": np.tanh}, "must be one of 'identity', .* one such name per hidden layer"),
        ({"loss": "logistic"}, "did you mean 'log_loss'"),
        ({"loss": "mse"}, "must be one of 'squared_error'.*: did you mean 'squared_error'"),
        ({"loss": "log_loss"}, "use loss='cross_entropy'"),
        ({"dtype": "float16"}, "'float32' or 'float64'"),
        ({"dtype": "nonsense"}, "'float32' or 'float64'"),
        ({"dtype": None}, "dtype is None"),
        ({"rng": -1}, "at least 0"),
        ({"rng": "seed"}, "numpy.random.Generator"),
        ({"rng": np.random.RandomState(0)}, r"numpy\.random\.default_rng\(0\), not RandomState"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        gd.Network([3, 4, 4, 2], **options)


def test_a_loaded_network_is_the_same(tmp_path, dtype):
    net = gd.Network([3, 4, 2], hidden=["gelu"], loss="huber", dtype=dtype, rng=0)
    net.save(tmp_path / "net.npz")
    loaded = gd.load(tmp_path / "net.npz")
    assert repr(loaded) == repr(net)
    assert loaded.params.tobytes() == net.params.tobytes()
    assert os.listdir(tmp_path) == ["net.npz"]


def test_loading_draws_no_weights(tmp_path, monkeypatch):
    net = gd.Network([3, 4, 2], rng=0)
    net.save(tmp_path / "net.npz")
    monkeypatch.delattr(gd.Network, "_draw")
    assert gd.load(tmp_path / "net.npz").params.tobytes() == net.params.tobytes()


def test_a_saved_file_has_the_permissions_of_any_new_one(tmp_path):
    (tmp_path / "other").touch()
    gd.Network([2, 1]).save(tmp_path / "net.npz")
    (tmp_path / "later").touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("", IsADirectoryError, "is a folder: give a file's name: '"),
        ("none/net.npz", FileNotFoundError, "there is no folder '.*none': '.*none/net.npz'$"),
    ],
)
def test_an_impossible_path_is_refused(tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        gd.Network([2, 1]).save(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=r"is a device or a pipe: give a file's name: '.*pipe'$"):
        gd.Network([2, 1]).save(pipe)
    assert pipe.is_fifo()


def test_an_error_names_the_file_as_the_user_did(tmp_path):
    with pytest.raises(OSError, match=r"too long: '[^']*/n{250}'$"):
        gd.Network([2, 1]).save(tmp_path / ("n" * 250))


def test_a_link_to_a_file_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "net.npz")
    gd.Network([2, 1]).save(os.fsencode(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert gd.load(tmp_path / "net.npz").n_params == 3


def test_assigning_parameters_copies_them():
    net, mine = gd.Network([2, 1]), [1.0, 2.0, 3.0]
    vector = net.params
    net.params = mine
    assert net.params is vector
    assert net.params.tolist() == mine
    assert net.weights[0].tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize("values", [[1.0, 2.0], 3.0, [1.0, 2.0, np.nan], [1.0, 2.0, 1e60], "abc"])
def test_invalid_parameters_are_refused(values):
    net = gd.Network([2, 1])
    with pytest.raises((TypeError, ValueError), match="params"):
        net.params = values
    assert not net.params.any()


def test_saving_replaces_a_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "net.npz"
    net = gd.Network([2, 1])
    net.save(path)
    kept = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        net.save(path)
    assert path.read_bytes() == kept
    assert os.listdir(tmp_path) == ["net.npz"]


def damaged(path, kind):
    content = path.read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("theta1,theta0\n1,2\n")
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "array":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"params": [1]}))
    elif kind == "foreign":
        np.savez(path, params=np.ones(3))
    else:
        with np.load(path) as file:
            entries = dict(file)
        np.savez(path, **entries | DAMAGED_ENTRIES[kind])


DAMAGED_ENTRIES = {
    "short": {"params": np.ones(2)},
    "objects": {"params": np.array([gd.SGD(0.1)] * 3, object)},  # which a pickle would hold
    "header a list": {"fastgd": np.array("[1]")},
    "header without format": {"fastgd": np.array("{}")},
    "format a word": {"fastgd": np.array('{"format": "one"}')},
}


@pytest.mark.parametrize(
    "kind", ["empty", "text", "truncated", "array", "pickle", "foreign", *DAMAGED_ENTRIES]
)
@pytest.mark.parametrize("load", [gd.load, gd.load_checkpoint])
def test_a_damaged_file_is_a_clear_error(kind, load, tmp_path):
    path = tmp_path / "net.npz"
    gd.Network([2, 1]).save(path)
    damaged(path, kind)
    with pytest.raises(ValueError, match=r"net\.npz"):
        load(path)


def test_a_truncated_file_is_an_error_and_never_a_crash(tmp_path):
    path = tmp_path / "net.npz"
    gd.Network([2, 1]).save(path)
    content = path.read_bytes()
    for end in range(0, len(content) - 1, 7):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match="damaged or was not written"):
            gd.load(path)


def test_a_changed_byte_is_an_error_or_changes_nothing(tmp_path):
    path, net = tmp_path / "net.npz", gd.Network([2, 1])
    net.params = [1.0, 2.0, 3.0]
    net.save(path)
    content, messages = path.read_bytes(), set()
    for place, byte in enumerate(content):
        path.write_bytes(content[:place] + bytes([byte ^ 255]) + content[place + 1 :])
        try:
            loaded = gd.load(path)
        except ValueError as error:
            messages.add(str(error))
        else:
            assert (repr(loaded), loaded.params.tolist()) == (repr(net), net.params.tolist())
    assert all(re.search(r"net\.npz' is damaged or .+: .", message) for message in messages)


@pytest.mark.parametrize("load", [gd.load, gd.load_checkpoint])
def test_a_folder_is_not_called_damaged(load, tmp_path):
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        gd.load(tmp_path / "none.npz")


def test_a_network_without_history_is_not_a_checkpoint(tmp_path):
    gd.Network([2, 1]).save(tmp_path / "net.npz")
    with pytest.raises(ValueError, match=r"fastgd\.load"):
        gd.load_checkpoint(tmp_path / "net.npz")


def test_files_of_a_later_format_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(gd._files, "NEEDED", {"sizes": 99})
    gd.Network([2, 1]).save(tmp_path / "net.npz")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format 99"):
        gd.load(tmp_path / "net.npz")


CLASSES = {
    "cross_entropy": ([[0.0, 2.0, 2.0], [3.0, 0.0, 1.0]], [1, 0]),
    "log_loss": ([[-1.0], [0.0], [2.0]], [0, 0, 1]),
    "hinge": ([[-1.0], [0.0], [2.0]], [-1, -1, 1]),
    "squared_hinge": ([[-1.0], [0.0], [2.0]], [-1, -1, 1]),
}


@pytest.mark.parametrize(
    "loss", [name for name, loss in gd.losses.LOSSES.items() if loss.targets.classes]
)
def test_predict_class(loss):
    X, expected = CLASSES[loss]
    X = np.array(X)
    net = gd.Network([X.shape[1]] * 2, loss=loss)
    net.weights[0][:] = np.eye(X.shape[1])
    found = net.predict_class(X)
    assert found.tolist() == expected
    assert found.dtype == np.int64
    assert gd.train(net, X, found, epochs=1, optimizer=gd.SGD(1e-9), metrics=["accuracy"]).metrics[
        "accuracy"
    ] == [1.0]


def test_predict_class_needs_classes():
    with pytest.raises(ValueError, match="predict_class needs targets that are classes"):
        gd.Network([1, 1]).predict_class([[1.0]])


def test_summary_of_a_network_with_columns():
    names = [f"a_long_name_{i}" for i in range(1000)]
    inputs = gd.Standardize(np.zeros(1000), np.ones(1000), names)
    text = gd.Network([1000, 20, 1], hidden="tanh", inputs=inputs, dtype="float64").summary()
    assert text.splitlines()[:4] == [
        "layer  inputs  outputs  activation  parameters",
        "    1   1,000       20  tanh            20,020",
        "    2      20        1                      21",
        "20,041 parameters in float64, loss 'squared_error'",
    ]
    assert "1,000 columns, which it standardises: 'a_long_name_0'" in text
    assert text.endswith("and 992 more")
    assert all(len(line) < 80 for line in text.splitlines())


def test_summary_of_raw_columns_without_names():
    text = gd.Network([2, 1], inputs=gd.Standardize([0, 0], [1, 1])).summary()
    assert text.endswith("2 raw columns, which it standardises")


def test_a_notebook_shows_the_layers():
    frame = gd.Standardize([0, 0], [1, 1], feature_names=["a<b", "c"])
    html = gd.Network([2, 3, 1], hidden="tanh", inputs=frame)._repr_html_()
    assert html.count("<tr") == 3  # the headings and two layers
    assert "tanh" in html
    assert "13 parameters in float32, loss &#x27;squared_error&#x27;" in html
    assert "2 columns, which it standardises: &#x27;a&lt;b&#x27;, &#x27;c&#x27;" in html
