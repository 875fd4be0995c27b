"""Which Job belongs to a run, and which changes ask for another one."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sidecar_operator import names
from sidecar_operator.kube_objects import Job, JsonObject, parse_time
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.runs import Run, annotations, current, is_made_for, requested
from unit.operator.support.samples import EARLIER, NOW, condition, evaluation, job

LATER = "2026-01-02T04:00:00Z"
RECORDED = Run(1, "", "aaaa", attempt=2, fruitless_attempts=1, failures=3, settled=5, starts_at=parse_time(NOW))


def resource(generation: int = 1, run: Run | None = RECORDED, **status: Any) -> SidecarEvaluation:
    recorded = {"observedGeneration": 1, **({"run": run.to_json()} if run else {}), **status}
    return SidecarEvaluation(evaluation(status=recorded, generation=generation))


def job_of(run: Run, **changed: str | None) -> Job:
    child = job(evaluation())
    its_annotations: JsonObject = {**annotations(run, "img:1"), **changed}
    kept = {name: value for name, value in its_annotations.items() if value is not None}
    return Job({**child, "metadata": {**child["metadata"], "annotations": kept}})


def test_a_run_reads_back_as_it_was_recorded() -> None:
    assert current(resource(), "", "aaaa") == RECORDED
    asked = Run(1, NOW, "aaaa", settled=1)
    assert current(resource(run=asked), NOW, "aaaa") == asked


@pytest.mark.parametrize(
    ("generation", "restarted_at", "pod_template", "is_kept"),
    [
        (1, "", "bbbb", True),  # another version of the operator
        (2, "", "aaaa", True),  # a change that the pod does not see
        (2, "", "bbbb", False),
        (1, NOW, "aaaa", False),
    ],
)
def test_a_run_goes_on_until_its_resource_asks_for_another(
    generation: int, restarted_at: str, pod_template: str, is_kept: bool
) -> None:
    results = {"counts": {"evaluated": 7, "failed": 2}}
    run = current(resource(generation, results=results), restarted_at, pod_template)
    assert run.attempt == (2 if is_kept else 0)
    assert run.settled == (5 if is_kept else 9)
    assert run.generation == generation
    assert run.pod_template == ("aaaa" if is_kept else pod_template)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (Run(1, "", "aaaa"), True),
        (Run(1, "", "bbbb"), True),
        (Run(2, "", "aaaa"), True),
        (Run(2, "", "bbbb"), False),
        (Run(1, "", "aaaa", attempt=1), False),
        (Run(1, NOW, "aaaa"), False),
    ],
)
def test_a_job_belongs_to_its_generation_request_and_attempt(run: Run, expected: bool) -> None:
    assert is_made_for(job_of(Run(1, "", "aaaa")), run, resource()) is expected


@pytest.mark.parametrize(
    ("run", "ended", "expected"),
    [
        (Run(3, "", "aaaa"), False, True),
        (Run(3, "", "aaaa"), True, False),
        (Run(3, "", "bbbb"), False, False),
        (Run(3, NOW, "aaaa"), False, False),
        (Run(3, "", "aaaa", attempt=1), False, False),
        (Run(1, "", "aaaa"), False, False),
    ],
)
def test_a_change_that_is_taken_back_keeps_a_job_that_goes_on(run: Run, *, ended: bool, expected: bool) -> None:
    second = job_of(Run(1, "", "aaaa", attempt=2))
    status = {"conditions": [condition("Failed")]} if ended else {}
    assert is_made_for(Job({**second.raw, "status": status}), run, resource(3)) is expected


@pytest.mark.parametrize(("name", "generation", "expected"), [("mnist-0a1b2c3d", 1, True), ("other", 1, False)])
def test_a_job_of_an_earlier_version_is_adopted(name: str, generation: int, expected: bool) -> None:
    unmarked = job_of(Run(1), **{names.GENERATION_ANNOTATION: None, names.ATTEMPT_ANNOTATION: None})
    stored = resource(generation, run=None, job=name)
    assert is_made_for(unmarked, current(stored, "", "aaaa"), stored) is expected
    changed = resource(2, run=None, job=name)
    assert not is_made_for(unmarked, current(changed, "", "aaaa"), changed)


def test_a_run_waits_for_its_time() -> None:
    now = parse_time(NOW)
    assert now is not None
    assert not Run(1).waits(now)
    assert Run(1, starts_at=now + timedelta(seconds=1)).waits(now)
    assert not Run(1, starts_at=now).waits(now)


@pytest.mark.parametrize(
    ("annotation", "answered", "restarted_at", "problem"),
    [
        ("", "", "", ""),
        ("", EARLIER, EARLIER, ""),  # the annotation was removed
        (NOW, "", NOW, ""),
        ("2026-01-02T05:04:05+02:00", "", NOW, ""),
        (NOW, EARLIER, NOW, ""),
        (EARLIER, NOW, NOW, ""),  # a tool that puts an earlier value back asks for nothing
        (LATER, "", "", "future"),
        ("yesterday", EARLIER, EARLIER, "'yesterday'"),
        ("2026-01-02T03:04:05", "", "", "offset"),
    ],
)
def test_a_request_to_run_again_is_a_time_that_has_come(
    annotation: str, answered: str, restarted_at: str, problem: str
) -> None:
    stored = evaluation(status={"run": {"restartedAt": answered}})
    stored["metadata"]["annotations"] = {names.RESTARTED_AT_ANNOTATION: annotation}
    request = requested(SidecarEvaluation(stored), datetime.fromisoformat(NOW))
    assert request.restarted_at == restarted_at
    assert problem in request.problem
    assert bool(problem) is bool(request.problem)


@pytest.mark.parametrize(("ahead", "is_accepted"), [(timedelta(minutes=4), True), (timedelta(minutes=6), False)])
def test_clocks_may_differ(ahead: timedelta, is_accepted: bool) -> None:
    now = datetime.fromisoformat(NOW)
    stored = evaluation()
    stored["metadata"]["annotations"] = {names.RESTARTED_AT_ANNOTATION: (now + ahead).isoformat()}
    assert bool(requested(SidecarEvaluation(stored), now).restarted_at) is is_accepted
