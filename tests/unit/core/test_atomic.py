"""A write either happens completely or leaves everything as it was."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deeplab_core.atomic import atomic_write, make_folder
from deeplab_core.errors import ExportError, ProtectedFile, StorageError

POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")
    return path


def test_writes_bytes_and_parts(tmp_path: Path) -> None:
    assert atomic_write(tmp_path / "a", b"hello") == 5
    assert atomic_write(tmp_path / "a", [b"ab", bytearray(b"cd"), memoryview(b"ef"), b""]) == 6
    assert (tmp_path / "a").read_bytes() == b"abcdef"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "can be written"),
        (errno.EACCES, "right to write"),
        (errno.EIO, "another disk"),
        (errno.EBADF, "another"),
    ],
)
@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_disk_that_refuses_leaves_the_old_file(
    target: Path, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str, call: str
) -> None:
    real = getattr(os, call)

    def refuse(*args: object, **kwargs: object) -> object:
        if call == "open" and not str(args[0]).endswith(".tmp"):
            return real(*args, **kwargs)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StorageError) as caught:
        atomic_write(target, b"new")
    assert remedy in caught.value.remedy
    assert caught.value.path == target
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["mask.png"]


def test_a_disk_that_fills_up_half_way_leaves_the_old_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    room = 10

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = real(descriptor, data[:room])
        room -= taken
        return taken

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StorageError, match="disk is full"):
        atomic_write(target, b"x" * 64)
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["mask.png"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    assert atomic_write(tmp_path / "a", b"0123456789") == 10
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_rename_that_fails_leaves_the_old_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError):
        atomic_write(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["mask.png"]


def test_content_that_fails_to_be_made_leaves_the_old_file(target: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(target, parts())
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["mask.png"]


def test_a_failed_check_leaves_the_old_file(target: Path) -> None:
    def check(path: Path) -> None:
        assert path.read_bytes() == b"new"
        raise ExportError("different")

    with pytest.raises(ExportError):
        atomic_write(target, b"new", check=check)
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["mask.png"]


def test_missing_folders_and_folders_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="folder does not exist"):
        atomic_write(tmp_path / "none" / "a", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError):
        atomic_write(tmp_path / "folder", b"x")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be created"):
        make_folder(tmp_path / "file" / "sub")


@POSIX
def test_write_protected_files_are_not_replaced(target: Path) -> None:
    target.chmod(0o444)
    with pytest.raises(StorageError, match="write-protected"):
        atomic_write(target, b"new")
    assert target.read_bytes() == b"old"


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_folders_are_named(target: Path) -> None:
    target.parent.chmod(0o555)
    try:
        with pytest.raises(StorageError, match="may not be written"):
            atomic_write(target, b"new")
        assert target.read_bytes() == b"old"
    finally:
        target.parent.chmod(0o755)


@POSIX
def test_permissions_are_kept_and_links_followed_only_on_request(target: Path) -> None:
    target.chmod(0o640)
    link = target.parent / "link.png"
    link.symlink_to(target)
    with pytest.raises(ProtectedFile, match="link"):
        atomic_write(link, b"new")
    assert target.read_bytes() == b"old"
    atomic_write(link, b"new", follow_links=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    atomic_write(target.parent / "fresh", b"x")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((target.parent / "fresh").stat().st_mode) == 0o666 & ~umask


def test_the_longest_possible_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".png")
    atomic_write(path, b"x")
    assert path.read_bytes() == b"x"
    with pytest.raises(StorageError):
        atomic_write(tmp_path / ("a" * 400), b"x")


def test_a_file_where_a_folder_belongs_is_to_be_moved_away(tmp_path: Path) -> None:
    (tmp_path / "masks").write_text("x")
    with pytest.raises(StorageError, match="already there") as caught:
        make_folder(tmp_path / "masks")
    assert "Move that file away" in str(caught.value)
    assert (tmp_path / "masks").read_text() == "x"
