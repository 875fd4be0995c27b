"""One look at a directory: formats side by side, and every trouble a mount can give."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar_evaluator.checkpoints.directory import Directory
from sidecar_evaluator.errors import ConfigurationError, StorageGoneError


def write(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("format_name", "expected"),
    [("Auto", ["ckpt-2", "ckpt-3"]), ("TensorFlow", ["ckpt-2"]), ("KerasWeights", ["ckpt-3"])],
)
def test_formats(format_name: str, expected: list[str], tmp_path: Path) -> None:
    write(tmp_path, "ckpt-2.index", "ckpt-2.data-00000-of-00001", "ckpt-3.weights.h5", "checkpoint")
    (tmp_path / "ckpt-4.index").mkdir()
    listing = Directory(tmp_path, format_name).look()
    assert [found.name for found in listing.checkpoints] == expected
    assert "checkpoint" in listing.names


def test_a_missing_directory_may_still_come(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "later")
    assert not directory.look().exists
    (tmp_path / "later").mkdir()
    assert directory.look().exists
    assert directory.look().checkpoints == ()


def test_a_file_in_its_place_is_a_configuration_error(tmp_path: Path) -> None:
    write(tmp_path, "ckpt")
    with pytest.raises(ConfigurationError, match="is not a directory; give the directory"):
        Directory(tmp_path / "ckpt").look()


def failing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def scandir(path: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "scandir", scandir)


def test_an_unreadable_directory_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing(monkeypatch, errno.EACCES)
    with pytest.raises(ConfigurationError, match=r"permission denied for user .*let it read"):
        Directory(tmp_path).look()


def test_a_died_mount_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing(monkeypatch, errno.ENOTCONN)
    with pytest.raises(StorageGoneError, match=r"mount of .* has died"):
        Directory(tmp_path).look()


def test_a_short_trouble_looks_as_if_nothing_had_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, "ckpt-2.index", "ckpt-2.data-00000-of-00001")
    now = [0.0]
    directory = Directory(tmp_path, clock=lambda: now[0])
    before = directory.look()
    with monkeypatch.context() as patched:
        failing(patched, errno.ESTALE)
        for now[0] in (1.0, 2.0, 61.0):
            assert directory.look() == replace(before, fresh=False)
        now[0] = 62.0
        with pytest.raises(OSError, match="Stale file handle"):
            directory.look()
    assert directory.look() == before


def test_before_the_first_listing_there_is_nothing_to_go_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing(monkeypatch, errno.EIO)
    found = Directory(tmp_path).look()
    assert (found.checkpoints, found.exists, found.fresh) == ((), False, False)
