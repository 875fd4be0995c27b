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

ROUNDING_US = 2_000_000
"""Two times of one save may differ by so much: some file systems keep whole seconds, or every other one."""


@dataclass(frozen=True, eq=False, slots=True)
class CheckpointId:
    """A checkpoint's name, the number in the name, and when it was written in microseconds since the epoch.

    A name that is written again is another checkpoint. One without a number is written again and again, so
    that its time is part of equality. For a name with a number equality tells the place in the directory, and
    `is_written_after` whether training has gone back and used it again.
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

    def is_written_after(self, other: "CheckpointId") -> bool:
        """Tell whether its files are newer than the other's by more than file systems round times."""
        return self.written_us > other.written_us + ROUNDING_US

    def is_superseded_by(self, other: "CheckpointId") -> bool:
        """Tell whether training, which has gone back to the other and written that again, has left this one behind."""
        if self.number is None or other.number is None:
            return False
        return other.number <= self.number and other.is_written_after(self)

    def is_passed_by(self, other: "CheckpointId") -> bool:
        """Tell whether the other one is at least as new; False where they have no order between them."""
        return self.is_numbered == other.is_numbered and self.order <= other.order


def checkpoint_id(name: str, number: int | None, written_at: float) -> CheckpointId:
    """Return the identity of a checkpoint that was written at a time in seconds since the epoch.

    Times are compared in microseconds: so many digits a result keeps.
    """
    return CheckpointId(name, number, microseconds(written_at))


def microseconds(seconds: float) -> int:
    """Return a time in seconds as microseconds, rounded as `datetime` does it."""
    whole = int(seconds)
    return whole * 1_000_000 + round((seconds - whole) * 1e6)


def number_in(name: str) -> int | None:
    """Return the last whole number that stands alone between the ends and `-`, `_` or `.` of a name.

    What comes before it names the run or the model (`resnet-50-0007`), a decimal is a score (`ckpt-07-0.25`).
    """
    numbers = _NUMBER.findall(_DECIMAL.sub("~", name))
    number = int(numbers[-1]) if numbers else None
    return number if number is not None and number <= _MAX_INT64 else None
