"""What keeps checkpoints from being found, said in words and only once it lasts."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sidecar_evaluator.checkpoints.interface import FileState
from sidecar_evaluator.discovery import completeness
from sidecar_evaluator.discovery.claims import NamePatterns
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.discovery.obstacles import Obstacle, Obstacles
from sidecar_evaluator.results.evaluator_report import ProblemReason
from unit.evaluator.support.fakes import FORMAT, Recorder, checkpoint
from unit.evaluator.support.iterating import Scene


def files(*names: str) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        for name in names:
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make


def link(name: str, target: str) -> Callable[[Path], None]:
    return lambda place: (place / name).symlink_to(target)


def told(directory: Directory, seconds: int = 6) -> list[Obstacle | None]:
    """Look every second; return what was told."""
    reports: list[Obstacle | None] = []
    obstacles = Obstacles(directory, reports.append)
    for second in range(seconds):
        listing = directory.look()
        obstacles.look(listing, listing.checkpoints, float(second), has_settled=False)
    return reports


@pytest.mark.parametrize(
    ("make", "path", "reason", "words"),
    [
        (
            files("run-41/a", "run-42/a"),
            "run-43",
            "DirectoryMissing",
            "{0}/run-43 does not exist; {0} holds run-41, run-42",
        ),
        (files(), "a/b/ckpt", "DirectoryMissing", "{0}/a/b/ckpt does not exist; {0} is empty"),
        (files("a", "b", "c", "d", "e"), "run", "DirectoryMissing", "{0} holds a, b, c and 2 more"),
        (link("latest", "run-9"), "latest", "DirectoryMissing", "latest is a link to run-9, which does not exist"),
        (link("latest", "run-9"), "latest/ckpt", "DirectoryMissing", "latest is a link to run-9, which does not exist"),
        (
            files("run/events.out", "run/log"),
            "run",
            "NoCheckpoints",
            "no checkpoint that is whole, only events.out, log",
        ),
        (files("run/1/ckpt-1.index", "run/x"), "run", "NoCheckpoints", "holds no checkpoint, but 1 below it does"),
        (link("ckpt-1.index", "/far/ckpt-1"), ".", "NoCheckpoints", "ckpt-1.index is a link to /far/ckpt-1, which"),
        (files(), ".", "NoCheckpoints", "{0} is empty"),
    ],
)
def test_what_is_there_instead_of_checkpoints_is_named(
    tmp_path: Path, make: Callable[[Path], None], path: str, reason: str, words: str
) -> None:
    make(tmp_path)
    (obstacle,) = told(Directory(tmp_path / path))
    assert obstacle is not None
    assert obstacle.reason == reason
    assert words.format(tmp_path) in obstacle.message


def test_checkpoints_that_the_patterns_leave_out_are_named(tmp_path: Path) -> None:
    files("ckpt-1.keras", "ckpt-2.keras")(tmp_path)
    *_, obstacle = told(Directory(tmp_path, patterns=NamePatterns(include=("chpt-*",))))
    assert obstacle is not None
    assert obstacle.reason is ProblemReason.NO_CHECKPOINTS
    assert "that include and exclude admit; they leave out ckpt-1.keras, ckpt-2.keras" in obstacle.message


def test_a_link_that_moves_to_another_runs_directory_is_told_and_not_followed(tmp_path: Path) -> None:
    files("run-41/ckpt-1.part", "run-42/ckpt-2.part")(tmp_path)
    link("latest", "run-41")(tmp_path)
    directory = Directory(tmp_path / "latest", formats=[Recorder()])
    before = directory.look().checkpoints
    assert told(directory) == []
    (tmp_path / "latest").unlink()
    link("latest", "run-42")(tmp_path)
    assert directory.look().checkpoints == before
    (obstacle,) = told(directory)
    assert obstacle is not None
    assert obstacle.reason is ProblemReason.DIRECTORY_MOVED
    assert f"latest led to {tmp_path}/run-41 when this evaluation began, and now leads to {tmp_path}/run-42" in (
        obstacle.message
    )
    assert len(obstacle.message) < 512
    (tmp_path / "latest").unlink()
    link("latest", "run-41")(tmp_path)
    assert told(directory) == []


def test_a_link_may_move_until_it_leads_to_a_checkpoint(tmp_path: Path) -> None:
    files("run-41/log", "run-42/ckpt-2.part")(tmp_path)
    link("latest", "run-41")(tmp_path)
    directory = Directory(tmp_path / "latest", formats=[Recorder()])
    assert directory.look().checkpoints == ()
    (tmp_path / "latest").unlink()
    link("latest", "run-42")(tmp_path)
    assert [checkpoint.name for checkpoint in directory.look().checkpoints] == ["ckpt-2"]
    assert directory.path == tmp_path / "run-42"


def test_names_are_cut(tmp_path: Path) -> None:
    files(*(f"{letter * 250}" for letter in "abcdef"))(tmp_path)
    (obstacle,) = told(Directory(tmp_path))
    assert obstacle is not None
    assert len(obstacle.message) < 500


def test_what_passes_within_seconds_is_not_told(tmp_path: Path) -> None:
    assert told(Directory(tmp_path / "run"), seconds=4) == []


def test_a_file_that_is_gone_or_cannot_be_asked_about_is_not_denied(tmp_path: Path) -> None:
    assert completeness.may_read(tmp_path / "gone")
    assert completeness.may_read(tmp_path / ("x" * 300))
    (tmp_path / "here").touch()
    assert completeness.may_read(tmp_path / "here")


def deny(monkeypatch: pytest.MonkeyPatch, *suffixes: str) -> None:
    """Take away the right to read files, which a root would have in any case."""
    monkeypatch.setattr(completeness, "may_read", lambda path: not path.name.endswith(suffixes))


def test_checkpoints_that_may_not_be_read_are_told_with_owner_and_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files("ckpt-1.index", "ckpt-1.data-00000-of-00001")(tmp_path)
    (tmp_path / "ckpt-1.index").write_text("x")
    (tmp_path / "ckpt-1.index").chmod(0o600)
    deny(monkeypatch, ".index")
    (obstacle,) = told(Directory(tmp_path))
    assert obstacle is not None
    assert obstacle.reason is ProblemReason.CHECKPOINTS_UNREADABLE
    assert f"{tmp_path}/ckpt-1.index (mode 0600, owner {os.getuid()}, group {os.getgid()}) may not be read" in (
        obstacle.message
    )
    assert "umask 022" in obstacle.message


def test_a_checkpoint_one_of_whose_files_may_not_be_read_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    deny(monkeypatch, "ckpt-1")
    assert completeness.missing_parts(checkpoint("ckpt-1")) == "ckpt-1 may not be read"
    assert completeness.missing_parts(checkpoint("ckpt-2")) == ""


def test_a_checkpoint_with_many_files_costs_few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def may_read(path: Path) -> bool:
        asked.append(path)
        return True

    monkeypatch.setattr(completeness, "may_read", may_read)
    shards = tuple(FileState(f"ckpt-1.data-{number:05}-of-00500", 1, 1) for number in range(500))
    completeness.missing_parts(FORMAT.assemble(Path("/checkpoints"), "ckpt-1", {one.name: one for one in shards}))
    assert len(asked) == 16


def test_the_iterator_tells_what_is_in_the_way_within_ten_seconds_and_when_it_has_passed() -> None:
    scene = Scene()
    reports: list[tuple[float, Obstacle | None]] = []
    scene.iterator._obstacles.report = lambda obstacle: reports.append((scene.clock.now - 1000.0, obstacle))
    scene.clock.at(20.0, partial(scene.directory.add, checkpoint("ckpt-1")))
    scene.clock.at(30.0, scene.finished.set)
    assert scene.drain() == ["ckpt-1"]
    assert [(when < 10.0, obstacle.reason if obstacle else None) for when, obstacle in reports] == [
        (True, ProblemReason.NO_CHECKPOINTS),
        (False, None),
    ]


def test_what_may_not_be_read_is_told_although_others_are_evaluated_and_passes_with_the_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(checkpoint("ckpt-1"), checkpoint("ckpt-2"))
    reports: list[Obstacle | None] = []
    scene.iterator._obstacles.report = reports.append
    deny(monkeypatch, "ckpt-2")
    scene.clock.at(15.0, lambda: monkeypatch.setattr(completeness, "may_read", lambda _path: True))
    scene.clock.at(30.0, scene.finished.set)
    assert scene.drain() == ["ckpt-1", "ckpt-2"]
    assert [obstacle.reason if obstacle else None for obstacle in reports] == [
        ProblemReason.CHECKPOINTS_UNREADABLE,
        None,
    ]
