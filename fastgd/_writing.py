"""Write files completely or not at all: check the destination, write beside it, and move.

For how a command's paths relate to each other see `commandline/_places.py`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from typing import IO

__all__ = ["check_place", "keep_copy", "replacing"]


def check_place(path: str | os.PathLike[str]) -> tuple[str, os.stat_result | None]:
    """Return the file behind a path and any links, and its stat result if it exists.

    Raises
    ------
    OSError
        When no file can be written there: the message says why, and what to do. A read-only file
        is refused for root too, though the system would let root write it.
    """
    name = os.fsdecode(path)
    target = os.path.realpath(name)
    try:
        found = os.stat(target)
    except OSError as error:
        if error.errno == errno.ELOOP:
            text = "this link leads back to itself: give a file's name"
            raise OSError(errno.ELOOP, text, name) from error
        found = None  # any other problem with the name shows when the file is created
    folder = os.path.dirname(target)
    if not os.path.basename(name) or (found is not None and stat.S_ISDIR(found.st_mode)):
        raise IsADirectoryError(errno.EISDIR, "this is a folder: give a file's name", name)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder!r}", name)
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "this is a device or a pipe: give a file's name", name)
    if found is not None and not (found.st_mode & 0o222 and os.access(target, os.W_OK)):
        text = "this file is read-only: give another name, or make it writable first"
        raise PermissionError(errno.EACCES, text, name)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, f"you may not write to the folder {folder!r}", name)
    return target, found


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file for writing that is moved to its destination once it is complete.

    Until then an existing file is unchanged; its permissions and owner are kept. Folders, devices
    and read-only files are not replaced.
    """
    target, found = check_place(path)
    _remove_left_over(target)
    temporary, file = _temporary(target, os.fsdecode(path), found)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name == "posix":  # while the lock is held; elsewhere an open file cannot move
                os.replace(temporary, target)
        if os.name != "posix":
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def keep_copy(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> None:
    """Give a file that is about to be replaced another name as well; do nothing if it is missing.

    A link is made where the file system has them, so that this takes no time and no room.
    """
    import secrets
    import shutil

    path, other = os.path.realpath(os.fsdecode(path)), os.fsdecode(other)
    if not os.path.exists(path):
        return
    target, _ = check_place(other)
    _remove_left_over(target)
    folder, base = os.path.split(target)
    temporary = os.path.join(folder, f".{base}.{secrets.token_hex(4)}")
    try:
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copy2(path, temporary)
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _temporary(target: str, name: str, found: os.stat_result | None) -> tuple[str, IO[bytes]]:
    """Create the temporary file beside the destination; it is locked while open."""
    import secrets

    folder, base = os.path.split(target)
    mode = 0o666 if found is None else stat.S_IMODE(found.st_mode) & 0o777
    while True:
        temporary = os.path.join(folder, f".{base}.{secrets.token_hex(4)}")
        try:
            # never with more permissions than the old file, even for a moment
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            handle = os.open(temporary, flags, mode)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, name) from error
        file = os.fdopen(handle, "wb")
        # another process may have removed it before it was locked
        if _lock(handle) is not False and os.path.exists(temporary):
            break
        file.close()
    if found is not None:
        _copy_owner_and_mode(temporary, found)
    return temporary, file


def _copy_owner_and_mode(temporary: str, found: os.stat_result) -> None:
    """Give a file another one's owner and permissions."""
    with contextlib.suppress(OSError):  # some file systems have none
        mine = os.stat(temporary)
        if (mine.st_uid, mine.st_gid) != (found.st_uid, found.st_gid):
            with contextlib.suppress(OSError, AttributeError):  # only root may, and not everywhere
                os.chown(temporary, found.st_uid, found.st_gid)
        os.chmod(temporary, stat.S_IMODE(found.st_mode))


def _lock(handle: int) -> bool | None:
    """Lock an open file; return whether that succeeded, or None if locks are not supported.

    The system drops the lock when the process ends, however it ends.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network folders have no locks
        return None
    return True


def _remove_left_over(target: str) -> None:
    """Remove temporary files that killed processes left: those that no process has locked."""
    folder, base = os.path.split(target)
    left_over = re.compile(rf"\.{re.escape(base)}\.[0-9a-f]{{8}}")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if left_over.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_unlocked(entry.path)


def _remove_unlocked(path: str) -> None:
    """Remove a file unless a process is writing it."""
    handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if _lock(handle):
            os.unlink(path)
    finally:
        os.close(handle)
