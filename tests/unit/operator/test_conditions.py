import pytest

from sidecar_operator.conditions import MESSAGE_LIMIT, Condition, Reason, Type, of_operator, render
from sidecar_operator.kube_objects import StoredCondition
from unit.operator.support.samples import EARLIER, NOW

RUNNING = Condition(Type.READY, Reason.EVALUATOR_RUNNING, "it runs", status=True)
CRASHED = Condition(Type.READY, Reason.EVALUATOR_CRASHED, "it crashed", status=False)


@pytest.mark.parametrize(("status", "text"), [(True, "True"), (False, "False"), (None, "Unknown")])
def test_status_as_the_api_spells_it(status: bool | None, text: str) -> None:
    assert Condition(Type.SUCCEEDED, Reason.NOT_FINISHED, "", status=status).text == text


def test_the_time_changes_only_with_the_status() -> None:
    (first,) = render([RUNNING], [], 1, EARLIER)
    reworded = Condition(Type.READY, Reason.EVALUATED, "more", status=True)
    (same,) = render([reworded], [StoredCondition(first)], 2, NOW)
    (changed,) = render([CRASHED], [StoredCondition(same)], 2, NOW)
    assert [stored["lastTransitionTime"] for stored in (first, same, changed)] == [EARLIER, EARLIER, NOW]
    assert same["observedGeneration"] == 2
    assert same["reason"] == "Evaluated"


def test_a_long_message_is_cut() -> None:
    long = Condition(Type.READY, Reason.EVALUATOR_CRASHED, "x" * 10_000, status=False)
    assert len(render([long], [], 1, NOW)[0]["message"]) == MESSAGE_LIMIT


def test_conditions_of_the_operator_are_kept_in_order_and_foreign_ones_left_out() -> None:
    kept = of_operator([{"type": "Stalled"}, {"type": "GatePassed"}, {"type": "Ready"}])
    assert kept == [{"type": "Ready"}, {"type": "Stalled"}]


def test_reasons_are_valid_and_unique() -> None:
    assert all(reason.value.isalnum() and reason.value[0].isupper() for reason in Reason)
    assert len({reason.value for reason in Reason}) == len(Reason)
