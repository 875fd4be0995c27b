"""Which checkpoint it is, and where it stands in its training: one answer for all that remembers one.

Listings, the settled checkpoints, the results, the journal and the copies compare by `CheckpointId`;
nothing else may decide whether two of them speak of the same checkpoint. Values only: no file is
looked at here.
"""

from dataclasses import dataclass

from sidecar_evaluator.checkpoints.name_numbers import numbers_in

ROUNDING_US = 2_000_000
"""Two times of one save may differ by so much: some file systems keep whole seconds, or every other one."""


@dataclass(frozen=True, eq=False, slots=True)
class CheckpointId:
    """A checkpoint's name, the number it is called by, and when it was written in microseconds since the epoch.

    `numbers` are all whole numbers of the name, which together tell the order: epoch and batch, for example. Names
    with one number, with two and so on, and with none have no order between them.

    A name that is written again is another checkpoint. One without a number is written again and again, so
    that its time is part of equality. For a name with a number equality tells the place in the directory, and
    `is_written_after` whether training has gone back and used it again.
    """

    name: str
    number: int | None
    written_us: int
    numbers: tuple[int, ...]

    @property
    def _identity(self) -> tuple[str, int | None]:
        return self.name, None if self.is_numbered else self.written_us

    @property
    def is_numbered(self) -> bool:
        """Whether the name holds a number."""
        return bool(self.numbers)

    @property
    def has_several_numbers(self) -> bool:
        """Whether its numbers tell the order only together, so that the time of writing must agree with them."""
        return len(self.numbers) > 1

    @property
    def place(self) -> tuple[int, tuple[int, ...]]:
        """Sort key by the numbers alone; names with fewer of them come first."""
        return len(self.numbers), self.numbers

    @property
    def order(self) -> tuple[int, tuple[int, ...], int, str]:
        """Sort key: by the numbers, those without one before all others and by time of writing."""
        return *self.place, self.written_us, self.name

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

    def has_order_with(self, other: "CheckpointId") -> bool:
        """Tell whether the two names hold equally many numbers."""
        return len(self.numbers) == len(other.numbers)

    def is_superseded_by(self, other: "CheckpointId") -> bool:
        """Tell whether training, which has gone back to the other and written that again, has left this one behind."""
        if not self.is_numbered or not self.has_order_with(other):
            return False
        return other.numbers <= self.numbers and other.is_written_after(self)

    def is_passed_by(self, other: "CheckpointId") -> bool:
        """Tell whether the other one is at least as new; False where they have no order between them.

        False too where several numbers say so and the times of writing the opposite: which of them is right is
        not known, and the newer one must not be passed over.
        """
        is_contradicted = self.has_several_numbers and self.is_written_after(other)
        return self.has_order_with(other) and self.order <= other.order and not is_contradicted


def checkpoint_id(name: str, number: int | None, written_at: float) -> CheckpointId:
    """Return the identity of a checkpoint that was written at a time in seconds since the epoch.

    Times are compared in microseconds: so many digits a result keeps.
    """
    numbers = () if number is None else numbers_in(name) or (number,)
    return CheckpointId(name, number, microseconds(written_at), numbers)


def microseconds(seconds: float) -> int:
    """Return a time in seconds as microseconds, rounded as `datetime` does it."""
    whole = int(seconds)
    return whole * 1_000_000 + round((seconds - whole) * 1e6)
