"""`sidecar-evaluator ls`: what it prints of a checkpoint directory."""

import json
from pathlib import Path

import h5py
import pytest

from sidecar_evaluator.commands import main
from sidecar_evaluator.errors import ExitCode


def listed(capsys: pytest.CaptureFixture[str], *flags: str) -> list[str]:
    assert main.main(["ls", *flags]) == ExitCode.DRAINED
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    checkpoints = tmp_path / "ckpt"
    checkpoints.mkdir()
    for name in ("ckpt-10.index", "ckpt-10.data-00000-of-00002"):
        (checkpoints / name).write_bytes(b"x" * 1500)
    with h5py.File(checkpoints / "ckpt-9.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = [1.0, 2.0]
    (checkpoints / "checkpoint").write_text("state")
    return checkpoints


def test_every_checkpoint_has_a_line_that_says_what_it_lacks(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headings, first, second, rest = listed(capsys, str(directory))
    assert headings.split() == ["CHECKPOINT", "FORMAT", "NUMBER", "FILES", "SIZE", "WRITTEN", "STATE"]
    assert first.split()[:4] == ["ckpt-9", "KerasWeights", "9", "1"]
    assert first.endswith("complete")
    assert second.split()[:6] == ["ckpt-10", "TensorFlow", "10", "2", "2.9", "KiB"]
    assert second.endswith("incomplete: 1 of its 2 data shards are missing")
    assert rest == "Not part of a checkpoint: checkpoint"


def test_a_look_into_the_file_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ckpt-1.weights.h5").write_bytes(b"not HDF5")
    assert "incomplete: " in listed(capsys, str(tmp_path))[1]


def test_json_for_scripts(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [json.loads(line) for line in listed(capsys, str(directory), "--json")]
    assert [(entry["checkpoint"], entry["complete"]) for entry in entries] == [("ckpt-9", True), ("ckpt-10", False)]
    assert entries[1]["bytes"] == 3000
    assert entries[1]["lacks"] == "1 of its 2 data shards are missing"


def test_a_format_may_be_asked_for(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys, str(directory), "--format=TensorFlow")
    assert [line.split()[0] for line in lines[1:-1]] == ["ckpt-10"]


def test_what_patterns_leave_out_is_told(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys, str(directory), "--exclude=*.weights.h5", "--include=ckpt*")
    assert [line.split()[0] for line in lines[1:-2]] == ["ckpt-10"]
    assert lines[-2:] == [
        "Left out by --include and --exclude: ckpt-9.weights.h5",
        "Not part of a checkpoint: checkpoint",
    ]


def test_checkpoints_one_level_too_deep_are_pointed_out(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys, str(directory.parent))
    assert lines[0] == "Checkpoints in subdirectories, which are not evaluated: ckpt"
    assert lines[1] == f"There is no checkpoint in {directory.parent}."


def test_what_training_wrote_instead_is_called_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.h5").touch()
    assert (
        f"There is no checkpoint in {tmp_path}: model.h5 is a whole model in HDF5" in listed(capsys, str(tmp_path))[0]
    )


def test_many_other_files_are_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(8):
        (tmp_path / f"note{number}.txt").touch()
    assert listed(capsys, str(tmp_path))[-1].endswith("note4.txt and 3 more")


def test_one_name_in_two_formats_is_pointed_out(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "ckpt-9.keras").write_bytes(b"")
    assert listed(capsys, str(directory))[-2] == (
        "Ignored, because another format has a checkpoint with the same name: ckpt-9.keras"
    )


def test_a_checkpoint_that_is_a_directory_is_shown_with_all_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "7" / "d").mkdir(parents=True)
    (tmp_path / "7" / "_CHECKPOINT_METADATA").write_bytes(b"{}")
    (tmp_path / "7" / "d" / "part").write_bytes(b"x" * 98)
    assert listed(capsys, str(tmp_path))[1].split()[:6] == ["7", "Orbax", "7", "2", "100", "B"]


def test_a_name_cannot_forge_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ckpt-1\nckpt-2.index").write_bytes(b"x")
    assert listed(capsys, str(tmp_path))[1].startswith(r"ckpt-1\nckpt-2 ")


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run-1").mkdir()
    assert main.main(["ls", str(tmp_path / "none")]) == ExitCode.CONFIGURATION
    assert f"none does not exist; {tmp_path} holds run-1: pass the directory" in capsys.readouterr().err
