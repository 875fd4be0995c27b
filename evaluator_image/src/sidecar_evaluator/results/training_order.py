"""Which of two results is of a later state of the training, and where their order is in doubt.

`ledger` asks for the latest, the loop for what to tell a person. By the numbers of the names; where these
are several, first by the steps that both files hold. Pure.
"""

from sidecar_evaluator.results.outcome import Outcome, OutcomeKind


def precedes(outcome: Outcome, latest: Outcome) -> bool:
    """Tell whether an outcome is of an earlier state of the training, although it came later."""
    one, other = outcome.id, latest.id
    if not one.is_numbered or not other.is_numbered:
        return False
    if one.has_several_numbers and _has_own_step(outcome) and _has_own_step(latest):
        return (outcome.step or 0) < (latest.step or 0)
    return one.numbers < other.numbers if one.has_order_with(other) else other.is_written_after(one)


def contradiction(outcome: Outcome, latest: Outcome | None) -> str:
    """Say in what two evaluated checkpoints are in another order than by their names, "" where in nothing."""
    if latest is None or outcome.kind is not OutcomeKind.EVALUATED or outcome.is_written_again:
        return ""
    if not outcome.id.is_numbered or not outcome.id.has_order_with(latest.id) or outcome.id == latest.id:
        return ""
    first, second = sorted((outcome, latest), key=lambda result: result.id.order)
    if first.id.numbers == second.id.numbers:
        return ""
    names = f"{first.checkpoint} comes before {second.checkpoint} by the numbers of their names"
    if _has_own_step(first) and _has_own_step(second) and (first.step or 0) > (second.step or 0):
        return f"{names}, but holds step {first.step}, and the other step {second.step}"
    if (
        first.id.has_several_numbers
        and first.modified_at
        and second.modified_at
        and first.id.is_written_after(second.id)
    ):
        return f"{names}, but was written after it"
    return ""


def _has_own_step(outcome: Outcome) -> bool:
    """Tell whether the file holds the step; else it is the number of the name."""
    return outcome.step is not None and outcome.step != outcome.number
