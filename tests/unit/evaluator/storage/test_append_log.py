"""Lines are appended completely or not at all, on local disks and on mounts that cannot append."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.storage.append_log import AppendLog

Make = Callable[[], AppendLog]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda: AppendLog(tmp_path / "output", "results")


def lines(log: AppendLog) -> list[bytes]:
    return [line.rstrip(b"\n") for line in log.read()]


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "output").iterdir())


class Faults:
    """Makes calls of `os` fail: by name, with an error, for paths that `concerns` picks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def add(self, name: str, error: int, concerns: Callable[..., bool] = lambda *_: True) -> None:
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            if concerns(*arguments):
                raise OSError(error, os.strerror(error))
            return real(*arguments)

        self._monkeypatch.setattr(os, name, call)

    def write_once(self, error: int = errno.EPERM) -> None:
        """Behave like a mount on which an existing file cannot be opened for writing."""
        self.add("open", error, lambda path, flags, *_: flags & os.O_WRONLY and Path(path).exists())
        self.add("truncate", errno.EPERM)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


def test_what_was_appended_is_read_in_order_by_the_next_process(make: Make, tmp_path: Path) -> None:
    log = make()
    log.append([b"one\n", b"two\n"])
    log.append([b"three\n"])
    assert lines(make()) == [b"one", b"two", b"three"]
    assert names(tmp_path) == ["results.jsonl"]


def test_nothing_is_read_where_nothing_was_written(make: Make, tmp_path: Path) -> None:
    assert lines(make()) == []
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("torn", [b"t", b"torn", b"x" * 200_000, b'{"a": "\xc3'])
@pytest.mark.parametrize("whole", [b"", b"one\n", b"one\n" + b"y" * 65536 + b"\n"])
def test_a_torn_last_line_is_cut_off_and_the_next_one_stands_alone(
    whole: bytes, torn: bytes, make: Make, tmp_path: Path
) -> None:
    make().append([b"placeholder\n"])
    (tmp_path / "output" / "results.jsonl").write_bytes(whole + torn)
    log = make()
    assert b"".join(log.read()) == whole
    log.append([b"next\n"])
    assert (tmp_path / "output" / "results.jsonl").read_bytes() == whole + b"next\n"


def test_a_torn_line_is_mended_also_by_a_process_that_only_appends(make: Make, tmp_path: Path) -> None:
    make().append([b"one\n"])
    with (tmp_path / "output" / "results.jsonl").open("ab") as file:
        file.write(b"tor")
    make().append([b"two\n"])
    assert lines(make()) == [b"one", b"two"]


def test_a_torn_line_that_cannot_be_cut_is_ended(make: Make, faults: Faults, tmp_path: Path) -> None:
    make().append([b"one\n"])
    path = tmp_path / "output" / "results.jsonl"
    path.write_bytes(b"one\ntor")
    faults.add("truncate", errno.ENOTSUP)
    log = make()
    assert lines(log) == [b"one", b"tor"]
    log.append([b"two\n"])
    assert path.read_bytes() == b"one\ntor\ntwo\n"


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOTSUP, errno.EINVAL, errno.EIO, errno.ENOSYS, errno.EACCES])
def test_where_nothing_can_be_appended_each_append_is_a_new_file(
    error: int, make: Make, faults: Faults, tmp_path: Path
) -> None:
    faults.write_once(error)
    log = make()
    for line in (b"one\n", b"two\n"):
        log.append([line])
    make().append([b"three\n", b"four\n"])
    assert names(tmp_path) == ["results-0002.jsonl", "results-0003.jsonl", "results.jsonl"]
    assert lines(make()) == [b"one", b"two", b"three", b"four"]


def test_a_torn_line_that_can_be_neither_cut_nor_ended_is_left_out(make: Make, faults: Faults, tmp_path: Path) -> None:
    make().append([b"one\n"])
    with (tmp_path / "output" / "results.jsonl").open("ab") as file:
        file.write(b"tor")
    faults.write_once()
    log = make()
    assert lines(log) == [b"one"]
    log.append([b"two\n"])
    assert lines(make()) == [b"one", b"two"]


def test_a_thousand_segments_are_read_in_order(make: Make, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    for number in range(2, 1002):
        (tmp_path / "output" / f"results-{number:04}.jsonl").write_bytes(b"%d\ntorn" % number)
    (tmp_path / "output" / "results-final.jsonl").write_bytes(b"not ours\n")
    assert [int(line) for line in lines(make())] == list(range(2, 1002))


def test_a_full_disk_leaves_no_part_of_a_line(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log, real, full = make(), os.write, True

    def write(file: int, content: bytes) -> int:
        if full and content == b"three\n":
            return real(file, content[:2])
        return real(file, content)

    monkeypatch.setattr(os, "write", write)
    log.append([b"one\n"])
    with pytest.raises(OSError, match="only in part") as caught:
        log.append([b"two\n", b"three\n"])
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "output" / "results.jsonl").read_bytes() == b"one\n"
    full = False
    log.append([b"two\n", b"three\n"])
    assert lines(make()) == [b"one", b"two", b"three"]


def test_a_part_of_a_line_that_cannot_be_taken_back_is_mended_before_the_next(
    make: Make, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, real = make(), os.write
    log.append([b"one\n"])
    faults.add("ftruncate", errno.EIO)
    monkeypatch.setattr(os, "write", lambda file, content: real(file, content[:2]))
    with suppress(OSError):
        log.append([b"two\n"])
    monkeypatch.setattr(os, "write", real)
    log.append([b"two\n"])
    assert lines(make()) == [b"one", b"two"]


@pytest.mark.parametrize(
    ("error", "tolerated"), [(errno.EINVAL, True), (errno.ENOSYS, True), (errno.ENOTSUP, True), (errno.ENOSPC, False)]
)
def test_a_file_system_without_sync_is_tolerated_a_failed_sync_is_not(
    error: int, tolerated: bool, make: Make, faults: Faults
) -> None:
    faults.add("fsync", error)
    if tolerated:
        make().append([b"one\n"])
    else:
        with pytest.raises(OSError, match=os.strerror(error)):
            make().append([b"one\n"])
    assert lines(make()) == [b"one"] * tolerated


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.ENOTCONN, errno.EROFS, errno.ESTALE])
def test_trouble_that_another_file_would_not_mend_makes_none(
    error: int, make: Make, faults: Faults, tmp_path: Path
) -> None:
    make().append([b"one\n"])
    faults.add("write", error)
    with pytest.raises(OSError, match=r"Errno"):
        make().append([b"two\n"])
    assert names(tmp_path) == ["results.jsonl"]


def test_a_segment_that_could_not_be_written_is_taken_away(make: Make, faults: Faults, tmp_path: Path) -> None:
    make().append([b"one\n"])
    faults.add("write", errno.EIO)
    with pytest.raises(OSError, match=r"Errno"):
        make().append([b"two\n"])
    assert names(tmp_path) == ["results.jsonl"]


def test_lines_that_cannot_be_read_are_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make().append([b"one\n"])

    def refuse(_path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    # Which of the two lists a folder depends on the version of Python.
    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        lines(make())
