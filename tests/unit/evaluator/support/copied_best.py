"""A checkpoint directory, an output, and best copies between them, for the tests of best_checkpoints."""

import errno
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from sidecar_evaluator.best_checkpoints.store import MANIFEST, BestCheckpointStore
from sidecar_evaluator.checkpoints.interface import Checkpoint, state_of
from sidecar_evaluator.results.outcome import Outcome
from sidecar_evaluator.results.ranking import Goal, Primary
from unit.evaluator.support.fakes import FORMAT, evaluated

ACCURACY = Primary("accuracy", Goal.MAXIMIZE)
LAYOUTS = {
    "prefix": ["ckpt-{}.index", "ckpt-{}.data-00000-of-00002", "ckpt-{}.data-00001-of-00002"],
    "file": ["ckpt-{}.weights.h5"],
    "tree": ["ckpt-{}/_METADATA", "ckpt-{}/d/0a1b", "ckpt-{}/d/2c3d", "ckpt-{}/ocdbt.process_0/d/empty"],
}


class Scene:
    """A checkpoint directory, an output and what is copied between them."""

    def __init__(self, root: Path, layout: str = "prefix", keep: int = 1) -> None:
        self.checkpoints, self.output = root / "ckpt", root / "output" / "best"
        self.checkpoints.mkdir(exist_ok=True)
        self.layout, self.now = layout, 1000.0
        self.copies = self.restarted(keep)

    def restarted(self, keep: int = 1, primary: Primary | None = ACCURACY) -> BestCheckpointStore:
        return BestCheckpointStore(self.output, keep, primary, clock=lambda: self.now)

    def save(self, number: int | str, content: bytes = b"weights") -> Checkpoint:
        names = [name.format(number) for name in LAYOUTS[self.layout]]
        for name in names:
            path = self.checkpoints / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"" if name.endswith("empty") else name.encode() + content)
        return self.listed(number)

    def listed(self, number: int | str) -> Checkpoint:
        names = [name.format(number) for name in LAYOUTS[self.layout]]
        opened = {"prefix": f"ckpt-{number}", "file": names[0], "tree": f"ckpt-{number}"}[self.layout]
        listed_names = names[:1] if self.layout == "tree" else names  # of a tree a listing sees the files that mark it
        files = tuple(state_of(self.checkpoints, name) for name in listed_names)
        return Checkpoint(f"ckpt-{number}", self.checkpoints / opened, FORMAT, files)

    def find(self, name: str) -> Checkpoint | None:
        number = name.removeprefix("ckpt-")
        first = self.checkpoints / LAYOUTS[self.layout][0].format(number)
        return self.listed(number) if first.exists() else None

    def delete(self, checkpoint: Checkpoint) -> None:
        if checkpoint.path.is_dir():
            shutil.rmtree(checkpoint.path)
        for file in checkpoint.files:
            (self.checkpoints / file.name).unlink(missing_ok=True)

    def visible(self) -> list[str]:
        """Return the directories of complete copies, the newest first; check that each is complete."""
        paths = self.output.glob("*/manifest.json")
        manifests = [json.loads(path.read_text()) | {"place": path.parent} for path in paths]
        for manifest in manifests:
            for file in manifest["files"]:
                content = (manifest["place"] / file["name"]).read_bytes()
                assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size"], file["sha256"])
        newest_first = sorted(manifests, key=lambda manifest: str(manifest["copiedAt"]), reverse=True)
        return [manifest["place"].name for manifest in newest_first]

    def manifest(self, place: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.output / place / MANIFEST).read_text())
        return manifest


def outcome_of(checkpoint: Checkpoint, accuracy: float = 0.5, **fields: Any) -> Outcome:
    outcome = evaluated(
        checkpoint.name, accuracy=accuracy, number=checkpoint.number, modified_at=checkpoint.modified_at
    )
    return replace(outcome, **fields)


def export(path: Path) -> None:
    path.write_bytes(b"weights from memory")


def refuse(*_: Any, **__: Any) -> Any:
    raise OSError(errno.EPERM, "Operation not permitted")
