import pytest

from sidecar_operator.conditions import MESSAGE_LIMIT, Condition, Reason, Type, own, written
from unit.operator.support.samples import EARLIER, NOW

RUNNING = Condition(Type.READY, Reason.EVALUATOR_RUNNING, "it runs", status=True)
CRASHED = Condition(Type.READY, Reason.EVALUATOR_CRASHED, "it crashed", status=False)


@pytest.mark.parametrize(("status", "text"), [(True, "True"), (False, "False"), (None, "Unknown")])
def test_status_as_the_api_spells_it(status: bool | None, text: str) -> None:
    assert Condition(Type.SUCCEEDED, Reason.NOT_FINISHED, "", status=status).text == text


def test_the_time_changes_only_with_the_status() -> None:
    first = written([RUNNING], [], 1, EARLIER)
    same = written([Condition(Type.READY, Reason.EVALUATED, "more", status=True)], first, 2, NOW)
    other = written([CRASHED], same, 2, NOW)
    assert [found[0]["lastTransitionTime"] for found in (first, same, other)] == [EARLIER, EARLIER, NOW]
    assert same[0]["observedGeneration"] == 2
    assert same[0]["reason"] == "Evaluated"


def test_a_long_message_is_cut() -> None:
    long = Condition(Type.READY, Reason.EVALUATOR_CRASHED, "x" * 10_000, status=False)
    assert len(written([long], [], 1, NOW)[0]["message"]) == MESSAGE_LIMIT


def test_conditions_of_others_are_left_alone_and_own_ones_are_in_order() -> None:
    found = own([{"type": "Stalled"}, {"type": "GatePassed"}, {"type": "Ready"}])
    assert found == [{"type": "Ready"}, {"type": "Stalled"}]


def test_reasons_are_valid_and_unique() -> None:
    assert all(reason.value.isalnum() and reason.value[0].isupper() for reason in Reason)
    assert len({reason.value for reason in Reason}) == len(Reason)
