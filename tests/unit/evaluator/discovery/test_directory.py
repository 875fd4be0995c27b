"""One look at a directory: formats side by side, and every trouble a mount can give."""

import errno
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, Files, FileState, state_of
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.errors import ConfigurationError, StorageGoneError
from unit.evaluator.support.fakes import FakeFormat, Recorder


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
    assert [checkpoint.name for checkpoint in listing.checkpoints] == expected
    assert "checkpoint" in listing.names


def test_a_missing_directory_may_still_come(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "later")
    assert not directory.look().exists
    (tmp_path / "later").mkdir()
    assert directory.look().exists
    assert directory.look().checkpoints == ()


def test_until_it_comes_the_nearest_directory_above_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object mounts remember names that were looked for in vain until they list the directory of the name."""
    listed, scandir = list[Path](), os.scandir

    def remember(path: Path) -> Any:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", remember)
    Directory(tmp_path / "run" / "checkpoints").look()
    assert listed == [tmp_path / "run" / "checkpoints", tmp_path / "run", tmp_path]


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
    listing = Directory(tmp_path).look()
    assert (listing.checkpoints, listing.exists, listing.fresh) == ((), False, False)


def test_a_look_concerns_itself_with_what_is_new_only(tmp_path: Path) -> None:
    recorder = Recorder()
    directory = Directory(tmp_path, formats=[recorder])
    write(tmp_path, *(f"ckpt-{number}.part" for number in range(100)))
    assert len(directory.look().checkpoints) == 100
    recorder.assembled.clear()
    write(tmp_path, "ckpt-100.part")
    assert directory.look().checkpoints[-1].name == "ckpt-100"
    assert recorder.assembled == ["ckpt-100"]


def test_a_retired_checkpoint_is_out_of_sight_until_its_name_is_used_again(tmp_path: Path) -> None:
    recorder = Recorder()
    directory = Directory(tmp_path, formats=[recorder])
    write(tmp_path, "ckpt-1.part", "ckpt-2.part")
    directory.retire(directory.look().checkpoints[0])
    assert [checkpoint.name for checkpoint in directory.look().checkpoints] == ["ckpt-2"]
    (tmp_path / "ckpt-1.part").unlink()
    directory.look()
    write(tmp_path, "ckpt-1.part")
    assert [checkpoint.name for checkpoint in directory.look().checkpoints] == ["ckpt-1", "ckpt-2"]


class Times:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_name_that_is_used_again_in_place_is_looked_at_again_once_it_stays_as_it_is(tmp_path: Path) -> None:
    clock = Times()
    directory = Directory(tmp_path, formats=[Recorder()], clock=clock)
    write(tmp_path, "ckpt-1.part", "ckpt-2.part")
    retired, waiting = directory.look().checkpoints
    directory.retire(retired)
    for name in ("ckpt-1.part", "ckpt-2.part"):
        os.utime(tmp_path / name, ns=(0, retired.files[0].modified_ns + 10**13))
    assert directory.look().checkpoints == (waiting,)
    clock.now += 3.0
    again = directory.look().checkpoints
    assert [checkpoint.name for checkpoint in again] == ["ckpt-1", "ckpt-2"]
    assert all(checkpoint.modified_at > retired.modified_at for checkpoint in again)
    directory.retire(again[0])
    clock.now += 3.0
    assert directory.look().checkpoints == again[1:]


def test_a_mount_that_reports_another_time_at_every_look_shows_nothing_again(tmp_path: Path) -> None:
    clock = Times()
    directory = Directory(tmp_path, formats=[Recorder()], clock=clock)
    write(tmp_path, "ckpt-1.part")
    directory.retire(directory.look().checkpoints[0])
    for moment in range(1, 20):
        os.utime(tmp_path / "ckpt-1.part", ns=(0, moment * 10**13))
        clock.now += 5.0
        assert directory.look().checkpoints == ()


def test_a_look_sees_to_a_few_of_those_that_are_done_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory(tmp_path, formats=[Recorder()], revisits=3)
    write(tmp_path, *(f"ckpt-{number}.part" for number in range(10)))
    for checkpoint in directory.look().checkpoints:
        directory.retire(checkpoint)
    seen_to: list[str] = []

    def note(folder: Path, name: str) -> FileState:
        seen_to.append(name)
        return state_of(folder, name)

    monkeypatch.setattr("sidecar_evaluator.discovery.directory.state_of", note)
    for _ in range(4):
        directory.look()
    assert len(seen_to) == 12
    assert set(seen_to[:10]) == {f"ckpt-{number}.part" for number in range(10)}
    assert seen_to[10:] == seen_to[:2]


def test_a_doubted_checkpoint_is_looked_at_again(tmp_path: Path) -> None:
    directory = Directory(tmp_path, formats=[Recorder()])
    write(tmp_path, "ckpt-1.part")
    (before,) = directory.look().checkpoints
    (tmp_path / "ckpt-1.part").write_text("longer")
    assert directory.look().checkpoints == (before,)
    directory.recheck(before)
    assert directory.look().checkpoints[0].files[0].size == 6


def test_a_name_that_training_writes_again_and_again_is_always_looked_at(tmp_path: Path) -> None:
    directory = Directory(tmp_path, formats=[Recorder()])
    write(tmp_path, "best.part")
    (before,) = directory.look().checkpoints
    directory.retire(before)
    (tmp_path / "best.part").write_text("longer")
    assert directory.look().checkpoints[0].files[0].size == 6


def test_a_checkpoint_that_is_deleted_is_gone_from_the_next_listing(tmp_path: Path) -> None:
    directory = Directory(tmp_path, formats=[Recorder()])
    write(tmp_path, "ckpt-1.part", "ckpt-2.part")
    directory.look()
    (tmp_path / "ckpt-1.part").unlink()
    assert [checkpoint.name for checkpoint in directory.look().checkpoints] == ["ckpt-2"]
    for path in tmp_path.iterdir():
        path.unlink()
    tmp_path.rmdir()
    assert not directory.look().exists
    tmp_path.mkdir()
    assert directory.look().checkpoints == ()


def test_a_directory_that_is_made_anew_with_the_same_names_is_read_anew(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "run", formats=[Recorder()])
    for content in ("x", "longer"):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "ckpt-1.part").write_text(content)
        (checkpoint,) = directory.look().checkpoints
        assert checkpoint.files[0].size == len(content)
        (tmp_path / "run" / "ckpt-1.part").unlink()
        (tmp_path / "run").rmdir()
        assert not directory.look().exists


class Entry:
    """An entry of a listing whose kind cannot be told as long as `error` is set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: OSError | None = None

    def is_dir(self) -> bool:
        if self.error:
            raise self.error
        return False


def test_an_entry_that_cannot_be_told_at_first_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "ckpt-1.part")
    entry = Entry("ckpt-1.part")
    monkeypatch.setattr(os, "scandir", lambda _path: nullcontext([entry]))
    directory = Directory(tmp_path, formats=[Recorder()])
    entry.error = OSError(errno.ESTALE, "Stale file handle")
    assert directory.look().checkpoints == ()
    entry.error = None
    assert [checkpoint.name for checkpoint in directory.look().checkpoints] == ["ckpt-1"]


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(2, {"7.part/marker", "7.part/item"}), (3, {"7.part/marker", "7.part/item/data"})],
)
def test_a_checkpoint_that_is_a_directory_is_listed_as_deep_as_its_format_asks(
    depth: int, expected: set[str], tmp_path: Path
) -> None:
    (tmp_path / "7.part" / "item").mkdir(parents=True)
    write(tmp_path / "7.part", "marker")
    write(tmp_path / "7.part" / "item", "data")
    (checkpoint,) = Directory(tmp_path, formats=[Recorder(depth=depth)]).look().checkpoints
    assert {file.name for file in checkpoint.files} == expected


def test_of_two_formats_the_first_gets_the_entry(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    write(tmp_path, "ckpt-1.part")
    (checkpoint,) = Directory(tmp_path, formats=[first, second]).look().checkpoints
    assert checkpoint.format is first
    assert second.assembled == []


class Suffixed(FakeFormat):
    """A format of files with an ending; empty files are incomplete."""

    def __init__(self, ending: str) -> None:
        super().__init__()
        self.name = ending

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        return name.removesuffix(self.name) if name.endswith(self.name) and not is_directory else None

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        checkpoint = super().assemble(directory, name, files)
        return replace(checkpoint, missing="" if all(file.size for file in checkpoint.files) else "everything")


def test_of_one_name_in_two_formats_the_whole_one_that_can_be_read_is_listed(tmp_path: Path) -> None:
    directory = Directory(tmp_path, formats=[Suffixed(".a"), Suffixed(".b")])
    (tmp_path / "ckpt-1.a").touch()
    write(tmp_path, "ckpt-1.b")

    def listed() -> list[str]:
        return [checkpoint.format.name for checkpoint in directory.look().checkpoints]

    assert listed() == [".b"], "the other is incomplete"
    write(tmp_path, "ckpt-1.a")
    assert listed() == [".a"], "both are complete"
    directory.recheck(directory.look().checkpoints[0])
    assert listed() == [".b"], "the other could not be read"
    (tmp_path / "ckpt-1.b").unlink()
    assert listed() == [".a"], "the other is gone"


def test_of_one_name_in_two_formats_each_can_be_retired(tmp_path: Path) -> None:
    directory = Directory(tmp_path, formats=[Suffixed(".a"), Suffixed(".b")])
    write(tmp_path, "ckpt-1.a", "ckpt-1.b")
    while checkpoints := directory.look().checkpoints:
        directory.retire(checkpoints[0])
    assert directory.unclaimed() == []


@pytest.mark.parametrize("code", [errno.ELOOP, errno.EACCES])
def test_an_entry_that_nobody_can_look_at_hides_no_other(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "ckpt-1.part")
    odd = Entry("latest")
    odd.error = OSError(code, os.strerror(code))
    monkeypatch.setattr(os, "scandir", lambda _path: nullcontext([odd, Entry("ckpt-1.part")]))
    directory = Directory(tmp_path, formats=[Recorder()])
    for _ in range(3):
        assert [checkpoint.name for checkpoint in directory.look().checkpoints] == ["ckpt-1"]
    assert len(caplog.messages) == 1
    assert "latest is left out, because it cannot be looked at" in caplog.text


def test_a_link_that_leads_to_itself_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, "ckpt-1.index")
    for name in ("latest", "ckpt-2.weights.h5", "7"):
        (tmp_path / name).symlink_to(name)
    assert [checkpoint.name for checkpoint in Directory(tmp_path).look().checkpoints] == ["ckpt-1"]


def test_subdirectories_with_checkpoints_are_named(tmp_path: Path) -> None:
    for name in ("run-1", "run-2", "logs"):
        (tmp_path / name).mkdir()
    write(tmp_path / "run-1", "ckpt-1.part")
    write(tmp_path / "run-2", "ckpt-1.part")
    write(tmp_path / "logs", "events")
    directory = Directory(tmp_path, formats=[Recorder()])
    directory.look()
    assert directory.nested() == ["run-1", "run-2"]


def test_the_heart_beats_while_many_entries_are_looked_at_for_the_first_time(tmp_path: Path) -> None:
    beats = list[None]()
    directory = Directory(tmp_path, formats=[Recorder()], beat=lambda: beats.append(None))
    write(tmp_path, *(f"ckpt-{number}.part" for number in range(10)))
    directory.look()
    assert len(beats) == 20
