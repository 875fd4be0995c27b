"""The look at the files after an evaluation: what was not whole when it was read is not published."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights, status_of
from sidecar_evaluator.checkpoints.second_look import require_still_whole
from sidecar_evaluator.errors import CheckpointUnreadable
from unit.evaluator.support.fakes import checkpoint

SIZE = 16


@dataclass
class Scene:
    """A file of numbers: the first is the number of iterations, none where it is 255."""

    path: Path
    reads: int = 0

    def write(self, *values: int) -> None:
        """Write into the file."""
        with self.path.open("r+b") as file:
            file.write(bytes(values).ljust(SIZE, b"\0"))
        status = self.path.stat()
        os.utime(self.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # clocks of file systems are coarse

    def read(self, _checkpoint: Checkpoint) -> Weights:
        self.reads += 1
        content = self.path.read_bytes()
        if len(content) < SIZE:
            raise CheckpointUnreadable("It is shorter.")
        iterations = None if content[0] == 255 else content[0]
        status = status_of(self.path.parent, self.path.name)
        return Weights([np.frombuffer(content[1:], np.uint8)], iterations, read_from=[status])

    def replace(self) -> None:
        other = self.path.with_name("other")
        other.write_bytes(b"\7" * SIZE)
        other.rename(self.path)


WHOLE, NOT_WHOLE = True, False
EVENTS: dict[str, tuple[Callable[[Scene], object], int, bool, bool]] = {
    # what happens, the iterations, and whether the score of a numbered and of another name is published
    "nothing": (lambda scene: None, 7, WHOLE, WHOLE),
    "deleted": (lambda scene: scene.path.unlink(), 7, WHOLE, WHOLE),
    "replaced": (Scene.replace, 7, WHOLE, WHOLE),
    "touched": (lambda scene: scene.write(7, 1, 0, 3), 7, WHOLE, WHOLE),
    "a late block": (lambda scene: scene.write(7, 1, 2, 3), 7, NOT_WHOLE, NOT_WHOLE),
    "a late block, without iterations": (lambda scene: scene.write(255, 1, 2, 3), 255, NOT_WHOLE, WHOLE),
    "another save": (lambda scene: scene.write(8, 4, 5, 6), 7, WHOLE, WHOLE),
    "another save has begun": (lambda scene: scene.path.write_bytes(b""), 7, NOT_WHOLE, WHOLE),
}


@pytest.mark.parametrize("case", EVENTS.values(), ids=EVENTS.keys())
@pytest.mark.parametrize("name", ["ckpt-7", "best"])
def test_what_was_written_to_since_it_was_read_is_read_again_and_compared(
    case: tuple[Callable[[Scene], object], int, bool, bool], name: str, tmp_path: Path
) -> None:
    event, iterations, numbered, unnumbered = case
    scene = Scene(tmp_path / name)
    scene.path.touch()
    scene.write(iterations, 1, 0, 3)
    candidate = replace(checkpoint(name), path=scene.path)
    weights = scene.read(candidate)
    event(scene)
    if numbered if candidate.number is not None else unnumbered:
        require_still_whole(candidate, weights, scene.read)
    else:
        with pytest.raises(CheckpointUnreadable, match="written to while it was evaluated"):
            require_still_whole(candidate, weights, scene.read)


def test_a_format_with_checksums_is_not_looked_at_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "ckpt-7")
    require_still_whole(replace(checkpoint("ckpt-7"), path=scene.path), Weights([], 7), scene.read)
    assert scene.reads == 0
