"""The rules of Mountpoint for S3, as the write-once file system keeps them: the tests of outputs rely on it."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mounts.control import FaultyMount, faulty
from support.waiting import until


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyMount]:
    """Return a mount with the driver's defaults: new files only."""
    with faulty(tmp_path_factory.mktemp("once"), "--write-once") as mount:
        (mount.origin / "there").write_bytes(b"there")
        yield mount


def test_a_new_file_is_there_once_it_is_closed(once: FaultyMount) -> None:
    (once.folder / "sub").mkdir()
    new = once.folder / "sub" / "new"
    with new.open("wb", buffering=0) as writing:
        writing.write(b"first, ")
        assert [path.name for path in new.parent.iterdir()] == ["new"]
        assert new.stat().st_size == 7
        assert not (once.origin / "sub" / "new").exists()
        with pytest.raises(PermissionError):
            new.read_bytes()
        writing.write(b"second")
    assert new.read_bytes() == (once.origin / "sub" / "new").read_bytes() == b"first, second"


def test_an_empty_file_comes_too(once: FaultyMount) -> None:
    (once.folder / "empty").touch()
    until((once.origin / "empty").exists)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda file: file.open("ab"), errno.EPERM),
        (lambda file: file.open("r+b"), errno.EPERM),
        (lambda file: file.write_bytes(b"anew"), errno.EPERM),
        (lambda file: os.truncate(file, 1), errno.EPERM),
        (lambda file: file.rename(file.with_name("renamed")), errno.ENOSYS),
        (lambda file: file.with_name("link").symlink_to(file), errno.ENOSYS),
        (lambda file: file.with_name("link").hardlink_to(file), errno.EPERM),
        (lambda file: file.unlink(), errno.EPERM),
        (lambda file: file.chmod(0o600), errno.EPERM),
    ],
    ids=["append", "in-place", "overwrite", "truncate", "rename", "symlink", "link", "delete", "chmod"],
)
def test_what_a_bucket_cannot_do_is_refused(once: FaultyMount, act: Callable[[Path], object], error: int) -> None:
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        act(once.folder / "there")
    assert refused.value.errno == error
    assert (once.origin / "there").read_bytes() == b"there"


def test_pieces_come_in_order(once: FaultyMount) -> None:
    with (once.folder / "pieces").open("wb", buffering=0) as writing:
        writing.write(b"01234")
        with pytest.raises(OSError, match="Invalid argument"):
            os.pwrite(writing.fileno(), b"x", 1)
        writing.write(b"56789")
    assert (once.origin / "pieces").read_bytes() == b"0123456789"


def test_nothing_can_be_written_after_a_synchronisation(once: FaultyMount) -> None:
    with (once.folder / "synchronised").open("wb", buffering=0) as writing:
        writing.write(b"kept")
        os.fsync(writing.fileno())
        assert (once.origin / "synchronised").read_bytes() == b"kept"
        with pytest.raises(OSError, match="Input/output"):
            writing.write(b"lost")
    assert (once.folder / "synchronised").read_bytes() == b"kept"


def test_overwriting_and_deleting_can_be_allowed(tmp_path: Path) -> None:
    with faulty(tmp_path / "allowed", "--write-once", "--overwrite", "--delete") as mount:
        file = mount.folder / "file"
        file.write_bytes(b"first")
        file.write_bytes(b"2nd")
        assert file.read_bytes() == b"2nd"
        with pytest.raises(PermissionError):
            file.open("ab")
        file.unlink()
        assert list(mount.folder.iterdir()) == []
