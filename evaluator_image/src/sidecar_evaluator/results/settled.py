"""Which checkpoints are settled, whoever settled them: this process, an earlier one, or a newer checkpoint.

`resume` fills it from status and journal, the iterator adds what the loop settles and asks before it
hands anything out. The watermark in the status and the lines of the journal are its stored form; no
other module may decide whether a checkpoint is settled.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from sidecar_evaluator.checkpoints.identity import CheckpointId, checkpoint_id
from sidecar_evaluator.checkpoints.interface import Checkpoint, FileState
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind


@dataclass
class SettledCheckpoints:
    """The settled checkpoints of one training.

    With `newer_passes_older`, an evaluated checkpoint settles every older one; the iterator sets it by its
    selection. `highest` is the highest number settled, None before the first.
    """

    newer_passes_older: bool = False
    highest: int | None = None
    _watermark: int | None = None
    _identities: set[CheckpointId] = field(default_factory=set)
    _versions: set[tuple[str, tuple[FileState, ...]]] = field(default_factory=set)  # without a number, of this process
    _written_until: dict[str, int] = field(default_factory=dict)  # by name, where a result lacks the file's time
    _newest_evaluated: dict[bool, CheckpointId] = field(default_factory=dict)  # by whether it is numbered

    @property
    def has_any(self) -> bool:
        """Whether any checkpoint is settled."""
        return self.highest is not None or bool(self._identities or self._versions)

    def add(self, checkpoint: Checkpoint, *, evaluated: bool = True) -> None:
        """Note a checkpoint that this process has settled; of an unnumbered name, these very files."""
        if checkpoint.id.is_numbered:
            self._identities.add(checkpoint.id)
        else:
            self._versions.add(checkpoint.version)
        self._note(checkpoint.id, evaluated=evaluated)

    def restore(self, outcome: Outcome) -> bool:
        """Note what an earlier process settled; return False where it was noted before."""
        identity = outcome.id
        is_new = identity not in self._identities
        self._identities.add(identity)
        if not outcome.modified_at:  # whatever was written before the evaluation began is settled
            identity = checkpoint_id(outcome.checkpoint, outcome.number, outcome.started_at)
            self._written_until[identity.name] = max(identity.written_us, self._written_until.get(identity.name, 0))
        self._note(identity, evaluated=outcome.kind is OutcomeKind.EVALUATED)
        return is_new

    def restore_watermark(self, number: int | None) -> None:
        """Note that every number up to this one is settled, although nothing names the checkpoints."""
        self._watermark = highest(self._watermark, number)
        self.raise_highest(number)

    def raise_highest(self, number: int | None) -> None:
        """Note that a checkpoint of this number was settled."""
        self.highest = highest(self.highest, number)

    def holds(self, outcome: Outcome) -> bool:
        """Tell whether this very outcome was restored, whatever passes it over."""
        return outcome.id in self._identities

    def covers(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the checkpoint is settled."""
        if self.newer_passes_older:
            newest = self._newest_evaluated.get(checkpoint.id.is_numbered)
            if newest is not None and checkpoint.id.is_passed_by(newest):
                return True
        return self._is_noted(checkpoint)

    def covers_after(self, checkpoint: Checkpoint, evaluated: Collection[CheckpointId]) -> bool:
        """Tell whether a checkpoint that is not settled yet will be, once these are evaluated."""
        is_passed = self.newer_passes_older and any(checkpoint.id.is_passed_by(identity) for identity in evaluated)
        return is_passed or checkpoint.id in evaluated

    def _is_noted(self, checkpoint: Checkpoint) -> bool:
        identity = checkpoint.id
        if identity in self._identities:
            return True
        if identity.number is not None:
            return self._watermark is not None and identity.number <= self._watermark
        until = self._written_until.get(identity.name)
        return checkpoint.version in self._versions or (until is not None and identity.written_us <= until)

    def _note(self, identity: CheckpointId, *, evaluated: bool) -> None:
        self.raise_highest(identity.number)
        if evaluated:
            newest = self._newest_evaluated.get(identity.is_numbered)
            if newest is None or newest.is_passed_by(identity):
                self._newest_evaluated[identity.is_numbered] = identity


def highest(one: int | None, other: int | None) -> int | None:
    """Return the higher of two numbers, of which either may be missing."""
    return max((number for number in (one, other) if number is not None), default=None)
