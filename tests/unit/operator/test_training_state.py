from typing import Any

import pytest

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Object, TrainingRef
from sidecar_operator.training_state import Absence, State, condition, follow
from unit.operator.support.samples import EARLIER, NOW, training

REF = TrainingRef("kubeflow.org/v1", "TFJob", "team", "train")


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ({}, State.RUNNING),
        ({"Created": "True", "Running": "True"}, State.RUNNING),
        ({"Running": "False", "Succeeded": "True"}, State.SUCCEEDED),
        ({"Complete": "True"}, State.SUCCEEDED),
        ({"Completed": "True"}, State.SUCCEEDED),
        ({"Succeeded": "False"}, State.RUNNING),
        ({"Succeeded": "Unknown"}, State.RUNNING),
        ({"Failed": "True"}, State.FAILED),
        ({"Failed": "False", "Restarting": "True"}, State.RUNNING),
        ({"Suspended": "True"}, State.SUSPENDED),
        ({"Suspended": "False", "Running": "True"}, State.RUNNING),
        ({"Suspended": "True", "Complete": "True"}, State.SUCCEEDED),
    ],
)
def test_conditions_decide(conditions: dict[str, str], state: State) -> None:
    found = follow(REF, training(**conditions), None, NOW)
    assert found.state is state
    assert found.finished_at == (EARLIER if found.has_ended else None)


@pytest.mark.parametrize(
    "status",
    [{}, None, "Done", {"conditions": None}, {"conditions": {"Succeeded": "True"}}, {"conditions": ["Succeeded"]}],
)
def test_a_training_without_the_usual_conditions_runs(status: Any) -> None:
    assert follow(REF, training() | {"status": status}, None, NOW).state is State.RUNNING


@pytest.mark.parametrize("time", [None, "", "yesterday", "2026-01-01T00:00:00", 5])
def test_an_end_without_a_usable_time_was_seen_now(time: Any) -> None:
    ended = training(Succeeded="True")
    ended["status"]["conditions"][0]["lastTransitionTime"] = time
    assert follow(REF, ended, None, NOW).finished_at == NOW


@pytest.mark.parametrize(
    ("absence", "before", "state", "reason", "status"),
    [
        (Absence.NOT_FOUND, None, State.PENDING, Reason.TRAINING_NOT_FOUND, False),
        (Absence.NOT_FOUND, State.PENDING, State.PENDING, Reason.TRAINING_NOT_FOUND, False),
        (Absence.NOT_FOUND, State.RUNNING, State.GONE, Reason.TRAINING_GONE, True),
        (Absence.NOT_FOUND, State.SUSPENDED, State.GONE, Reason.TRAINING_GONE, True),
        (Absence.KIND_UNKNOWN, None, State.PENDING, Reason.TRAINING_KIND_UNKNOWN, None),
        (Absence.FORBIDDEN, None, State.PENDING, Reason.TRAINING_FORBIDDEN, None),
        (Absence.FORBIDDEN, State.RUNNING, State.RUNNING, Reason.TRAINING_FORBIDDEN, None),
    ],
)
def test_absence(absence: Absence, before: State | None, state: State, reason: Reason, status: bool | None) -> None:
    found = follow(REF, absence, {"state": before} if before else None, NOW)
    decided = condition(found)
    assert (found.state, decided.reason, decided.status) == (state, reason, status)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.GONE])
@pytest.mark.parametrize("found", [Absence.NOT_FOUND, Absence.FORBIDDEN, training(Running="True")])
def test_an_end_stays(state: State, found: Object | Absence) -> None:
    before = {"state": state.value, "finishedAt": EARLIER, "message": "it ended"}
    assert follow(REF, found, before, NOW).written() == before


def test_what_to_do_is_said() -> None:
    assert "install" in follow(REF, Absence.KIND_UNKNOWN, None, NOW).message
    assert "grant" in follow(REF, Absence.FORBIDDEN, None, NOW).message
