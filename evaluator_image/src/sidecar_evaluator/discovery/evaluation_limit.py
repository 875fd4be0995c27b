"""The checkpoint that ends the evaluation: `max_evaluations`, and what of a name is compared with it.

The iterator asks whether a number reaches it, and shows what each look saw, so that a name with which it cannot be
compared, or not as a reader would expect, is told at once. No file is looked at.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.checkpoints.name_numbers import says_what_is_counted

_log = logging.getLogger(__name__)


@dataclass
class EvaluationLimit:
    """The highest number to evaluate, None for no limit; each kind of name is explained once."""

    maximum: int | None
    _explained: set[bool] = field(default_factory=set)

    def is_reached_by(self, number: int | None) -> bool:
        """Tell whether the checkpoint of this number is the last."""
        return self.maximum is not None and number is not None and number >= self.maximum

    def explain(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Log how names are compared with the limit, where that is not plain."""
        if self.maximum is None or len(self._explained) > 1:
            return
        for checkpoint in checkpoints:
            is_comparable = checkpoint.id.is_numbered
            is_plain = is_comparable and not checkpoint.id.has_several_numbers
            if not is_plain and is_comparable not in self._explained:
                self._explained.add(is_comparable)
                _log.warning("max_evaluations=%d: %s.", self.maximum, _explanation(checkpoint))


def _explanation(checkpoint: Checkpoint) -> str:
    name = checkpoint.name
    if checkpoint.number is None:
        return f"the name of checkpoint {name} has no number, so that it does not end the evaluation"
    if says_what_is_counted(name):
        return f"of the numbers in the name of checkpoint {name}, {checkpoint.number} is compared with it"
    return (
        f"of the numbers in the name of checkpoint {name}, the last one, {checkpoint.number}, is compared with it; "
        "write epoch, step or iter before the one that is meant, such as epoch-7"
    )
