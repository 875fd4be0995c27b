"""Holes: parts of a file that were never written."""

from pathlib import Path

from sidecar_evaluator.checkpoints.holes import has_hole, hole_after
from unit.evaluator.support.sparse import BLOCK, write_late, write_with_hole


def test_a_part_that_was_never_written_is_a_hole_and_written_zeros_are_not(tmp_path: Path) -> None:
    path, content = tmp_path / "file", bytes(8 * BLOCK)
    late = write_with_hole(path, content, 3 * BLOCK)
    with path.open("rb") as file:
        assert hole_after(file.fileno(), 0, len(content)) == 3 * BLOCK
        assert hole_after(file.fileno(), 0, 2 * BLOCK) == 2 * BLOCK
        assert hole_after(file.fileno(), 4 * BLOCK, len(content)) == len(content)
    assert has_hole(path, len(content))
    write_late(path, late, 3 * BLOCK)
    assert not has_hole(path, len(content))


def test_what_cannot_tell_has_no_hole() -> None:
    assert hole_after(-1, 0, BLOCK) == BLOCK
