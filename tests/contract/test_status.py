"""What the evaluator writes into `status.results` fits the schema, and the operator reads it as it was meant."""

from dataclasses import fields
from typing import Any

import jsonschema
import pytest

from sidecar_evaluator.discovery import training_end as evaluator_training
from sidecar_evaluator.errors import ExitCode
from sidecar_evaluator.results import serialization
from sidecar_evaluator.results.evaluator_report import EvaluatorReport, Problem, ProblemReason
from sidecar_evaluator.results.ledger import Counts, Ended, EndReason, Results
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason, Score
from sidecar_evaluator.results.ranking import Goal, Primary
from sidecar_operator import conditions, names, training_state, training_status

EVALUATED = Outcome(
    checkpoint="ckpt-700",
    kind=OutcomeKind.EVALUATED,
    number=700,
    started_at=1.5,
    evaluated_at=3.0,
    duration=1.5,
    step=7000,
    scores=(Score("accuracy", 0.9312, "val"), Score("loss", float("nan"), "val"), Score("ratio", float("-inf"), "val")),
    modified_at=1.25,
)
OUTCOMES = [
    EVALUATED,
    *(
        Outcome("ckpt-1", kind, 1, 1.5, 3.0, 1.5, None, (), reason, "x" * 5000)
        for kind in OutcomeKind
        if kind is not OutcomeKind.EVALUATED
        for reason in (None, *Reason)
    ),
]


def results(**values: Any) -> Results:
    return Results(latest=EVALUATED, best=EVALUATED, counts=Counts(evaluated=1), watermark=700, **values)


def check(schema: dict[str, Any], value: Results, primary: Primary | None = None) -> None:
    part = schema["properties"]["status"]["properties"]["results"]
    jsonschema.validate(serialization.render(value, primary), part)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: f"{one.kind}-{one.reason}")
def test_every_outcome_fits_the_schema(schema: dict[str, Any], outcome: Outcome) -> None:
    check(schema, results(history=(outcome,)), Primary("accuracy", Goal.MAXIMIZE))


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_ending_fits_the_schema_and_is_known_to_the_operator(schema: dict[str, Any], reason: EndReason) -> None:
    check(schema, results(ended=Ended(reason, 4.0)))
    assert conditions.Reason(reason.value)


@pytest.mark.parametrize("reason", list(ProblemReason))
def test_every_problem_fits_the_schema_and_is_known_to_the_operator(
    schema: dict[str, Any], reason: ProblemReason
) -> None:
    check(schema, results(evaluator=EvaluatorReport("pod-1", 4.0), problem=Problem(reason, "x" * 5000, 4.0)))
    assert conditions.Reason(reason.value)


def test_nothing_evaluated_yet_fits_the_schema(schema: dict[str, Any]) -> None:
    check(schema, Results())


def test_what_was_written_reads_back_the_same() -> None:
    written = results(history=(EVALUATED,))
    assert serialization.render(serialization.parse(serialization.render(written))) == serialization.render(written)


def test_both_sides_agree_on_when_training_has_ended(schema: dict[str, Any]) -> None:
    state = schema["properties"]["status"]["properties"]["training"]["properties"]["state"]
    assert {one.value for one in training_status.State} == set(state["enum"])
    assert {one.value for one in training_state.ENDED} == set(evaluator_training.FINISHED_STATES)


def test_both_sides_agree_on_the_exit_code_that_is_not_retried() -> None:
    assert int(ExitCode.CONFIGURATION) == names.CONFIGURATION_ERROR_EXIT_CODE


def test_every_count_is_in_the_schema(schema: dict[str, Any]) -> None:
    counts = schema["properties"]["status"]["properties"]["results"]["properties"]["counts"]["properties"]
    assert {one.name for one in fields(Counts)} == set(counts)


def test_every_reason_of_a_failure_is_explained(schema: dict[str, Any]) -> None:
    latest = schema["properties"]["status"]["properties"]["results"]["properties"]["latest"]["properties"]
    described = latest["reason"]["description"]
    assert [reason for reason in Reason if f"`{reason}`" not in described] == []


def test_reasons_of_conditions_are_valid_and_fit(schema: dict[str, Any]) -> None:
    reason = schema["properties"]["status"]["properties"]["conditions"]["items"]["properties"]["reason"]
    for one in conditions.Reason:
        jsonschema.validate(one.value, reason)
