"""Bad input raises the documented error with every backend, before anything has changed."""

from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array

import fastgd as gd
from fastgd._data import check_numbers
from fastgd.backends import BACKENDS
from fastgd.sampling import Shuffle

X = np.arange(30, dtype=np.float32).reshape(10, 3) / 30
Y = np.arange(10, dtype=np.float32)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


BAD_DATA = {
    "X of one dimension": ({"X": Y}, ValueError, r"for one feature use \.reshape\(-1, 1\)"),
    "X of three": ({"X": X[None]}, ValueError, r"two dimensions; \.reshape\(len\(X\), -1\)"),
    "X empty": ({"X": X[:0], "y": Y[:0]}, ValueError, "no samples"),
    "X an empty list": ({"X": [], "y": []}, ValueError, "no samples"),
    "X too wide": (
        {"X": np.ones((10, 4))}, ValueError, "4 columns, but the network has 3 inputs: the first of"
    ),
    "X transposed": ({"X": X.T}, ValueError, r"10 columns, .* 3 inputs: .* X\.T may be meant"),
    "X not a number": ({"X": changed(X, (4, 1), np.nan)}, ValueError, r"X\[4, 1\] is nan"),
    "X infinite": ({"X": changed(X, (9, 2), -np.inf)}, ValueError, r"X\[9, 2\] is -inf"),
    "X beyond float32": (
        {"X": changed(X.astype(float), (0, 0), 1e300)}, ValueError,
        r"X\[0, 0\] is 1e\+300, which is more than float32 holds: scale",
    ),
    "X None": ({"X": None}, TypeError, "X is None"),
    "X an iterator": ({"X": iter(X)}, TypeError, r"must be an array of numbers: use list\(X\)"),
    "X a mapping": ({"X": {"a": Y}}, TypeError, r"X is a dict, .*column_stack\(list\(X.values"),
    "X a file's name": ({"X": "data.csv"}, TypeError, "X is 'data.csv', .*: a file is read by"),
    "X of times": ({"X": X.astype("M8[s]")}, TypeError, r"datetime64\[s\], .*X - X\.min\(\)"),
    "X of spans": ({"X": X.astype("m8[s]")}, TypeError, "divide by a unit"),
    "X of fields": ({"X": np.zeros(10, "f4,f4")}, TypeError, "structured_to_unstructured"),
    "y sparse": ({"y": csr_array(X)}, TypeError, r"csr_array, but .*: use y.toarray\(\)"),
    "X masked": ({"X": np.ma.masked_less(X, 0.5)}, ValueError, "masked values: remove"),
    "X with a gap": (
        {"X": changed(X.astype(object), (4, 1), None)}, TypeError, r"X\[4, 1\] is None \(NoneType\)"
    ),
    "X of numbers and text": (
        {"X": changed(X.astype(object), (4, 1), "a")}, TypeError, r"'a' \(str\), but .* text into"
    ),
    "X beyond all floats": (
        {"X": changed(X.astype(object), (4, 1), 10**400)}, TypeError, r"X\[4, 1\] is 1000.*fits a"
    ),
    "X of text": ({"X": X.astype(str)}, TypeError, r"real numbers; .* X.astype\(float\)"),
    "X complex": ({"X": X.astype(complex)}, TypeError, "complex128"),
    "X ragged": ({"X": [[1.0, 2.0], [3.0]]}, ValueError, "rows differ in length"),
    "y too short": ({"y": Y[:9]}, ValueError, "length 9, but there are 10 samples"),
    "y a scalar": ({"y": 3.0}, ValueError, "single value"),
    "y too wide": ({"y": np.ones((10, 2))}, ValueError, "for 2 targets per sample let the"),
    "y not a number": ({"y": changed(Y, 3, np.nan)}, ValueError, r"y\[3\] is nan"),
    "y a column with a gap": (
        {"y": changed(Y, 3, np.nan)[:, None]}, ValueError, r"y\[3, 0\] is nan"
    ),
    "y beyond float32": (
        {"y": changed(Y.astype(float), 3, -1e60)}, ValueError, r"y\[3\] is -1e\+60, which is more"
    ),
    "y None": ({"y": None}, TypeError, "y is None"),
    "y of text": ({"y": ["a"] * 10}, TypeError, "return_inverse=True"),
    "weight too short": ({"sample_weight": Y[:9]}, ValueError, r"must have \(10,\)"),
    "weight negative": ({"sample_weight": Y - 1}, ValueError, r"sample_weight\[0\] is -1"),
    "weight zero": ({"sample_weight": Y * 0}, ValueError, "only zeros"),
    "weight infinite": ({"sample_weight": changed(Y, 2, np.inf)}, ValueError, "is inf"),
    "weight beyond float32": (
        {"sample_weight": changed(Y.astype(float), 2, 1e60)}, ValueError, r"is 1e\+60, which"
    ),
    "weight a name": ({"sample_weight": "balanced"}, TypeError, "is 'balanced', but must be an"),
    "validation no pair": ({"validation": X}, TypeError, r"not an ndarray of shape \(10, 3\)"),
    "validation a mapping": (
        {"validation": {"X": X, "y": Y}}, TypeError, r"not \{'X': array\(\[\[0. , 0.0[^\n]*\.\.\.$"
    ),
    "validation of a number": (
        {"validation": 2}, TypeError, r"tuple \(X, y\) or .* a share .* such as 0.2, not 2"
    ),
    "validation of all": ({"validation": 1.0}, ValueError, "validation is 1.0, .* below 1"),
    "validation of four": ({"validation": (X, Y, Y, Y)}, TypeError, "not a tuple of 4"),
    "validation X alone": ({"validation": (X,)}, TypeError, "not a tuple of 1"),
    "validation too wide": (
        {"validation": (np.ones((2, 4)), Y[:2])}, ValueError, "validation X has 4 columns"
    ),
    "validation lengths": ({"validation": (X, Y[:2])}, ValueError, "validation y has length 2"),
}  # fmt: skip

BAD_SETTINGS = {
    "batch size 0": ({"batch_size": 0}, ValueError, "at least 1"),
    "batch size a name": ({"batch_size": "full"}, TypeError, "or None for all samples, not 'full'"),
    "batch size a fraction": ({"batch_size": 2.5}, TypeError, "whole number"),
    "batch size a truth value": ({"batch_size": True}, TypeError, "truth value"),
    "epochs negative": ({"epochs": -1}, ValueError, "at least 0"),
    "optimizer a name": (
        {"optimizer": "adamw"}, TypeError, r"did you mean fastgd\.AdamW\(0\.01\)"
    ),
    "optimizer unknown": ({"optimizer": "xyz"}, TypeError, "not 'xyz'; there are SGD, Adam"),
    "optimizer a class": (
        {"optimizer": gd.SGD}, TypeError, r"make one of it, as in fastgd\.SGD\(0\.01\)"
    ),
    "optimizer a number": ({"optimizer": 0.1}, TypeError, r"fastgd\.SGD\(0\.1\), not 0\.1"),
    "schedule a name": ({"schedule": "cosine"}, TypeError, r"did you mean schedules\.Cosine\?"),
    "schedule a class": (
        {"schedule": gd.schedules.Cosine}, TypeError, "make a schedule of the class"
    ),
    "schedule of no argument": (
        {"schedule": lambda: 0.1}, TypeError, r"^schedule must be .* takes \(epoch\), but <function"
    ),
    "sampling unknown": ({"sampling": "shufle"}, ValueError, "did you mean 'shuffle'"),
    "sampling a class": ({"sampling": Shuffle}, TypeError, "make an object of the class"),
    "sampling a number": ({"sampling": 3}, TypeError, r"epoch\(n, rng\)"),
    "stratified numbers": ({"sampling": "stratified"}, ValueError, "targets that are classes"),
    "reduction unknown": ({"reduction": "none"}, ValueError, "'mean', 'sum'"),
    "drop_last a number": ({"drop_last": 1}, TypeError, "True or False"),
    "callbacks a function": (
        {"callbacks": print}, TypeError, r"as in callbacks=\[function\], not <built-in"
    ),
    "callbacks no functions": ({"callbacks": [3]}, TypeError, "list functions"),
    "callbacks a number": ({"callbacks": 3}, TypeError, "list functions"),
    "callbacks of one argument": (
        {"callbacks": [print, lambda net: None]},
        TypeError, r"^callbacks\[1\] must be a function that takes \(net, history\), but <function",
    ),
    "callbacks a class": ({"callbacks": [Shuffle]}, TypeError, r"callbacks\[0\].* takes \(\): too"),
    "sampling of one argument": (
        {"sampling": SimpleNamespace(epoch=lambda n: [0])}, TypeError, r"epoch must .*\(n, rng\)",
    ),
    "record a number": ({"record": 3}, TypeError, r"record=\('loss',\), not 3"),
    "record a name": ({"record": "loss"}, TypeError, r"record=\('loss',\)"),
    "record unknown": ({"record": ("gradient",)}, ValueError, "must be one of"),
    "record the weights": ({"record": ["weights"]}, ValueError, "did you mean 'params'"),
    "dropout a text": ({"dropout": "0.5"}, TypeError, "dropout must be a number, not '0.5'"),
    "dropout None": ({"dropout": None}, TypeError, "dropout must be a number, not None"),
    "backend a library": ({"backend": "numpy"}, ValueError, "did you mean 'vectorized'"),
    "rng a float": ({"rng": 0.5}, TypeError, "numpy.random.Generator"),
    "rng negative": ({"rng": -1}, ValueError, "at least 0"),
    "threads 0": ({"n_threads": 0}, ValueError, "at least 1"),
    "resume a checkpoint": (
        {"resume": (gd.Network([3, 1]), gd.History())}, TypeError, "the network and the history"
    ),
    "resume no history": ({"resume": {}}, TypeError, "what fastgd.train returned"),
    "resume an empty history": ({"resume": gd.History()}, TypeError, "what fastgd.train returned"),
}  # fmt: skip
CASES = BAD_DATA | BAD_SETTINGS


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_alike_by_every_backend_and_changes_nothing(case):
    arguments, error, message = CASES[case]
    messages = set()
    for backend in BACKENDS:
        net = gd.Network([3, 4, 1], rng=0)
        before = net.params.tobytes()
        with pytest.raises(error, match=message) as caught:
            gd.train(net, **{"X": X, "y": Y, "batch_size": 5, "backend": backend} | arguments)
        assert net.params.tobytes() == before
        messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.parametrize("case", [name for name in BAD_DATA if "validation" not in name])
def test_gradient_refuses_the_same_data(case):
    arguments, error, message = CASES[case]
    with pytest.raises(error, match=message):
        gd.gradient(gd.Network([3, 4, 1], rng=0), **{"X": X, "y": Y} | arguments)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("log_loss", Y, r"y\[2\] is 2.0, but .* takes 0 and 1.*more than two classes"),
        ("log_loss", Y - 1, r"y\[0\] is -1.0, .*for labels -1 and 1 use \(y \+ 1\) / 2"),
        ("hinge", Y, r"-1 and 1 \(for labels 0 and 1 use 2 \* y - 1\)"),
        ("squared_hinge", Y * 0, "-1 and 1"),
        ("poisson", -Y, r"y\[1\] is -1.0, but .* at least 0"),
    ],
)
def test_targets_outside_the_losss_domain_are_refused(loss, y, message):
    with pytest.raises(ValueError, match=message):
        gd.train(gd.Network([3, 1], loss=loss), X, y)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (
            np.arange(10),
            ValueError,
            r"y\[4\] is 4, but class indices .* 0 to 3.*one for each",
        ),
        (np.zeros((10, 1)), ValueError, r"\(10, 4\) or \(10,\); \.ravel\(\)"),
        (np.arange(10) - 1, ValueError, r"y\[0\] is -1"),
        (Y / 3, TypeError, r"y\[1\] is 0.33.*return_inverse=True"),
        (Y * np.nan, TypeError, r"y\[0\] is nan"),
        (np.array(["a"] * 10), TypeError, "return_inverse=True"),
        (np.ones((10, 4)), ValueError, "probabilities that add up to 1"),
        (np.ones((10, 3)) / 3, ValueError, r"\(10, 4\) or \(10,\)"),
    ],
)
def test_bad_classes_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        gd.train(gd.Network([3, 4], loss="cross_entropy"), X, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({0: 0, 1: 0}, "only weights of zero"),
        ({0: 1e60}, "more than float32 holds"),
        ({(0, 1): 2.0}, r"class_weight has \(0, 1\), but the classes are 0, 1"),
        ([1, 2], r"'balanced' or a mapping .*, not \[1, 2\]"),
    ],
)
def test_bad_class_weights_are_refused(weights, message):
    net = gd.Network([3, 2], loss="cross_entropy")
    with pytest.raises((TypeError, ValueError), match=message):
        gd.train(net, X, np.arange(10) % 2, batch_size=5, class_weight=weights)


@pytest.mark.parametrize("samples", [[], np.zeros(0, bool)])
def test_an_empty_list_of_samples_is_refused(samples):
    with pytest.raises(ValueError, match="samples is empty"):
        gd.train_many([gd.Network([3, 1])], X, Y, {"samples": samples})


def test_objects_that_are_numbers_are_numbers():
    """What a data frame of numbers and truth values becomes."""
    mixed = X.astype(object)
    mixed[:, 1] = X[:, 1] > 0.5
    nets = [gd.Network([3, 4, 1], rng=0) for _ in range(2)]
    for net, data, y in zip(nets, (mixed.astype(float), mixed), (Y, Y.astype(object)), strict=True):
        gd.train(net, data, y, batch_size=5, rng=0)
    assert nets[0].params.tobytes() == nets[1].params.tobytes()


def test_data_in_place_of_the_network_are_not_printed():
    with pytest.raises(TypeError, match=r"Network, not an ndarray of shape \(10, 3\)"):
        gd.train(X, Y, gd.Network([3, 1]))


def test_classes_may_be_whole_numbers_of_any_kind():
    labels = np.arange(10) % 4
    trained = set()
    for kind in ("int8", "uint64", "float16", "float32"):
        net = gd.Network([3, 4], loss="cross_entropy")
        gd.train(net, X, labels.astype(kind), batch_size=5, rng=0)
        trained.add(net.params.tobytes())
    assert len(trained) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.SGD(-0.1), "learning_rate is -0.1, but must be finite and above 0"),
        (lambda: gd.SGD(float("nan")), "learning_rate is nan"),
        (lambda: gd.SGD("0.1"), "must be a number"),
        (lambda: gd.SGD(10**400), "learning_rate is inf, but must be finite"),
        (lambda: gd.schedules.Step(10**400), "step_size is 1000.*, but must be at most 9223"),
        (lambda: gd.SGD(X), r"must be a number, not an ndarray of shape \(10, 3\)"),
        (lambda: gd.schedules.Cosine(5, unit="step"), "did you mean 'update'"),
        (lambda: gd.SGD(0.1, momentum=1.0), "momentum is 1.0"),
        (lambda: gd.SGD(0.1, nesterov=True), "needs momentum"),
        (lambda: gd.SGD(0.1, weight_decay=-1), "weight_decay is -1"),
        (lambda: gd.Adam(betas=(0.9, 1.0)), r"betas\[1\] is 1.0"),
        (lambda: gd.Adam(betas=0.9), "two numbers"),
        (lambda: gd.AdamW(eps=-1e-8), "eps is -1e-08"),
    ],
)
def test_bad_optimizers_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.Adam(lr=0.1), "^Adam takes no argument 'lr': did you mean 'learning_rate'?"),
        (lambda: gd.SGD(0.1, momentun=0.9), "^SGD takes no .*: did you mean 'momentum'?"),
        (lambda: gd.AdamW(beta1=0.9), "did you mean 'betas'?"),
        (lambda: gd.RMSprop(rho=0.9), "did you mean 'alpha'?"),
        (lambda: gd.SGD(0.1, xyz=1), "^SGD takes no argument 'xyz'$"),
        (lambda: gd.schedules.Step(stepsize=3), "^Step takes no .*: did you mean 'step_size'?"),
        (lambda: gd.schedules.Cosine(3, units="epoch"), "did you mean 'unit'?"),
        (lambda: gd.Network([3, 1], activation="relu"), "^Network takes no .* mean 'hidden'?"),
        (lambda: gd.plan(10, 5, epoch=3), "^plan takes no .*: did you mean 'epochs'?"),
        (lambda: gd.gradient(0, 0, 0, weights=0), "^gradient takes no argument 'weights'"),
        (lambda: gd.recommend_batch_size(0, 0, 0, lr=1), r"optimizer=fastgd\.SGD\(learning_rate="),
        (lambda: gd.train_many([], X, Y, {}, threads=2), "did you mean 'n_threads'?"),
        (
            lambda: gd.train_many([], X, Y, {}, samples=0),
            "it belongs in the settings of train_many",
        ),
        (lambda: gd.plan(samples=10, batch_size=5), "did you mean 'n_samples'?"),
    ],
)
def test_an_unknown_argument_gets_a_suggestion(make, message):
    with pytest.raises(TypeError, match=message.replace("?", r"\?")):
        make()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lr", "optimizer=fastgd.SGD(learning_rate=...)"),
        ("learning_rate", "optimizer=fastgd.SGD(learning_rate=...)"),
        ("learning_rte", "optimizer=fastgd.SGD(learning_rate=...)"),
        ("betas", "optimizer=fastgd.Adam(..., betas=...)"),
        ("weight_decay", "optimizer=fastgd.SGD(..., weight_decay=...)"),
        ("max_iter", "did you mean 'epochs'?"),
        ("seed", "did you mean 'rng'?"),
        ("batchsize", "did you mean 'batch_size'?"),
        ("alpha", "did you mean 'l2'?"),
        ("samples", "it belongs in the settings of train_many"),
    ],
)  # fmt: skip
def test_train_says_where_an_argument_belongs(name, hint):
    with pytest.raises(TypeError) as caught:
        gd.train(gd.Network([3, 1]), X, Y, **{name: 1})
    assert str(caught.value).startswith(f"train takes no argument {name!r}: ")
    assert str(caught.value).endswith(hint)


def test_a_plan_has_the_batch_size_in_effect():
    assert gd.plan(10, 11) == gd.plan(10, None)
    assert (gd.plan(10, 11).batch_size, gd.plan(10, 11, drop_last=True).updates) == (10, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1), "n_samples is 0"), ((10, 0), "batch_size is 0")],
)
def test_bad_plans_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gd.plan(*arguments)


def test_resume_takes_neither_optimizer_nor_generator():
    net = gd.Network([3, 1])
    history = gd.train(net, X, Y, batch_size=5)
    for extra in ({"optimizer": gd.SGD(0.1)}, {"rng": 0}):
        with pytest.raises(ValueError, match="leave them out"):
            gd.train(net, X, Y, batch_size=5, resume=history, **extra)
    other = gd.train(gd.Network([3, 2, 1]), X, Y, batch_size=5, optimizer=gd.Adam())
    with pytest.raises(ValueError, match="another network"):
        gd.train(net, X, Y, resume=other)


@pytest.mark.parametrize("optimizer", [gd.SGD(0.1), gd.Adam()])
@pytest.mark.parametrize(
    "other",
    [
        gd.Network([3, 3, 1]),
        gd.Network([3, 2, 1], hidden="tanh"),
        gd.Network([3, 2, 1], loss="huber"),
        gd.Network([3, 2, 1], dtype="float64"),
    ],
    ids=str,
)
def test_a_history_of_another_network_is_refused(other, optimizer, tmp_path):
    """Also where the optimizer's state holds nothing that has a network's shape."""
    net = gd.Network([3, 2, 1])
    history = gd.train(net, X, Y, batch_size=5, optimizer=optimizer)
    message = r"another network, Network\(\[3, 2, 1\], hidden='relu', .*'float32'\) instead of"
    with pytest.raises(ValueError, match=f"resume belongs to {message}"):
        gd.train(other, X, Y, resume=history)
    with pytest.raises(ValueError, match=f"history belongs to {message}"):
        gd.save_checkpoint(tmp_path / "run.npz", other, history)
    assert not list(tmp_path.iterdir())
    gd.save_checkpoint(tmp_path / "run.npz", net, history)
    with pytest.raises(ValueError, match="another network"):
        gd.train(other, X, Y, resume=gd.load_checkpoint(tmp_path / "run.npz")[1])


def test_moments_of_an_old_history_are_those_of_the_network():
    """It does not say which network it belongs to. The engine would write twice as many bytes."""
    single, double = (gd.Network([3, 1], dtype=dtype) for dtype in ("float32", "float64"))
    history = gd.train(single, X, Y, batch_size=5, optimizer=gd.Adam())
    history._network = ""
    message = "another network, with 4 parameters in float32 instead of 4 in float64"
    with pytest.raises(ValueError, match=f"resume belongs to {message}"):
        gd.train(double, X, Y, batch_size=5, resume=history)


@pytest.mark.parametrize("kinds", [(gd.Adam(), gd.SGD(0.1)), (gd.SGD(0.1), gd.Adam())])
def test_a_history_with_another_kind_of_optimizer_is_refused(kinds):
    """The engine would read beyond the end of the state."""
    net = gd.Network([3, 1])
    history = gd.train(net, X, Y, batch_size=5, optimizer=kinds[0])
    history.optimizer = kinds[1]
    with pytest.raises(ValueError, match="state of another kind of optimizer than"):
        gd.train(net, X, Y, batch_size=5, resume=history)


def test_a_historys_optimizer_may_get_another_learning_rate():
    net = gd.Network([3, 1])
    history = gd.train(net, X, Y, batch_size=5, optimizer=gd.SGD(0.1))
    history.optimizer = gd.SGD(0.01)
    history = gd.train(net, X, Y, batch_size=5, epochs=1, resume=history)
    assert history.learning_rate[-1] == 0.01


def test_a_history_of_descend_cannot_be_resumed():
    _, history = gd.landscapes.descend(gd.landscapes.Quintic(), epochs=1)
    with pytest.raises(TypeError, match=r"what fastgd\.train returned"):
        gd.train(gd.Network([3, 1]), X, Y, batch_size=5, resume=history)


def test_a_checkpoint_of_wrong_things_is_refused(tmp_path):
    net = gd.Network([3, 1])
    history = gd.train(net, X, Y, batch_size=5)
    for arguments in ((history, net), (net, gd.History()), (net, [0.5])):
        with pytest.raises(TypeError, match="must be"):
            gd.save_checkpoint(tmp_path / "run.npz", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", [gd.train, gd.gradient])
def test_net_must_be_a_network(function):
    with pytest.raises(TypeError, match=r"must be a fastgd\.Network"):
        function([3, 1], X, Y)


DTYPES = st.sampled_from(["f2", "f4", "f8", ">f4", ">f8", "i1", "i8", "u2", "?", "g"])


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_real_array_gives_the_bits_of_its_plain_copy(data):
    """Only an array's values matter, not its dtype, strides, order or flags."""
    n, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 5))
    dtype = np.dtype(data.draw(DTYPES))
    wide = data.draw(
        hnp.arrays(dtype, (2 * n, 2 * width), elements=st.integers(0, 1).map(dtype.type))
    )
    view = wide[:: data.draw(st.sampled_from([2, -2])), :: data.draw(st.sampled_from([2, -2]))]
    view = np.asfortranarray(view) if data.draw(st.booleans()) else view
    view.flags.writeable = False
    y = np.arange(n)
    results = []
    for samples in (view, np.array(view, "f4", order="C")):
        net = gd.Network([width, 3, 1], rng=0)
        gd.train(net, samples, y, epochs=1, batch_size=None, rng=0)
        results.append(net.params.tobytes())
    assert results[0] == results[1]


@settings(deadline=None, max_examples=100)
@given(
    X=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int32]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    y=hnp.arrays(
        st.sampled_from([np.float64, np.int64]),
        hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4),
    ),
    batch_size=st.one_of(st.none(), st.integers(-1, 5)),
)
def test_anything_trains_or_is_refused_unchanged(X, y, batch_size):
    net = gd.Network([2, 1])
    try:
        gd.train(net, X, y, batch_size=batch_size, epochs=1, optimizer=gd.SGD(1e-3), rng=0)
    except (ValueError, TypeError, gd.DivergenceError):
        assert not net.params.any()
    assert np.isfinite(net.params).all()


def test_unaligned_data_is_converted():
    raw = np.zeros(X.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(X.shape)
    unaligned[:] = X
    assert not unaligned.flags.aligned
    nets = [gd.Network([3, 1]) for _ in range(2)]
    for net, samples in zip(nets, (X, unaligned), strict=True):
        gd.train(net, samples, Y, batch_size=5, rng=0)
    assert (nets[0].params == nets[1].params).all()


# ---------------------------------------------------------------------------------------
# Python's own numbers, in arrays of objects
# ---------------------------------------------------------------------------------------


def gentle():
    return gd.Network([1, 1], loss="absolute_error")  # no square of a large number


HUGE = 10**400  # beyond all floats
LONG = 10**5000  # of more digits than Python writes
PLACES = {  # how a value gets in, as what
    "y": lambda value: gd.train(gentle(), [[0.0], [1.0]], [value, 1], batch_size=2),
    "X": lambda value: gd.train(gentle(), [[value], [1]], [0.0, 1.0], batch_size=2, epochs=1),
    "sample_weight": lambda value: gd.Network([1, 1]).loss_value(
        [[0.0], [1.0]], [0.0, 1.0], sample_weight=[value, 1]
    ),
    "loss_value": lambda value: gd.Network([1, 1]).loss_value([[0.0], [1.0]], [value, 1]),
    "params": lambda value: setattr(gd.Network([1, 1]), "params", [value, 1]),
    "classes": lambda value: gd.train(
        gd.Network([1, 2], loss="cross_entropy"), [[0.0], [1.0]], [value, 1], batch_size=2
    ),
    "predict": lambda value: gd.Network([1, 1]).predict([[value]]),
    "validation": lambda value: gd.train(
        gd.Network([1, 1]), [[0.0], [1.0]], [0.0, 1.0], batch_size=2,
        validation=([[0.0]], [value]),
    ),
    "samples": lambda value: gd.train_many(
        [gd.Network([1, 1])], [[0.0], [1.0]], [0.0, 1.0],
        [{"batch_size": 2, "samples": [value, 1]}],
    ),
    "learning_rate": lambda value: gd.SGD(value),
    "momentum": lambda value: gd.SGD(0.1, momentum=value),
    "betas": lambda value: gd.Adam(betas=(value, 0.9)),
    "l2": lambda value: gd.train(gd.Network([1, 1]), [[0.0]], [0.0], batch_size=1, l2=value),
    "node": lambda value: gd.nodes.ReLU().forward([value, 1]),
    "schedule": lambda value: gd.schedules.Exponential(value),
    "class_weight": lambda value: gd.train(
        gd.Network([1, 1], loss="log_loss"), [[0.0], [1.0]], [0, 1], batch_size=2,
        class_weight={0: value},
    ),
    "plan": lambda value: gd.plan(value, 1),
    "batch_size": lambda value: gd.train(gd.Network([1, 1]), [[0.0]], [0.0], batch_size=value),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "value", [HUGE, -HUGE, LONG, -LONG, Fraction(HUGE), Fraction(-HUGE, 3), Decimal("NaN"),
              Decimal("1e999")], ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_numbers_beyond_floats_are_refused_where_they_are_given(place, value):
    with pytest.raises((TypeError, ValueError)) as caught:
        PLACES[place](value)
    assert "Exceeds the limit" not in str(caught.value)


@pytest.mark.parametrize("place", ["y", "X", "sample_weight", "loss_value", "params", "node"])
@pytest.mark.parametrize("value", [2**70, 2**63, Fraction(1, 3), Fraction(2**70)])
def test_numbers_that_floats_hold_are_accepted(place, value):
    PLACES[place](value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([2**70, 1], [2.0**70, 1.0]),
        ([Fraction(1, 4), 1], [0.25, 1.0]),
        ([Fraction(1, 4), 0.5, True], [0.25, 0.5, 1.0]),
    ],
)
def test_objects_become_the_nearest_floats(given, expected):
    assert check_numbers("y", given).tolist() == expected


def test_class_indices_in_objects_stay_whole():
    assert check_numbers("y", np.array([0, 1, 2**62], object)).dtype == np.int64


def test_a_class_beyond_64_bits_is_named():
    with pytest.raises(TypeError, match="class indices"):
        PLACES["classes"](2**70)


def test_a_fraction_is_a_hyperparameter():
    assert gd.SGD(Fraction(1, 4)).learning_rate == 0.25


def test_the_error_for_a_decimal_suggests_float():
    with pytest.raises(TypeError, match=r"must be a number, not Decimal\('0.1'\): use float"):
        gd.SGD(Decimal("0.1"))
