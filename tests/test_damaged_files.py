"""Damaged and hostile files: the documented ValueError; no crash, no hang, little memory."""

import contextlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastgd as gd

X = np.linspace(-1, 1, 12).reshape(6, 2)
Y = X @ [1.0, 2.0]
BITS = ["PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"]
MESSAGE = r"'[^'\n]*net\.npz' is damaged or was not written by fastgd: .+ Use another copy of.*"
EXAMPLES = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: once with the quick tests, often with the slow ones
TURNS = pytest.mark.parametrize(
    "turn", [0, *(pytest.param(turn, marks=pytest.mark.slow) for turn in range(1, 20))]
)


def write_checkpoint(path, bits="PCG64"):
    """Save a checkpoint that has every entry that one can have."""
    inputs = gd.Standardize([0, 0], [1, 2], ["a", "b"])
    net = gd.Network([2, 3, 1], inputs=inputs, rng=0)
    history = gd.train(
        net, X, Y, batch_size=3, epochs=2, optimizer=gd.Nadam(0.01), validation=(X, Y),
        schedule=gd.schedules.WarmUp(2, gd.schedules.OnPlateau()), record=("loss", "params"),
        rng=np.random.Generator(getattr(np.random, bits)(1)),
    )  # fmt: skip
    gd.save_checkpoint(path, net, history)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "net.npz"
    write_checkpoint(path)
    return path


def read_members(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def rewrite(path, members, method=zipfile.ZIP_STORED):
    """Write an archive whose checksums are right, whatever is in it."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)


def change_header(path, change):
    """Let a function change the header's values."""
    members = read_members(path)
    header = json.loads(str(np.load(io.BytesIO(members["fastgd.npy"]))))
    members["fastgd.npy"] = as_member(np.array(json.dumps(change(header))))
    rewrite(path, members)


def as_member(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def member(descr="<f4", shape="(13,)", data=b"", order="False", version=b"\1\0"):
    """Return an entry with arbitrary declarations."""
    header = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


def check_loads(path):
    """Check that a file's contents can be used, or are refused as documented."""
    loaded = 0
    for load in (gd.load, gd.load_checkpoint):
        try:
            result = load(path)
        except ValueError as error:
            message = str(error)
            assert message.isprintable()
            assert re.fullmatch(rf"{MESSAGE}|'.*' (has format|holds a network without) .*", message)
        else:
            loaded += 1
    if loaded == 2:
        go_on(*result)
    return loaded


def go_on(net, history):
    """Use everything that was loaded: damage that raised no error must not crash compiled code."""
    if net.sizes == (2, 3, 1):
        with warnings.catch_warnings(), contextlib.suppress(ValueError, gd.DivergenceError):
            warnings.simplefilter("ignore", RuntimeWarning)  # numbers as large as numbers can be
            gd.train(net, X, Y, batch_size=3, epochs=1, resume=history)


def test_the_undamaged_file_loads(path):
    assert check_loads(path) == 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_compressed_files_and_other_byte_orders_are_read(path, order):
    net = gd.load(path)
    members = read_members(path)
    members["params.npy"] = as_member(net.params.astype(order + "f4"))
    members["trace.params.npy"] = as_member(np.ones((13, 4), order + "f4").T)
    rewrite(path, members, zipfile.ZIP_DEFLATED)
    again, history = gd.load_checkpoint(path)
    assert again.params.tobytes() == net.params.tobytes()
    assert history.trace["params"].shape == (4, 13)
    assert history.trace["params"].dtype == np.float32


@pytest.mark.parametrize("step", [19, pytest.param(1, marks=pytest.mark.slow)])
def test_every_truncated_file_is_an_error(path, step):
    content = path.read_bytes()
    for end in range(0, len(content) - 1, step):
        path.write_bytes(content[:end])
        assert check_loads(path) == 0


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_changed_bytes_are_an_error_or_load(path, method, count):
    rewrite(path, read_members(path), method)
    content = path.read_bytes()
    draw = random.Random(0)
    for _ in range(count):
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        check_loads(path)


@pytest.mark.parametrize("count", [500, pytest.param(2000, marks=pytest.mark.slow)])
def test_changed_bytes_with_valid_checksums_are_an_error_or_load(path, count):
    members = read_members(path)
    draw = random.Random(0)
    for _ in range(count):
        name = draw.choice(list(members))
        damaged = bytearray(members[name])
        # most of an entry's damage is of no account: its header and its beginning matter
        damaged[draw.randrange(min(len(damaged), draw.choice([128, 5000])))] = draw.randrange(256)
        rewrite(path, members | {name: bytes(damaged)})
        check_loads(path)


PIECES = st.sampled_from(
    ["(", ")", "13", ",", "[", "]", "{", "}", "'", '"', "\\", "0x", "True", "<f4", "|O", "-1", "\n",
     "\0", "#", "lambda: ", "9" * 5000, "é", "'descr':", "'shape':", " "]
)  # fmt: skip
SHAPES = st.lists(st.sampled_from([0, 1, 13, -1, 2**31, 2**63, 2**64, 10**13, 10**30]), max_size=40)
HEADERS = st.one_of(
    st.builds(
        member,
        st.sampled_from(["<f4", ">f4", "<f8", "|O", "<U9", "<m8[s]", "f4", "<f99", [("a", "<f4")]]),
        st.one_of(SHAPES.map(lambda shape: str(tuple(shape))), PIECES),
        st.sampled_from([b"", bytes(52), bytes(104)]),
        st.sampled_from(["False", "True", "0", "None"]),
        st.sampled_from([b"\1\0", b"\2\0", b"\3\0", b"\xff\xff"]),
    ),
    st.lists(PIECES, max_size=12).map(
        lambda pieces: b"\x93NUMPY\1\0\x76\0" + "".join(pieces).encode()
    ),
    st.binary(max_size=200),
)
ENTRIES = ["params", "fastgd", "moment.0", "history.loss", "trace.loss", "trace.params"]


@TURNS
@given(name=st.sampled_from(ENTRIES), content=HEADERS)
@EXAMPLES
def test_any_header_of_an_array(path, turn, name, content):
    before = path.read_bytes()
    rewrite(path, read_members(path) | {f"{name}.npy": content})
    check_loads(path)
    path.write_bytes(before)


@pytest.mark.parametrize("name", ["params", "fastgd", "moment.1", "history.loss", "trace.loss"])
@pytest.mark.parametrize(
    "content",
    [
        member(shape="(10000000000000,)"),
        member(shape="(18446744073709551616,)"),
        member(shape="(13,)", descr="|O", data=bytes(104)),
        member(shape="(1" * 300),
        member(shape='"""'),
        member(shape="(13,)", data=bytes(53)),
        member(descr="<U999999999999999999", shape="()"),
        b"",
    ],
    ids=["vast", "beyond 64 bits", "objects", "nested", "quotes", "short", "long text", "empty"],
)
def test_impossible_arrays_are_refused(path, name, content):
    rewrite(path, read_members(path) | {f"{name}.npy": content})
    with pytest.raises(ValueError, match=MESSAGE):
        gd.load_checkpoint(path)


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.text(max_size=5), st.floats(), st.integers(-(2**130), 2**130),
        st.sampled_from([2**31, 2**32, 2**63, 2**64, 10**9, 10**400]),
        st.sampled_from(["sgd", "adam", "relu", "constant", "on_plateau", *BITS]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)  # fmt: skip


def places(value, way=()):
    """Yield the way to every value within a value."""
    yield way
    if isinstance(value, (dict, list)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*way, key))


def replaced(value, way, new):
    if not way:
        return new
    copy = value.copy()
    copy[way[0]] = replaced(value[way[0]], way[1:], new)
    return copy


@TURNS
@given(data=st.data())
@EXAMPLES
def test_any_value_in_the_header(path, turn, data):
    before = path.read_bytes()

    def change(header):
        way = data.draw(st.sampled_from(list(places(header))))
        return replaced(header, way, data.draw(VALUES))

    change_header(path, change)
    check_loads(path)
    path.write_bytes(before)


@TURNS
@pytest.mark.parametrize("bits", BITS)
@given(data=st.data())
@EXAMPLES
def test_any_value_in_a_generators_state(path, turn, bits, data):
    write_checkpoint(path, bits)

    def change(header):
        way = data.draw(st.sampled_from(list(places(header["history"]["rng"]))[:40]))
        return replaced(header, ("history", "rng", *way), data.draw(VALUES))

    change_header(path, change)
    check_loads(path)


WRONG_STATES = [
    ("MT19937", {"pos": 10**9}, "'pos' holds a value that is not a whole number from 0 to 624"),
    ("MT19937", {"pos": -1}, "'pos'"),
    ("MT19937", {"key": {"array": [1] * 623, "dtype": "uint32"}}, "'key' is not 624 numbers"),
    ("MT19937", {"key": {"array": [2**32] * 624, "dtype": "uint32"}}, "0 to 4294967295"),
    ("MT19937", {"key": {"array": [0] * 624, "dtype": "uint32"}}, "'key' is zero"),
    ("PCG64", {"inc": 2}, "'inc' is even"),
    ("PCG64DXSM", {"inc": 0}, "'inc' is even"),
    ("PCG64", {"state": 2**128}, "'state'"),
    ("SFC64", {"state": {"array": [-1] * 4, "dtype": "uint64"}}, "'state'"),
    ("Philox", {"buffer_pos": 5}, "'buffer_pos' holds a value that is not a whole number from 0"),
    ("Philox", {"counter": [True] * 4}, "'counter'"),
    ("Philox", {"has_uint32": 2}, "'has_uint32'"),
    ("Philox", {"uinteger": 2**32}, "'uinteger'"),
    ("Philox", {"bit_generator": "Halton"}, "drew from Halton, but it can be resumed with NumPy's"),
]


@pytest.mark.parametrize(("bits", "values", "message"), WRONG_STATES)
def test_impossible_generator_states_are_refused(path, bits, values, message):
    write_checkpoint(path, bits)

    def change(header):
        rng = header["history"]["rng"]
        for name, value in values.items():
            (rng["state"] if name in rng["state"] else rng)[name] = value
        return header

    change_header(path, change)
    with pytest.raises(ValueError, match=message):
        gd.load_checkpoint(path)


def test_states_in_memory_are_checked_like_those_in_files(path):
    write_checkpoint(path, "MT19937")
    net, history = gd.load_checkpoint(path)
    history._rng_state["state"]["pos"] = 10**9
    before = net.params.copy()
    with pytest.raises(ValueError, match="'pos' holds"):
        gd.train(net, X, Y, batch_size=3, resume=history)
    with pytest.raises(ValueError, match="'pos' holds"):
        gd.save_checkpoint(path, net, history)
    assert (net.params == before).all()


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("history", "step"), 2**63),
        (("history", "updates"), -1),
        (("history", "sample_gradients"), 1.5),
        (("history", "epoch updates"), [2**63]),
        (("history", "scalars"), [10**400]),
        (("history", "scalars"), ["1"]),
        (("history", "schedule state"), [1.0, 0, 0]),
        (("history", "schedule state"), [1.0, 0, 0, 1e18]),
        (("history", "schedule state"), [float("nan"), 0, 0, 0]),
        (("history", "optimizer"), ["nadam", {"learning_rate": 0.1, "a\x1b\n": 1}]),
        (("history", "optimizer"), ["nadam", {"learning_rate": 10**400}]),
        (("history", "trace"), [["loss"]]),
        (("history",), None),
        (("sizes",), [2**64, 1]),
        (("sizes",), [2, 3, 1, 1]),
        (("sizes",), ["2", 1]),
        (("hidden",), [["relu"]]),
        (("loss",), {}),
        (("format",), True),
        (("format",), -1),
    ],
)
def test_impossible_values_are_refused(path, way, value):
    change_header(path, lambda header: replaced(header, way, value))
    with pytest.raises(ValueError, match=MESSAGE):
        gd.load_checkpoint(path)


def test_a_header_without_end_is_refused(path):
    text = np.array('{"format": 1, "sizes": ' + "[" * 100_000)
    rewrite(path, read_members(path) | {"fastgd.npy": as_member(text)})
    with pytest.raises(ValueError, match=MESSAGE):
        gd.load(path)


ZEROS = 1 << 25


@pytest.mark.parametrize("name", ["foreign", "fastgd", "params", "history.loss", "moment.0"])
def test_compressed_zeros_take_no_memory(path, name):
    """32 MB of zeros in an entry, of 32 kB in the file."""
    header = {"descr": "<f4", "shape": f"({ZEROS // 4},)"}
    if name == "fastgd":
        header = {"descr": f"<U{ZEROS // 4}", "shape": "()"}
    members = read_members(path) | {f"{name}.npy": member(**header, data=bytes(ZEROS))}
    rewrite(path, members, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        assert check_loads(path) == {"foreign": 2, "history.loss": 1, "moment.0": 1}.get(name, 0)
        assert tracemalloc.get_traced_memory()[1] < ZEROS / 8
    finally:
        tracemalloc.stop()


def test_an_entry_larger_than_it_declares_is_refused(path):
    members = read_members(path)
    rewrite(
        path, members | {"params.npy": members["params.npy"] + bytes(ZEROS)}, zipfile.ZIP_DEFLATED
    )
    content = path.read_bytes()
    claimed = len(members["params.npy"])
    path.write_bytes(
        content.replace((claimed + ZEROS).to_bytes(4, "little"), claimed.to_bytes(4, "little"))
    )
    with pytest.raises(ValueError, match=MESSAGE):
        gd.load(path)


@pytest.mark.parametrize("load", [gd.load, gd.load_checkpoint])
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "pipe"])
def test_what_is_not_a_file_is_refused_at_once(tmp_path, load, name):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"' is a device or a pipe: save what it holds to a file"):
        load(tmp_path / name)


def test_endlessly_nested_schedules_are_refused(path):
    def change(header):
        return replaced(header, ("history", "schedule"), "SCHEDULE")

    change_header(path, change)
    members = read_members(path)
    text = str(np.load(io.BytesIO(members["fastgd.npy"])))
    nested = '["warm_up", {"steps": 1, "then": ' * 5000 + '["constant", {}]' + "}]" * 5000
    members["fastgd.npy"] = as_member(np.array(text.replace('"SCHEDULE"', nested)))
    rewrite(path, members)
    with pytest.raises(ValueError, match=MESSAGE):
        gd.load_checkpoint(path)


def test_the_command_line_reports_damage_in_one_line(path):
    rewrite(path, read_members(path) | {"params.npy": member(shape='"""')})
    done = subprocess.run(
        [sys.executable, "-m", "fastgd", "predict", path, "none.csv"],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(gd.__file__).parent.parent)},
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(f"fastgd: error: {MESSAGE}\n", done.stderr)
