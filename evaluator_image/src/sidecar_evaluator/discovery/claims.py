"""Which checkpoint an entry of the directory belongs to: what the formats claim, and the user's name patterns.

`directory` asks once for each entry that appears, `commands` makes the patterns from flags. Decided by
names alone: no file is looked at, and a checkpoint that is left out costs nothing afterwards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sidecar_evaluator.checkpoints.interface import CheckpointFormat


@dataclass(frozen=True)
class NamePatterns:
    """Which checkpoints count: those that match one of `include`, all where it is empty, and none of `exclude`.

    A pattern is a shell's: `*`, `?` and `[...]`. It is compared with the checkpoint's name, and with the name of its
    file where it is a single one.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def admit(self, *names: str) -> bool:
        """Tell whether a checkpoint with these names counts."""
        is_included = not self.include or _matches(self.include, names)
        return is_included and not _matches(self.exclude, names)


EVERY_NAME = NamePatterns()


@dataclass(frozen=True)
class Claim:
    """The checkpoint of an entry, and the place of its format among all; it is not `admitted` by the patterns."""

    format: CheckpointFormat
    name: str
    place: int
    is_admitted: bool


@dataclass(frozen=True)
class Claims:
    """The formats that are looked for, in the order in which they claim entries, and the patterns."""

    formats: Sequence[CheckpointFormat]
    patterns: NamePatterns = EVERY_NAME

    def claim(self, entry: str, *, is_directory: bool) -> Claim | None:
        """Return the checkpoint that an entry belongs to, None if to none."""
        for place, checkpoint_format in enumerate(self.formats):
            name = checkpoint_format.claim(entry, is_directory=is_directory)
            if name is not None:
                is_admitted = self.patterns.admit(name, checkpoint_format.file_name(name))
                return Claim(checkpoint_format, name, place, is_admitted)
        return None


def _matches(patterns: Iterable[str], names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
