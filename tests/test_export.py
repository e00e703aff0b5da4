"""Models in other programs' formats: what these compute, and what is read back."""

import pickle

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
import skl2onnx
import skops.io
from conftest import make_data
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES
from fastgd.sklearn import MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor

torch = pytest.importorskip("torch")


def network(hidden="relu", loss="squared_error", dtype="float32", depth=2):
    """A network whose raw outputs reach into an activation's tails."""
    sizes = [5, *[9] * depth, 1 if LOSSES[loss].one_output else 3]
    net = gd.Network(sizes, hidden=hidden, loss=loss, dtype=dtype, rng=0)
    net.params = 3 * np.random.default_rng(1).standard_normal(net.n_params)
    return net


def run_onnx(path, X):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: X})[0]


def assert_equal_to_rounding(found, wanted, dtype):
    """Compare with an error bound for sums over 9 inputs of size 100 through 3 layers."""
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    size = np.maximum(1, np.abs(wanted).max())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=200 * np.finfo(dtype).eps * size)


CASES = [(hidden, "squared_error") for hidden in ACTIVATIONS] + [("tanh", loss) for loss in LOSSES]


@pytest.mark.parametrize(("hidden", "loss"), CASES)
def test_onnx_predicts_as_the_network(hidden, loss, dtype, tmp_path):
    net = network(hidden, loss, dtype)
    X, _ = make_data(net.sizes, loss, n=40, dtype=dtype)
    if loss == "poisson":
        net.params /= 5  # rates without overflow
    gd.export.to_onnx(net, tmp_path / "net.onnx")
    assert_equal_to_rounding(run_onnx(tmp_path / "net.onnx", X), net.predict(X), dtype)


def standardised(dtype="float32"):
    net = network(dtype=dtype)
    X = 5 + 3 * np.random.default_rng(2).standard_normal((40, 5)).astype(dtype)
    inputs = gd.Standardize.fit(X)
    raw = gd.Network(net.sizes, hidden=net.hidden, dtype=dtype, inputs=inputs)
    raw.params = net.params
    return raw, X


def test_onnx_takes_the_raw_columns_of_inputs(dtype, tmp_path):
    net, X = standardised(dtype)
    gd.export.to_onnx(net, tmp_path / "net.onnx")
    assert_equal_to_rounding(run_onnx(tmp_path / "net.onnx", X), net.predict(X), dtype)


@pytest.mark.parametrize(
    "write", [gd.to_torch, lambda net: gd.export.to_safetensors(net, "never written")]
)
def test_layers_alone_cannot_hold_inputs(write):
    with pytest.raises(ValueError, match=r"net\.inputs\.transform"):
        write(standardised()[0])


@pytest.mark.parametrize("sizes", [[1, 1], [3, 1], [3, 2]])
def test_onnx_of_a_linear_model(sizes, tmp_path):
    net = gd.Network(sizes)
    net.params = np.arange(net.n_params)
    X = np.ones((2, sizes[0]), np.float32)
    gd.export.to_onnx(net, tmp_path / "net.onnx")
    assert run_onnx(tmp_path / "net.onnx", X).tolist() == net.predict(X).tolist()


def test_onnx_in_float64_has_gelu_in_its_tails(tmp_path):
    net = gd.Network([1, 1, 1], hidden="gelu", dtype="float64")
    net.params = [1, 0, 1, 0]
    X = np.concatenate([np.linspace(-40, 40, 2001), [-1e300, 1e300]]).reshape(-1, 1)
    gd.export.to_onnx(net, tmp_path / "net.onnx")
    np.testing.assert_allclose(
        run_onnx(tmp_path / "net.onnx", X), net.predict(X), rtol=4e-16, atol=4e-16
    )


def test_onnx_files_are_reproducible_and_say_what_they_hold(tmp_path):
    net = network()
    for name in ("a", "b"):
        gd.export.to_onnx(net, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    model = onnx.load(tmp_path / "a")
    assert model.producer_name == "fastgd"
    assert repr(net) in model.graph.doc_string


ESTIMATORS = [
    MLPClassifier(hidden_layer_sizes=(8,), tol=0.1, random_state=0),
    MLPRegressor(hidden_layer_sizes=(8,), activation="tanh", tol=0.1, random_state=0),
    SGDClassifier(loss="log_loss", random_state=0),
    SGDRegressor(random_state=0),
]


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def fitted(request):
    """A fitted pipeline with an estimator, and samples."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4)).astype(np.float32)
    y = (X @ [1, -2, 3, 0] > 0) + (X[:, 0] > 1)
    return make_pipeline(StandardScaler(), request.param).fit(X, y), X


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_skl2onnx_converts_the_estimators(fitted, tmp_path):
    pipeline, X = fitted
    gd.export.register_estimators()
    gd.export.register_estimators()  # a second time changes nothing
    model = skl2onnx.to_onnx(pipeline, X[:1])
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    found = run_onnx(tmp_path / "model.onnx", X).ravel()
    np.testing.assert_allclose(found, pipeline.predict(X), rtol=1e-4, atol=1e-5)


def test_skops_keeps_the_estimators(fitted):
    pipeline, X = fitted
    written = skops.io.dumps(pipeline)
    trusted = skops.io.get_untrusted_types(data=written)
    assert all(name.startswith("fastgd.") for name in trusted)
    again = skops.io.loads(written, trusted=trusted)
    assert again.predict(X).tolist() == pipeline.predict(X).tolist()


@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_torch_there_and_back(hidden, dtype):
    net = network(hidden, dtype=dtype)
    X, _ = make_data(net.sizes, net.loss, n=40, dtype=dtype)
    module = gd.to_torch(net)
    assert_equal_to_rounding(module(torch.from_numpy(X)).detach().numpy(), net.forward(X), dtype)
    again = gd.from_torch(module)
    assert repr(again) == repr(net)
    assert again.params.tobytes() == net.params.tobytes()


@pytest.mark.parametrize("depth", [0, 2])
def test_safetensors_there_and_back(depth, dtype, tmp_path):
    net = network("tanh", "log_loss", dtype, depth)
    path = tmp_path / "net.safetensors"
    gd.export.to_safetensors(net, path)
    again = gd.export.from_safetensors(path)
    assert repr(again) == repr(net)
    assert again.params.tobytes() == net.params.tobytes()


def test_safetensors_with_torch(tmp_path):
    from safetensors.torch import load_file, save_file

    net, path = network("silu"), tmp_path / "net.safetensors"
    gd.export.to_safetensors(net, path)
    module = gd.to_torch(network("silu", depth=2))
    module.load_state_dict(load_file(path))
    assert gd.from_torch(module).params.tobytes() == net.params.tobytes()
    save_file(module.state_dict(), path)
    with pytest.raises(ValueError, match="does not say what hidden is"):
        gd.export.from_safetensors(path)
    again = gd.export.from_safetensors(path, hidden="silu", loss="squared_error")
    assert again.params.tobytes() == net.params.tobytes()


def test_safetensors_of_half_precision_become_float32(tmp_path):
    path, W = tmp_path / "half", np.ones((1, 2), np.float16)
    safetensors.numpy.save_file({"weight": W, "bias": W[0, :1]}, path)
    net = gd.export.from_safetensors(path, loss="hinge")
    assert repr(net) == "Network([2, 1], loss='hinge', dtype='float32')"


W, B = np.ones((3, 2), np.float32), np.ones(3, np.float32)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"0.weight": W},
        {"0.weight": W, "0.bias": B[:2]},
        {"0.weight": W[0], "0.bias": B},
        {"0.weight": W, "0.bias": B, "1.weight": W, "1.bias": B},
        {"0.weight": W, "0.bias": B, "running_mean": B},
    ],
)
def test_other_safetensors_are_refused(tensors, tmp_path):
    safetensors.numpy.save_file(tensors, tmp_path / "file")
    with pytest.raises(ValueError, match="fastgd reads fully connected layers"):
        gd.export.from_safetensors(tmp_path / "file", hidden="relu", loss="hinge")


@pytest.mark.parametrize("content", [b"", b"nothing", b"\xff" * 100])
def test_what_is_no_safetensors_file_is_refused(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        gd.export.from_safetensors(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        gd.export.from_safetensors(tmp_path / "other")


Linear, Sequential = torch.nn.Linear, torch.nn.Sequential


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Sequential(), "no Linear layer"),
        (Linear(2, 1, bias=False), "without a bias"),
        (Sequential(torch.nn.ReLU(), Linear(2, 1)), "does not follow a Linear"),
        (Sequential(Linear(2, 1), torch.nn.Sigmoid()), "leave it out"),
        (Sequential(Linear(2, 3), torch.nn.PReLU(), Linear(3, 1)), "no activation of fastgd"),
        (Sequential(Linear(2, 3), torch.nn.GELU("tanh"), Linear(3, 1)), "no activation of fastgd"),
        (Sequential(Linear(2, 3), Linear(4, 1)), "does not take the outputs"),
        (Linear(2, 1, dtype=torch.float16), "dtype"),
    ],
)
def test_other_modules_are_refused(module, message):
    with pytest.raises((TypeError, ValueError), match=message):
        gd.from_torch(module)


def test_modules_may_be_nested_and_have_dropout():
    module = Sequential(Sequential(Linear(2, 3), torch.nn.Dropout(0.1)), Linear(3, 1))
    assert repr(gd.from_torch(module)) == repr(gd.Network([2, 3, 1], hidden="identity"))


@pytest.mark.parametrize("write", [gd.export.to_onnx, gd.export.to_safetensors])
def test_writing_is_checked_before_a_file_changes(write, tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    with pytest.raises(TypeError, match="net must be a"):
        write("net", path)
    assert path.read_text() == "kept"
    with pytest.raises(IsADirectoryError):
        write(network(), tmp_path)


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("onnx", lambda net: gd.export.to_onnx(net, "x"), "onnx"),
        ("safetensors.numpy", lambda net: gd.export.to_safetensors(net, "x"), "safetensors"),
        ("torch", gd.to_torch, "torch"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(module, call, extra, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'fastgd\[{extra}\]'"):
        call(network())


def test_networks_from_torch_are_independent():
    module = gd.to_torch(network())
    net = pickle.loads(pickle.dumps(gd.from_torch(module)))
    with torch.no_grad():
        module[0].weight.zero_()
    assert net.weights[0].any()
