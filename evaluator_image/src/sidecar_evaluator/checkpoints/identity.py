"""Which checkpoint it is, and where it stands in its training: one answer for all that remembers one.

Listings, the settled checkpoints, the results, the journal and the copies compare by `CheckpointId`;
nothing else may decide whether two of them speak of the same checkpoint. Values only: no file is
looked at here.
"""

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"(?:^|(?<=[-_.]))\d+(?=$|[-_.])")
_DECIMAL = re.compile(r"(?<!\d)\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)(?!\.?\d)")
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True, eq=False, slots=True)
class CheckpointId:
    """A checkpoint's name, the number in the name, and when it was written in microseconds since the epoch.

    Training writes a name with a number once. A name without one is written again and again: each time
    it is another checkpoint.
    """

    name: str
    number: int | None
    written_us: int

    @property
    def _identity(self) -> tuple[str, int | None]:
        return self.name, None if self.is_numbered else self.written_us

    @property
    def is_numbered(self) -> bool:
        """Whether the name holds a number. Checkpoints with and without one have no order between them."""
        return self.number is not None

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """Sort key: by number, those without one before all others and by time of writing."""
        return self.is_numbered, self.number or 0, self.written_us, self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CheckpointId) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def is_same_save(self, other: "CheckpointId") -> bool:
        """Tell whether both were written at the same time too: a numbered name may have been used again."""
        return self == other and self.written_us == other.written_us

    def is_passed_by(self, other: "CheckpointId") -> bool:
        """Tell whether the other one is at least as new; False where they have no order between them."""
        return self.is_numbered == other.is_numbered and self.order <= other.order


def checkpoint_id(name: str, number: int | None, written_at: float) -> CheckpointId:
    """Return the identity of a checkpoint that was written at a time in seconds since the epoch.

    Times are compared in microseconds, rounded as `datetime` does it: so many digits a result keeps.
    """
    seconds = int(written_at)
    return CheckpointId(name, number, seconds * 1_000_000 + round((written_at - seconds) * 1e6))


def number_in(name: str) -> int | None:
    """Return the last whole number that stands alone between the ends and `-`, `_` or `.` of a name.

    What comes before it names the run or the model (`resnet-50-0007`), a decimal is a score (`ckpt-07-0.25`).
    """
    numbers = _NUMBER.findall(_DECIMAL.sub("~", name))
    number = int(numbers[-1]) if numbers else None
    return number if number is not None and number <= _MAX_INT64 else None
