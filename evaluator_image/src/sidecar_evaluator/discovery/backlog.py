"""The complete checkpoints that wait for their turn, remembered from look to look.

The iterator keeps one, so that a checkpoint which disappears before its turn is noticed, and so that
what a newer one passes over is counted. It looks at no file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sidecar_evaluator.checkpoints.identity import CheckpointId
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.checkpoints.name_numbers import place_of
from sidecar_evaluator.results.settled import SettledCheckpoints


@dataclass(frozen=True)
class Remaining:
    """What is left after a checkpoint was settled.

    `skipped` were passed over for it, `backlog` complete ones wait, `pending` are the numbers of all
    that are not settled yet, `pending_name` the first name with several, and `pending_since` is when the
    oldest of these was written. `is_retry` tells that the settled one had failed before.
    """

    skipped: int = 0
    backlog: int = 0
    pending: tuple[int, ...] = ()
    pending_name: str | None = None
    pending_since: float | None = None
    is_retry: bool = False


@dataclass
class Backlog:
    """The waiting checkpoints by identity; `discard` and `remaining_without_look` may be called from another thread."""

    _waiting: dict[CheckpointId, Checkpoint] = field(default_factory=dict)

    def update(self, unsettled: Sequence[Checkpoint], complete: Sequence[Checkpoint]) -> bool:
        """Take in what a look saw; return whether a complete checkpoint is new."""
        listed = {checkpoint.id: checkpoint for checkpoint in complete}
        has_new = bool(listed.keys() - self._waiting.keys())
        rewritten_names = {checkpoint.name for checkpoint in unsettled if not checkpoint.id.is_numbered}
        if rewritten_names:  # what was written again has not disappeared
            waiting = list(self._waiting.items())
            self._waiting = {key: checkpoint for key, checkpoint in waiting if checkpoint.name not in rewritten_names}
        self._waiting |= listed
        return has_new

    def disappeared(self, unsettled: Sequence[Checkpoint]) -> Checkpoint | None:
        """Return one that waits although the look did not see it any more."""
        if len(self._waiting) == sum(checkpoint.is_complete for checkpoint in unsettled):
            return None  # all that wait were seen
        listed = {checkpoint.id for checkpoint in unsettled}
        return next((checkpoint for key, checkpoint in list(self._waiting.items()) if key not in listed), None)

    def discard(self, checkpoint: Checkpoint) -> None:
        """Take out a checkpoint that is settled."""
        self._waiting.pop(checkpoint.id, None)

    def discard_settled(self, settled: SettledCheckpoints) -> int:
        """Take out those that a newer one has passed over; return how many there were."""
        if not settled.newer_passes_older:
            return 0
        passed_over = [key for key, checkpoint in list(self._waiting.items()) if settled.covers(checkpoint)]
        for key in passed_over:
            checkpoint = self._waiting.pop(key, None)
            if checkpoint:
                settled.remember(checkpoint)
        return len(passed_over)

    def remaining(self, skipped: int, unsettled: Sequence[Checkpoint]) -> Remaining:
        """Return what is left after a look that saw these unsettled ones, complete or not."""
        complete = sum(checkpoint.is_complete for checkpoint in unsettled)
        return _remaining(skipped, complete, [*unsettled, *list(self._waiting.values())])

    def remaining_without_look(self) -> Remaining:
        """Return what is left by the last look alone; another thread may ask."""
        waiting = list(self._waiting.values())
        return _remaining(0, len(waiting), waiting)


def _remaining(skipped: int, complete: int, pending: Iterable[Checkpoint]) -> Remaining:
    numbered = [checkpoint for checkpoint in pending if checkpoint.id.is_numbered]
    several = (checkpoint.name for checkpoint in numbered if checkpoint.id.has_several_numbers)
    single = {checkpoint.id.numbers[0] for checkpoint in numbered if not checkpoint.id.has_several_numbers}
    since = min((checkpoint.modified_at for checkpoint in numbered), default=None)
    return Remaining(skipped, complete, tuple(sorted(single)), min(several, key=place_of, default=None), since)
