"""Which of the complete checkpoints is evaluated next: one function for each selection of the resource.

The iterator asks after every look. Another rule is another member of `Selection` and its function
here. Pure: what is due, whole or settled is asked of the functions that are given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar_evaluator.checkpoints.interface import Checkpoint


class Selection(StrEnum):
    """Which complete checkpoints are evaluated."""

    LATEST = "Latest"
    EVERY = "Every"

    @property
    def newer_passes_older(self) -> bool:
        """Whether an evaluated checkpoint settles all that are older."""
        return self is Selection.LATEST


@dataclass(frozen=True)
class Turn:
    """What decides besides the order.

    `is_whole` looks into a checkpoint, so that it is asked as rarely as possible; `is_due` is False while a
    failed read is put off; `limit` checkpoints may be evaluated together; `is_last` ends the training's part.
    """

    is_whole: Callable[[Checkpoint], bool]
    is_due: Callable[[Checkpoint], bool]
    is_last: Callable[[Checkpoint], bool]
    limit: int = 1


def select(selection: Selection, complete: Sequence[Checkpoint], turn: Turn) -> list[Checkpoint]:
    """Return the checkpoints to evaluate now, of those that are complete and not settled, in training's order."""
    return _RULES[selection](complete, turn)


def _newest(complete: Sequence[Checkpoint], turn: Turn) -> list[Checkpoint]:
    """Return the newest whole one; while it is put off, no older one takes its turn."""
    newest = next((checkpoint for checkpoint in reversed(complete) if turn.is_whole(checkpoint)), None)
    return [newest] if newest and turn.is_due(newest) else []


def _in_order(complete: Sequence[Checkpoint], turn: Turn) -> list[Checkpoint]:
    """Return the first ones; what is put off or not whole yet takes its turn later."""
    selected: list[Checkpoint] = []
    for checkpoint in complete:
        if turn.is_due(checkpoint) and turn.is_whole(checkpoint):
            selected.append(checkpoint)
            if len(selected) >= turn.limit or turn.is_last(checkpoint):
                break
    return selected


_RULES = {Selection.LATEST: _newest, Selection.EVERY: _in_order}
