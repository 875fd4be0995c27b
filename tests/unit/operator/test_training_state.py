from typing import Any

import pytest

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import JsonObject, KubeObject, parse_time
from sidecar_operator.resource_view import RecordedTraining
from sidecar_operator.training_state import Absence, Training, Unreadable, condition, follow
from sidecar_operator.training_status import State
from unit.operator.support.samples import EARLIER, NOW, training
from unit.operator.support.samples import TRAINING_REF as REF

NOTHING = RecordedTraining({})


def being_deleted(uid: str = "uid-train", **conditions: str) -> KubeObject:
    """Return a training that exists until its pods are gone."""
    running = training(**conditions)
    return KubeObject({**running, "metadata": {**running["metadata"], "uid": uid, "deletionTimestamp": NOW}})


@pytest.mark.parametrize(
    ("conditions", "state", "reason", "status"),
    [
        ({}, State.WAITING, Reason.TRAINING_WAITING, False),
        ({"Running": "True"}, State.RUNNING, Reason.TRAINING_RUNNING, False),
        ({"Suspended": "True"}, State.SUSPENDED, Reason.TRAINING_SUSPENDED, False),
        ({"Succeeded": "True"}, State.SUCCEEDED, Reason.TRAINING_SUCCEEDED, True),
        ({"Failed": "True"}, State.FAILED, Reason.TRAINING_FAILED, True),
        ({"Ready": "True"}, State.UNKNOWN, Reason.TRAINING_STATE_UNKNOWN, None),
    ],
)
def test_what_the_status_says_is_reported(
    conditions: dict[str, str], state: State, reason: Reason, status: bool | None
) -> None:
    followed = follow(REF, KubeObject(training(**conditions)), NOTHING, NOW)
    decided = condition(followed)
    assert (followed.state, decided.reason, decided.status) == (state, reason, status)
    assert followed.finished_at == (EARLIER if followed.has_ended else None)
    assert "TFJob train" in followed.message


def test_a_status_that_says_nothing_has_the_fields_to_use_instead() -> None:
    message = follow(REF, KubeObject(training(Ready="True")), NOTHING, NOW).message
    assert "use spec.completion" in message
    assert "spec.startWhen: Immediately" in message


@pytest.mark.parametrize("time", [None, "", "yesterday", "2026-01-01T00:00:00", 5])
def test_an_end_without_a_usable_time_was_seen_now(time: Any) -> None:
    ended = training(Succeeded="True")
    ended["status"]["conditions"][0]["lastTransitionTime"] = time
    assert follow(REF, KubeObject(ended), NOTHING, NOW).finished_at == NOW


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
    followed = follow(REF, absence, RecordedTraining({"state": before} if before else {}), NOW)
    decided = condition(followed)
    assert (followed.state, decided.reason, decided.status) == (state, reason, status)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.GONE])
@pytest.mark.parametrize(
    "observed",
    [Absence.NOT_FOUND, Absence.FORBIDDEN, Unreadable("500"), being_deleted(uid="uid-second")],
)
def test_an_end_stays(state: State, observed: KubeObject | Absence | Unreadable) -> None:
    before = {"state": state.value, "uid": "uid-train", "finishedAt": EARLIER, "message": "it ended"}
    assert follow(REF, observed, RecordedTraining(before), NOW).to_json() == before


@pytest.mark.parametrize("uid", ["uid-train", ""])
@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED])
def test_an_end_stays_while_the_same_object_exists(state: State, uid: str) -> None:
    before = {"state": state.value, "finishedAt": EARLIER, "message": "it ended"} | ({"uid": uid} if uid else {})
    observed = KubeObject(training(Running="True"))
    assert follow(REF, observed, RecordedTraining(before), NOW).to_json() == before


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.GONE])
def test_an_end_holds_for_no_other_object_of_the_name(state: State) -> None:
    before = {"state": state.value, "uid": "uid-first", "followedSince": EARLIER, "finishedAt": EARLIER}
    followed = follow(REF, KubeObject(training(Running="True")), RecordedTraining(before), NOW)
    assert (followed.state, followed.uid, followed.followed_since) == (State.RUNNING, "uid-train", NOW)
    assert followed.finished_at is None


def test_gone_is_the_object_that_was_seen() -> None:
    before = {"state": "Running", "uid": "uid-train", "followedSince": EARLIER}
    followed = follow(REF, Absence.NOT_FOUND, RecordedTraining(before), NOW)
    assert (followed.state, followed.uid, followed.finished_at) == (State.GONE, "uid-train", NOW)


@pytest.mark.parametrize(
    ("before", "state"), [(None, State.PENDING), ({"state": "Running", "uid": "uid-first"}, State.RUNNING)]
)
def test_no_object_that_is_being_deleted_begins_to_be_followed(before: JsonObject | None, state: State) -> None:
    followed = follow(REF, being_deleted(Succeeded="True"), RecordedTraining(before or {}), NOW)
    assert (followed.state, condition(followed).reason) == (state, Reason.TRAINING_BEING_DELETED)


@pytest.mark.parametrize(
    ("conditions", "state"), [({"Running": "True"}, State.RUNNING), ({"Succeeded": "True"}, State.SUCCEEDED)]
)
def test_the_object_that_is_followed_is_followed_on_while_it_is_deleted(
    conditions: dict[str, str], state: State
) -> None:
    recorded = RecordedTraining({"state": "Running", "uid": "uid-train"})
    assert follow(REF, being_deleted(**conditions), recorded, NOW).state is state


@pytest.mark.parametrize("absence", [Absence.KIND_UNKNOWN, Absence.FORBIDDEN, Unreadable("webhook is down")])
def test_what_cannot_be_read_keeps_its_last_state_and_says_so(absence: Absence | Unreadable) -> None:
    before = {"state": "Suspended", "uid": "uid-train", "followedSince": EARLIER}
    followed = follow(REF, absence, RecordedTraining(before), NOW)
    assert followed.to_json() == before | {"message": followed.message}
    assert condition(followed).status is None
    assert "its last state, Suspended, is kept" in followed.message


@pytest.mark.parametrize(
    ("state", "evaluator_end", "is_after"),
    [
        (State.RUNNING, "2026-01-01T23:59:59Z", True),
        (State.RUNNING, "2026-01-02T00:00:09Z", True),
        (State.RUNNING, "2026-01-02T00:00:11Z", False),
        (State.SUCCEEDED, "2026-01-01T23:59:59Z", True),
        (State.SUCCEEDED, "2026-01-02T00:00:01Z", False),
        (State.RUNNING, "", False),
    ],
)
def test_an_evaluator_that_ended_before_the_object_was_seen_meant_another(
    state: State, evaluator_end: str, is_after: bool
) -> None:
    followed = Training(REF, state, "", followed_since="2026-01-02T00:00:00Z")
    assert followed.is_followed_after(parse_time(evaluator_end)) is is_after


@pytest.mark.parametrize("state", ["", "Dancing", None, 5, ["Gone"]])
def test_a_recorded_state_that_is_not_one_is_none(state: Any) -> None:
    recorded = RecordedTraining({"state": state})
    assert follow(REF, Absence.NOT_FOUND, recorded, NOW).state is State.PENDING


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.25Z", "2026-01-01T00:00:00.250000Z"),
        ("20260101T000000Z", "2026-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+01:00", NOW),
    ],
)
def test_the_end_is_recorded_in_the_form_that_status_holds(stored: str, written: str) -> None:
    ended = training(Failed="True")
    ended["status"]["conditions"][0]["lastTransitionTime"] = stored
    assert follow(REF, KubeObject(ended), NOTHING, NOW).finished_at == written


@pytest.mark.parametrize(
    ("absence", "place", "action"),
    [
        (Absence.NOT_FOUND, "namespace team", "create it"),
        (Absence.KIND_UNKNOWN, "TFJob in kubeflow.org/v1", "install"),
        (Absence.FORBIDDEN, "TFJob of kubeflow.org/v1", "grant"),
    ],
)
def test_a_message_says_where_and_what_to_do(absence: Absence, place: str, action: str) -> None:
    message = follow(REF, absence, NOTHING, NOW).message
    assert place in message
    assert action in message


@pytest.mark.parametrize(
    ("state", "finished_at", "had_ended"),
    [
        (State.SUCCEEDED, "2026-01-02T03:04:04Z", True),
        (State.FAILED, "2026-01-02T03:04:05Z", True),  # in the same second, which is all that is known of both
        (State.SUCCEEDED, "2026-01-02T03:04:06Z", False),
        (State.GONE, "2026-01-02T03:04:04Z", False),
        (State.RUNNING, None, False),
    ],
)
def test_what_ended_by_the_second_of_a_resource_had_ended_before_it(
    state: State, finished_at: str | None, had_ended: bool
) -> None:
    followed = Training(REF, state, "", finished_at=finished_at)
    assert followed.had_ended_before(parse_time("2026-01-02T03:04:05Z")) is had_ended
