"""When the results speak of more than one code, image or training, and what is said about it."""

from typing import Any

import pytest

from sidecar_operator import consistency
from sidecar_operator.conditions import Condition, Reason
from sidecar_operator.kube_objects import JsonObject
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.training_state import Training
from sidecar_operator.training_status import State
from unit.operator.support.samples import TRAINING_REF, evaluation

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
OLD_IMAGE, NEW_IMAGE = f"docker.io/img@{OLD}", f"docker.io/img@{NEW}"
SPEC: JsonObject = {"evaluator": {"entrypoint": "evaluate:build", "code": {"configMap": {"name": "mnist-eval"}}}}
CREATED = "2026-01-02T00:00:00Z"


def judged(created_at: str = "", status: JsonObject | None = None, **results: Any) -> Condition | None:
    resource = SidecarEvaluation(evaluation(SPEC, {"results": results, **(status or {})}))
    training = Training(TRAINING_REF, State.RUNNING, "", created_at=created_at) if created_at else None
    return consistency.condition(resource, training)


def result(**fields: str) -> JsonObject:
    return {"checkpoint": "ckpt-7", "outcome": "evaluated", **fields}


@pytest.mark.parametrize(
    "results",
    [
        {},
        {"latest": result(), "best": result(), "history": [result()]},
        {"latest": result(codeDigest=NEW), "best": result(), "evaluator": {"codeDigest": NEW}},
        {"latest": result(codeDigest=NEW), "history": [result(codeDigest=NEW)], "evaluator": {"codeDigest": NEW}},
    ],
)
def test_of_one_code_there_is_nothing_to_say(results: JsonObject) -> None:
    assert judged(**results) is None


@pytest.mark.parametrize(
    "results",
    [
        {"latest": result(codeDigest=OLD), "evaluator": {"codeDigest": NEW}},
        {"latest": result(codeDigest=NEW), "best": result(codeDigest=OLD), "evaluator": {"codeDigest": NEW}},
        {"history": [result(codeDigest=OLD)], "evaluator": {"codeDigest": NEW}},
    ],
)
def test_scores_of_two_codes_are_said_to_be_in_one_ranking(results: JsonObject) -> None:
    condition = judged(**results)
    assert condition is not None
    assert (condition.reason, condition.status) == (Reason.CODE_CHANGED, False)
    assert (
        "ConfigMap mnist-eval has changed: scores of sha256:aaaaaaaaaaaa and sha256:bbbbbbbbbbbb" in condition.message
    )
    assert "spec.evaluator.code.onChange: Restart" in condition.message


def test_scores_of_two_images_are_said_to_be_in_one_ranking() -> None:
    status = {"evaluator": {"pod": "pod-2", "imageID": NEW_IMAGE}}
    condition = judged(status=status, latest=result(imageID=OLD_IMAGE))
    assert condition is not None
    assert (condition.reason, condition.status) == (Reason.IMAGE_CHANGED, False)
    assert judged(status=status, latest=result(imageID=f"mirror.local/img@{NEW}")) is None


@pytest.mark.parametrize("field", ["latest", "best"])
def test_a_result_of_files_older_than_the_training_is_named(field: str) -> None:
    condition = judged(CREATED, **{field: result(modifiedAt="2026-01-01T20:00:00.5Z")})
    assert condition is not None
    assert (condition.reason, condition.status) == (Reason.CHECKPOINTS_OLDER_THAN_TRAINING, False)
    assert f"the {field} result is of ckpt-7, written at 2026-01-01T20:00:00.500000Z" in condition.message
    assert "before TFJob train was created at 2026-01-02T00:00:00Z" in condition.message


@pytest.mark.parametrize(
    ("created_at", "modified_at"),
    [(CREATED, "2026-01-02T00:00:01Z"), (CREATED, "2026-01-01T23:59:30Z"), (CREATED, ""), ("", "2020-01-01T00:00:00Z")],
)
def test_a_result_that_may_be_of_the_training_is_left_alone(created_at: str, modified_at: str) -> None:
    assert judged(created_at, latest=result(modifiedAt=modified_at)) is None


def test_all_that_is_mixed_is_said_together() -> None:
    results = {"latest": result(codeDigest=OLD, modifiedAt="2026-01-01T20:00:00Z"), "evaluator": {"codeDigest": NEW}}
    condition = judged(CREATED, **results)
    assert condition is not None
    assert condition.reason is Reason.CHECKPOINTS_OLDER_THAN_TRAINING
    assert "ConfigMap mnist-eval has changed" in condition.message


def test_results_that_began_anew_say_so() -> None:
    condition = judged(beganAnew={"reason": "CodeChanged", "message": "laid aside"}, latest=result(codeDigest=NEW))
    assert condition is not None
    assert (condition.reason, condition.status, condition.message) == (Reason.BEGAN_ANEW, True, "laid aside")
