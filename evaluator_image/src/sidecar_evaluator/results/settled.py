"""Which checkpoints are settled, whoever settled them: this process, an earlier one, or a newer checkpoint.

`resume` fills it from status and journal, the iterator adds what the loop settles and asks before it
hands anything out. The watermark in the status and the lines of the journal are its stored form; no
other module may decide whether a checkpoint is settled.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from sidecar_evaluator.checkpoints.identity import CheckpointId, checkpoint_id, microseconds
from sidecar_evaluator.checkpoints.interface import Checkpoint, FileState
from sidecar_evaluator.checkpoints.name_numbers import place_of
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind

_ROUNDING_SECONDS = 0.001
"""Status and journal round the time of an outcome, by less than this."""


@dataclass
class SettledCheckpoints:
    """The settled checkpoints of one folder.

    With `newer_passes_older`, an evaluated checkpoint settles every older one; the iterator sets it by its
    selection. `highest` is the highest number settled, None before the first. `started_again` is the first
    checkpoint of a training that has gone back and writes used names again. What failed before the time
    `retry_failed_before` is to be tried once more.
    """

    newer_passes_older: bool = False
    retry_failed_before: float | None = None
    highest: int | None = None
    started_again: CheckpointId | None = None
    _watermark: int | None = None
    _watermark_numbers: str | None = None  # of names with several numbers
    _written_until_us: int | None = None
    _written_us: dict[str, int] = field(default_factory=dict)  # of a numbered name's newest save, 0 where unknown
    _overwritten: set[tuple[str, int]] = field(default_factory=set)  # earlier saves of such names
    _unnumbered: set[CheckpointId] = field(default_factory=set)
    _versions: set[tuple[str, tuple[FileState, ...]]] = field(default_factory=set)  # without a number, of this process
    _written_until: dict[str, int] = field(default_factory=dict)  # by name, where a result lacks the file's time
    _newest_evaluated: dict[int, CheckpointId] = field(default_factory=dict)  # by how many numbers its name holds
    _restored_newest: CheckpointId | None = None
    _failed_at: dict[tuple[str, int], float] = field(default_factory=dict)  # by name and time of writing

    @property
    def has_any(self) -> bool:
        """Whether any checkpoint is settled."""
        return self.highest is not None or bool(self._written_us or self._unnumbered or self._versions)

    def add(self, checkpoint: Checkpoint, *, evaluated: bool = True) -> bool:
        """Note a checkpoint that this process has settled; of an unnumbered name, these very files.

        Return whether it had failed in an earlier process.
        """
        is_retry = self._failed_at.pop(self._failed_save(checkpoint.id), None) is not None
        is_written_again = self.is_written_again(checkpoint)
        if checkpoint.id.is_numbered:
            self._note_save(checkpoint.id)
        else:
            self._versions.add(checkpoint.version)
        self._note(checkpoint.id, evaluated=evaluated, is_written_again=is_written_again)
        return is_retry

    def remember(self, checkpoint: Checkpoint) -> None:
        """Note when a checkpoint that is passed over was written: its name may be used again."""
        if checkpoint.id.is_numbered:
            self._note_save(checkpoint.id)

    def restore(self, outcome: Outcome) -> bool:
        """Note what an earlier process settled; return False where it was noted before."""
        if self.holds(outcome):
            return False
        identity = outcome.id
        self._failed_at.pop((identity.name, identity.written_us), None)
        if outcome.kind is OutcomeKind.FAILED:
            self._failed_at[identity.name, identity.written_us] = outcome.evaluated_at
        if identity.is_numbered:
            self._note_save(identity)
        else:
            self._unnumbered.add(identity)
        if not outcome.modified_at:  # whatever was written before the evaluation began is settled
            identity = checkpoint_id(outcome.checkpoint, outcome.number, outcome.started_at)
            self._written_until[identity.name] = max(identity.written_us, self._written_until.get(identity.name, 0))
        is_evaluated = outcome.kind is OutcomeKind.EVALUATED
        self._note(identity, evaluated=is_evaluated, is_written_again=outcome.is_written_again)
        self._restored_newest = self._newest_evaluated.get(1)
        return True

    def restore_watermark(
        self, number: int | None, written_until: float | None = None, numbers: str | None = None
    ) -> None:
        """Note that every number up to this one, and written until then, is settled, although nothing names it.

        Without a time the number alone decides. `numbers` is the mark of names with several.
        """
        self._watermark_numbers = numbers or self._watermark_numbers
        self._watermark = highest(self._watermark, number)
        if written_until is not None:
            self._written_until_us = highest(self._written_until_us, microseconds(written_until))
        self.raise_highest(number)

    def raise_highest(self, number: int | None) -> None:
        """Note that a checkpoint of this number was settled."""
        self.highest = highest(self.highest, number)

    def holds(self, outcome: Outcome) -> bool:
        """Tell whether this very outcome was restored, whatever passes it over; a second try is another outcome."""
        if self.replaces_failed(outcome):
            return False
        identity = outcome.id
        if not identity.is_numbered:
            return identity in self._unnumbered
        save = (identity.name, identity.written_us)
        return self._written_us.get(identity.name) == identity.written_us or save in self._overwritten

    def replaces_failed(self, outcome: Outcome) -> bool:
        """Tell whether the checkpoint was restored as failed, and this is what became of it when it was tried again."""
        failed_at = self._failed_at.get((outcome.id.name, outcome.id.written_us))
        return failed_at is not None and outcome.evaluated_at > failed_at + _ROUNDING_SECONDS

    def covers(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the checkpoint is settled."""
        if self.newer_passes_older and self._is_passed(checkpoint):
            return True
        return self._is_noted(checkpoint) and not self.is_retried(checkpoint)

    def is_retried(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the checkpoint has failed in an earlier process and is to be tried again."""
        failed_at = self._failed_at.get(self._failed_save(checkpoint.id))
        return failed_at is not None and self.retry_failed_before is not None and failed_at < self.retry_failed_before

    def _failed_save(self, identity: CheckpointId) -> tuple[str, int]:
        """Return name and time by which a failure of this checkpoint is noted; some results hold no time."""
        timeless = (identity.name, 0)
        return timeless if timeless in self._failed_at else (identity.name, identity.written_us)

    def covers_after(self, checkpoint: Checkpoint, evaluated: Collection[CheckpointId]) -> bool:
        """Tell whether a checkpoint that is not settled yet will be, once these are evaluated."""
        is_passed = self.newer_passes_older and any(checkpoint.id.is_passed_by(identity) for identity in evaluated)
        return is_passed or checkpoint.id in evaluated

    def is_written_again(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a name with a number was settled before these files were written: training has gone back.

        Where an earlier process has settled numbers without their names, its newest one's time decides.
        """
        identity = checkpoint.id
        if not identity.is_numbered:
            return False
        if (written_us := self._written_us.get(identity.name)) is not None:
            return written_us > 0 and identity.is_written_after(replace(identity, written_us=written_us))
        if self._is_below_watermark(identity):
            return self._written_until_us is not None and identity.written_us > self._written_until_us
        newest = self._restored_newest
        return bool(
            self.newer_passes_older
            and newest
            and newest.written_us
            and identity.has_order_with(newest)
            and identity.numbers <= newest.numbers
            and identity.is_written_after(newest)
        )

    def _is_passed(self, checkpoint: Checkpoint) -> bool:
        """Tell whether something newer was evaluated, or training has gone back behind this checkpoint."""
        identity = checkpoint.id
        if self.started_again and identity.is_superseded_by(self.started_again):
            return True
        newest = self._newest_evaluated.get(len(identity.numbers))
        if newest is None or not identity.is_passed_by(newest):
            return False
        return not (identity.is_written_after(newest) and self.is_written_again(checkpoint))

    def _is_noted(self, checkpoint: Checkpoint) -> bool:
        identity = checkpoint.id
        if identity.is_numbered:
            is_noted = identity.name in self._written_us or self._is_below_watermark(identity)
            return is_noted and not self.is_written_again(checkpoint)
        if identity in self._unnumbered:
            return True
        until = self._written_until.get(identity.name)
        return checkpoint.version in self._versions or (until is not None and identity.written_us <= until)

    def _is_below_watermark(self, identity: CheckpointId) -> bool:
        if not identity.has_several_numbers:
            return self._watermark is not None and identity.is_numbered and identity.numbers[0] <= self._watermark
        is_before = self._written_until_us is not None and identity.written_us <= self._written_until_us
        return is_before and self._watermark_numbers is not None and identity.place <= place_of(self._watermark_numbers)

    def _note_save(self, identity: CheckpointId) -> None:
        newest_us = self._written_us.get(identity.name)
        if newest_us is None or newest_us < identity.written_us:
            self._written_us[identity.name] = identity.written_us
        if newest_us is not None and newest_us != identity.written_us:
            self._overwritten.add((identity.name, min(newest_us, identity.written_us)))

    def _note(self, identity: CheckpointId, *, evaluated: bool, is_written_again: bool) -> None:
        self.raise_highest(identity.number)
        if is_written_again:
            self.highest = identity.number
            self.started_again = first_of(self.started_again, identity)
        if evaluated:
            newest = self._newest_evaluated.get(len(identity.numbers))
            if newest is None or is_written_again or newest.is_passed_by(identity):
                self._newest_evaluated[len(identity.numbers)] = identity


def first_of(started_again: CheckpointId | None, identity: CheckpointId) -> CheckpointId:
    """Return where training started again: here, unless this one follows in the course that began there."""
    if started_again is None or not identity.has_order_with(started_again):
        return identity
    return identity if identity.numbers <= started_again.numbers else started_again


def highest(one: int | None, other: int | None) -> int | None:
    """Return the higher of two numbers, of which either may be missing."""
    return max((number for number in (one, other) if number is not None), default=None)
