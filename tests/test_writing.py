"""Writing files: what happens to an existing file, and to leftovers of killed processes."""

import errno
import os
import stat
import subprocess
import sys

import pytest

import fastgd as gd
from fastgd._writing import replacing


def save(path):
    gd.Network([2, 1]).save(path)


def save_checkpoint(path):
    net = gd.Network([1, 1])
    gd.save_checkpoint(path, net, gd.train(net, [[1.0]], [1.0], batch_size=1, epochs=1))


@pytest.fixture(params=[save, save_checkpoint])
def write(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o222])
def test_saving_again_keeps_the_permissions(mode, path, write):
    write(path)
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_private_file_is_private_while_it_is_written(path):
    path.touch(mode=0o600)
    with replacing(path):
        modes = [stat.S_IMODE(other.stat().st_mode) for other in path.parent.iterdir()]
    assert modes == [0o600, 0o600]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root alone gives away")
def test_saving_again_keeps_the_owner(path):
    path.touch()
    os.chown(path, 12345, 54321)
    save(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


@pytest.mark.parametrize("mode", [0o444, 0o400, 0o000])
def test_a_read_only_file_is_not_replaced_even_by_root(mode, path, write):
    path.write_bytes(b"mine")
    path.chmod(mode)
    with pytest.raises(PermissionError, match="this file is read-only: give another name, or"):
        write(path)
    path.chmod(0o600)
    assert path.read_bytes() == b"mine"
    assert os.listdir(path.parent) == [path.name]


def test_broken_links_are_a_clear_error(path, write):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)
    with pytest.raises(OSError, match=r"this link leads back to itself: .*net\.npz'$") as caught:
        write(path)
    assert caught.value.errno == errno.ELOOP
    assert path.is_symlink()


def test_writing_through_links_keeps_links_and_permissions(tmp_path, write):
    target = tmp_path / "real.npz"
    target.touch(mode=0o600)
    (tmp_path / "folder").mkdir()
    link = tmp_path / "folder" / "link"
    link.symlink_to(tmp_path / "second")
    (tmp_path / "second").symlink_to("real.npz")
    write(link)
    assert gd.load(target).n_params
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


KILLED = """
import os, sys
from fastgd._writing import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"half of it")
    print("writing", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def writing(path):
    """Start a process that is writing the file; the next line that it reads kills it."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"writing\n"
    yield process
    if process.poll() is None:
        process.communicate(b"\n", timeout=30)


def test_the_next_save_removes_what_a_killed_save_left(path, writing, write):
    writing.communicate(b"\n", timeout=30)
    assert len(os.listdir(path.parent)) == 1
    write(path)
    assert os.listdir(path.parent) == ["net.npz"]


def test_a_file_that_another_process_writes_is_kept(path, writing, write):
    write(path)
    assert len(os.listdir(path.parent)) == 2


def test_a_file_with_a_similar_name_is_kept(path, write):
    names = ["net.npz.01234567", ".net.npz.0123456", ".net.npz.0123456z", ".new.npz.01234567"]
    for name in names:
        path.with_name(name).touch()
    path.with_name(".net.npz.01234567").symlink_to(names[0])
    path.with_name(".net.npz.89abcdef").mkdir()
    before = set(os.listdir(path.parent))
    write(path)
    assert set(os.listdir(path.parent)) == before | {"net.npz"}


def test_simultaneous_saves_all_succeed(path):
    """No process removes another's temporary file as a leftover."""
    script = "import sys, fastgd as gd\nfor _ in range(50): gd.Network([2, 1]).save(sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-c", script, path]) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert os.listdir(path.parent) == ["net.npz"]
    assert gd.load(path).n_params == 3
