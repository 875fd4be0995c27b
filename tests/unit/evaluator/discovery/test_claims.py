"""Which entries are a checkpoint that counts: formats and name patterns."""

from pathlib import Path

import pytest

from sidecar_evaluator.checkpoints.registry import AUTO, formats_named
from sidecar_evaluator.discovery.claims import Claims, NamePatterns
from sidecar_evaluator.discovery.directory import Directory
from unit.evaluator.support.fakes import Recorder

ENTRIES = ("ckpt-1.weights.h5", "ckpt-2.keras", "ckpt-3.index", "ckpt-3.data-00000-of-00001", "best.weights.h5")


@pytest.mark.parametrize(
    ("include", "exclude", "admitted"),
    [
        ((), (), ENTRIES),
        ((), ("best.weights.h5",), ENTRIES[:-1]),
        ((), ("best",), ENTRIES[:-1]),
        ((), ("b?st*", "ckpt-[23]"), ENTRIES[:1]),
        (("ckpt-*",), (), ENTRIES[:-1]),
        (("ckpt-3",), (), ENTRIES[2:4]),
        (("*.weights.h5",), ("best*",), ENTRIES[:1]),
        (("*.weights.h5", "best*"), ("best*",), ENTRIES[:1]),
        (("CKPT-*",), (), ()),
        (("kpt",), (), ()),
    ],
)
def test_a_pattern_is_compared_with_the_whole_name_of_the_checkpoint_and_of_a_single_file(
    include: tuple[str, ...], exclude: tuple[str, ...], admitted: tuple[str, ...]
) -> None:
    claims = Claims(formats_named(AUTO), NamePatterns(include, exclude))
    claimed = {entry: claims.claim(entry, is_directory=False) for entry in ENTRIES}
    assert tuple(entry for entry, claim in claimed.items() if claim and claim.is_admitted) == admitted


def test_a_step_is_a_directory() -> None:
    claims = Claims(formats_named(AUTO), NamePatterns(exclude=("1?",)))
    steps = [claims.claim(name, is_directory=True) for name in ("7", "17")]
    assert [claim and claim.is_admitted for claim in steps] == [True, False]


def test_what_is_left_out_is_not_looked_at_and_not_listed(tmp_path: Path) -> None:
    recorder = Recorder()
    directory = Directory(tmp_path, formats=[recorder], patterns=NamePatterns(exclude=("best*",)))
    for name in ("ckpt-1.part", "best.part", "notes"):
        (tmp_path / name).write_bytes(b"x")
    assert [checkpoint.name for checkpoint in directory.look().checkpoints] == ["ckpt-1"]
    assert recorder.assembled == ["ckpt-1"]
    assert (directory.left_out(), directory.unclaimed()) == (["best.part"], ["notes"])
    (tmp_path / "best.part").unlink()
    directory.look()
    assert directory.left_out() == []
