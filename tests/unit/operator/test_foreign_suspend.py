from typing import Any

import pytest

from sidecar_operator import foreign_suspend, names
from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Job, JsonObject
from unit.operator.support.samples import condition, evaluation, job

COMPLETE: JsonObject = {"conditions": [condition("Complete")]}


def suspended_job(requested: str, *, is_suspended: bool, **status: Any) -> Job:
    """Return a Job for which the operator has asked one thing, and which is another."""
    raw = job(evaluation(), **status)
    annotations = {names.SUSPEND_ANNOTATION: requested} if requested else {}
    return Job({**raw, "metadata": {**raw["metadata"], "annotations": annotations}, "spec": {"suspend": is_suspended}})


@pytest.mark.parametrize(
    ("requested", "is_suspended", "reason"),
    [
        ("false", True, Reason.SUSPENDED_BY_OTHER),
        ("true", False, Reason.RESUMED_BY_OTHER),
        ("false", False, None),
        ("true", True, None),
        ("", True, None),
        ("", False, None),
    ],
)
def test_what_differs_from_what_was_asked_for_is_said(
    requested: str, is_suspended: bool, reason: Reason | None
) -> None:
    observed = suspended_job(requested, is_suspended=is_suspended)
    troubles = [
        trouble for trouble in (foreign_suspend.suspended(observed), foreign_suspend.resumed(observed)) if trouble
    ]
    assert [trouble.reason for trouble in troubles] == ([reason] if reason else [])


@pytest.mark.parametrize("is_suspended", [True, False])
def test_the_message_has_the_command_that_undoes_it(is_suspended: bool) -> None:
    observed = suspended_job(str(not is_suspended).lower(), is_suspended=is_suspended)
    trouble = foreign_suspend.suspended(observed) or foreign_suspend.resumed(observed)
    assert trouble is not None
    value = str(not is_suspended).lower()
    patch = f'{{"spec":{{"suspend":{value}}}}}'
    assert f"`kubectl patch job mnist-0a1b2c3d -n team --type=merge -p '{patch}'`" in trouble.message


@pytest.mark.parametrize(("requested", "is_suspended"), [("false", True), ("true", False)])
def test_a_job_that_has_ended_is_no_matter_of_suspension(requested: str, is_suspended: bool) -> None:
    ended = suspended_job(requested, is_suspended=is_suspended, **COMPLETE)
    assert foreign_suspend.suspended(ended) is foreign_suspend.resumed(ended) is None
    assert foreign_suspend.suspended(None) is foreign_suspend.resumed(None) is None
