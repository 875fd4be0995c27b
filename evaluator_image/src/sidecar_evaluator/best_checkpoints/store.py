"""Copies of the best checkpoints in `best/` of the output, made before training can delete them.

The loop calls `keep` for each new best, `run` calls `reconcile` at start and at the end. A copy is a
directory that holds a manifest; the manifest is written last, once every file has been read back, so
that a part of a copy is never taken for one, also where nothing can be renamed. Errors are logged
and returned, never raised: an evaluation does not fail because its best checkpoint is not copied.
"""

import errno
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from threading import RLock
from typing import Any

from sidecar_evaluator.best_checkpoints.sources import (
    Copied,
    FilesOf,
    FromCopy,
    FromMemory,
    Source,
    SourceLostError,
    create,
    is_inside,
)
from sidecar_evaluator.checkpoints.identity import CheckpointId, checkpoint_id
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.errors import first_line
from sidecar_evaluator.results.outcome import Outcome
from sidecar_evaluator.results.ranking import Primary
from sidecar_evaluator.results.serialization import parse_time, render_outcome, render_time

_log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
MARKER = ".sidecar-evaluator"  # the first file of a copy: names the others, so that only they are ever deleted
_CLOCK_TICK = 1e-6

Json = dict[str, Any]


@dataclass(frozen=True)
class Copy:
    """A whole copy and what its manifest says."""

    place: Path
    manifest: Json

    @property
    def id(self) -> CheckpointId:
        """Return which checkpoint it is a copy of."""
        modified_at = parse_time(self.manifest.get("modifiedAt"))
        return checkpoint_id(self.manifest["checkpoint"], self.manifest.get("number"), modified_at)

    @property
    def copied_at(self) -> str:
        """Return when it was made; text of this form sorts by time."""
        return str(self.manifest["copiedAt"])

    @property
    def files(self) -> list[Copied]:
        """Return its files."""
        return [Copied(file["name"], file["size"], file["sha256"]) for file in self.manifest["files"]]


class BestCheckpointStore:
    """The newest `keep` best checkpoints in a directory; the newest copy is always of the best."""

    def __init__(
        self, directory: Path, keep: int, primary: Primary | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._keep = keep
        self._primary = primary
        self._clock = clock
        self._lock = RLock()
        self._copied: Outcome | None = None
        self._cannot_delete = False

    def keep(self, checkpoint: Checkpoint, outcome: Outcome, export: Callable[[Path], None] | None = None) -> str:
        """Copy a checkpoint that has become the best; return "", or what prevented it.

        `export` writes the evaluated weights to a `.weights.h5` file; it is called where the
        checkpoint's own files are gone before they are copied whole.
        """
        sources: list[Source] = [FilesOf(checkpoint)]
        if export:
            sources.append(FromMemory(checkpoint.name, export))
        with self._lock:
            return self._keep_from(sources, outcome)

    def reconcile(self, best: Outcome | None, find: Callable[[str], Checkpoint | None]) -> str:
        """Delete what an earlier process left unfinished, and copy the best if that has no copy yet.

        `find` looks for a checkpoint by its name. Returns "", or what prevented the copy.
        """
        with self._lock:
            if best is not None and best is self._copied:
                return ""
            try:
                self._delete_unfinished()
                copies = self._copies()
                if best is None or (
                    copies and copies[0].id.is_same_save(best.id) and self._is_by_todays_rule(copies[0])
                ):
                    self._copied = best
                    self._delete_older()
                    return ""
                sources = [*_files_of(find, best), *_copies_of(best, copies)]
            except Exception as error:
                return self._warn(best, first_line(error))
            return self._keep_from(sources, best)

    def _keep_from(self, sources: Sequence[Source], outcome: Outcome) -> str:
        cause = "its files are not there any more"
        for source in sources:
            try:
                self._copy(source, outcome)
            except SourceLostError as error:
                cause = str(error)
            except Exception as error:
                return self._warn(outcome, first_line(error))
            else:
                self._copied = outcome
                self._delete_older()
                return ""
        return self._warn(outcome, cause)

    def _copy(self, source: Source, outcome: Outcome) -> None:
        if source.lies_in(self._directory):
            raise OSError(errno.EINVAL, "that is the checkpoint directory itself")
        place = self._new_place(outcome.checkpoint, source.names())
        try:
            files = source.write_to(place)
            self._publish(place, self._manifest(source, outcome, files))
        except BaseException:
            _delete(place)
            raise
        _log.info("Copied the best checkpoint %s to %s.", outcome.checkpoint, place)

    def _new_place(self, name: str, files: Sequence[str]) -> Path:
        """Make a directory with the marker; under another name where that of the checkpoint is taken."""
        for place in _places(self._directory, name):
            if self._is_free(place):
                place.mkdir(parents=True, exist_ok=True)
                create(place / MARKER, json.dumps(list(files)).encode())
                return place
        raise AssertionError("there is always another name")

    def _is_free(self, place: Path) -> bool:
        if _is_unfinished(place):
            _delete(place)
        return not place.exists() or (place.is_dir() and not any(place.iterdir()))

    def _manifest(self, source: Source, outcome: Outcome, files: Sequence[Copied]) -> Json:
        return {
            **render_outcome(outcome, self._primary),
            **_rule(self._primary),
            "copiedAt": self._now(),
            "origin": source.origin,
            "format": source.format,
            "path": source.path,
            "load": source.loading,
            "files": [asdict(file) for file in files],
        }

    def _now(self) -> str:
        """Return the time, made later than every other copy's, whatever the clock of its machine said."""
        newest = max((parse_time(copy.copied_at) for copy in self._copies()), default=0.0)
        return render_time(max(self._clock(), newest + _CLOCK_TICK))

    def _publish(self, place: Path, manifest: Json) -> None:
        create(place / MANIFEST, json.dumps(manifest, allow_nan=False, indent=2).encode() + b"\n")
        if _copy_in(place) is None:
            raise OSError(errno.EIO, "the manifest reads back differently", str(place))

    def _copies(self) -> list[Copy]:
        """Return the whole copies, the newest first."""
        copies = []
        for place in _directories_in(self._directory):
            with suppress(OSError):
                copies.append(_copy_in(place))
        return sorted((copy for copy in copies if copy), key=lambda copy: copy.copied_at, reverse=True)

    def _delete_older(self) -> None:
        try:
            results = [_delete(copy.place) for copy in self._copies()[self._keep :]]
        except OSError:
            results = [False]
        are_deleted = all(results)
        if not are_deleted and not self._cannot_delete:
            _log.warning("Older copies in %s cannot be deleted; they stay, the newest is of the best.", self._directory)
        self._cannot_delete = not are_deleted

    def _delete_unfinished(self) -> None:
        for place in _directories_in(self._directory):
            if _is_unfinished(place):
                _delete(place)

    def _is_by_todays_rule(self, copy: Copy) -> bool:
        return _rule(self._primary).items() <= copy.manifest.items()

    def _warn(self, outcome: Outcome | None, cause: str) -> str:
        name = f"The best checkpoint {outcome.checkpoint}" if outcome else "The best checkpoint"
        message = f"{name} could not be copied to {self._directory}: {cause}."
        _log.warning("%s Earlier copies stay; it is tried again at the next start or end.", message)
        return message


def _files_of(find: Callable[[str], Checkpoint | None], best: Outcome) -> list[Source]:
    """Look for the checkpoint that was evaluated, twice: a file is known to be complete at the second look."""
    for _ in range(2):
        checkpoint = find(best.checkpoint)
        if checkpoint and checkpoint.is_complete and checkpoint.id.is_same_save(best.id):
            return [FilesOf(checkpoint)]
    return []


def _copies_of(best: Outcome, copies: Sequence[Copy]) -> list[Source]:
    return [FromCopy(copy.place, copy.files, copy.manifest) for copy in copies if copy.id.is_same_save(best.id)]


def _rule(primary: Primary | None) -> Json:
    return {"primary": primary.name, "goal": primary.goal.value} if primary else {}


def _places(directory: Path, name: str) -> Iterator[Path]:
    name = name if is_inside(name) else "checkpoint"
    yield directory / name
    yield from (directory / f"{name}~{number}" for number in count(2))


def _directories_in(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


def _copy_in(place: Path) -> Copy | None:
    """Return the copy in a directory, None where it is not whole or not made here.

    Raises OSError: that cannot be told.
    """
    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
        copy = Copy(place, manifest)
        whole = all(is_inside(file.name) and (place / file.name).stat().st_size == file.size for file in copy.files)
        parse_time(copy.copied_at)
        has_keys = isinstance(copy.id.name, str) and {"format", "origin", "path"} <= manifest.keys()
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return copy if whole and has_keys and (place / MARKER).exists() else None


def _is_unfinished(place: Path) -> bool:
    try:
        return (place / MARKER).exists() and _copy_in(place) is None
    except OSError:
        return False


def _delete(place: Path) -> bool:
    """Delete a copy or a part of one, its manifest first and its marker last; return whether it is gone."""
    try:
        names = _marked(place)
        for name in (MANIFEST, *names):
            (place / name).unlink(missing_ok=True)
        for parent in sorted({parent for name in names for parent in Path(name).parents}, reverse=True)[:-1]:
            with suppress(FileNotFoundError):
                (place / parent).rmdir()
        (place / MARKER).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            place.rmdir()
    except OSError as error:
        _log.debug("%s could not be deleted: %s", place, error)
        return False
    return True


def _marked(place: Path) -> list[str]:
    try:
        names = json.loads((place / MARKER).read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    return [name for name in names if isinstance(name, str) and is_inside(name)] if isinstance(names, list) else []
