"""No status is larger than 64 KiB, whatever an evaluator's token or the operator writes: the schema's bounds say so.

What the evaluator writes is counted in the bytes that the API server stores, with the characters that take most. What
the operator writes is counted in characters, because it cuts its messages by bytes itself.
"""

from typing import Any

import pytest

from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Score
from sidecar_evaluator.results.serialization import render
from sidecar_evaluator.results.status_bounds import HISTORY_SIZE, METRICS_SIZE, metric_size, result_size
from sidecar_operator.conditions import MESSAGE_LIMIT, shortened
from support.largest import ESCAPED, WORST, bound_of, bounds_in, largest, stored_size

LIMIT = 64 * 1024
Schema = dict[str, Any]


@pytest.fixture
def status(schema: Schema) -> Schema:
    part: Schema = schema["properties"]["status"]["properties"]
    return part


@pytest.fixture
def results(status: Schema) -> Schema:
    part: Schema = status["results"]["properties"]
    return part


def test_the_largest_status_is_small(status: Schema) -> None:
    results = status["results"]
    written_by_evaluator = stored_size(largest(results)) + bounds_in(results)
    operators = {"type": "object", "properties": {name: status[name] for name in status if name != "results"}}
    written_by_operator = stored_size(largest(operators, "x")) + bounds_in(operators)
    assert written_by_evaluator + written_by_operator <= LIMIT


def test_the_evaluator_counts_as_the_schema_does(results: Schema) -> None:
    assert bound_of(results["history"]) == HISTORY_SIZE
    assert bound_of(results["latest"]["properties"]["metrics"]) == METRICS_SIZE


@pytest.mark.parametrize("character", ["x", *ESCAPED])
def test_a_result_is_never_larger_than_it_is_counted(results: Schema, character: str) -> None:
    metrics = results["latest"]["properties"]["metrics"]
    metric = largest(metrics["items"], character)
    entry = {**largest(results["latest"], character), "metrics": [metric] * metrics["maxItems"]}
    assert stored_size(metric) + 1 <= metric_size(metric)
    assert stored_size(entry) + 1 <= result_size(entry)
    assert stored_size({**entry, "metrics": []}) + 1 <= result_size({**entry, "metrics": []})


def test_what_the_evaluator_renders_at_most_is_within_the_bounds() -> None:
    scores = tuple(Score(f"{WORST * 200}{number}", -1.1e-300, "\U0001f600" * 200) for number in range(100))
    worst = Outcome(WORST * 999, OutcomeKind.FAILED, 1, 1.0, 2.0, 9.9, 7, scores, None, WORST * 9999, 3.0)
    rendered = render(Results(latest=worst, best=worst, history=(worst,) * 50))
    assert 1 <= len(rendered["history"]) < 50
    assert stored_size(rendered) <= LIMIT * 2 / 3


def test_a_history_that_fits_is_kept_whole() -> None:
    scores = tuple(Score(f"metric_{number}", 0.123456789, "validation") for number in range(10))
    usual = Outcome("ckpt-123456", OutcomeKind.EVALUATED, 123456, 1.0, 2.0, 9.9, 7, scores, None, "", 3.0)
    assert len(render(Results(history=(usual,) * 10))["history"]) == 10


@pytest.mark.parametrize("character", ["x", *ESCAPED])
def test_the_operator_cuts_messages_by_the_bytes_that_are_stored(character: str) -> None:
    message = shortened(f"what is wrong: {character * 9999}; what to do")
    assert stored_size(message) - 2 <= MESSAGE_LIMIT
    assert message.startswith("what is wrong: ")
    assert message.endswith("; what to do")
    assert len(message.encode()) > MESSAGE_LIMIT / 8


def test_a_message_that_fits_is_left_as_it_is() -> None:
    assert shortened("x" * MESSAGE_LIMIT) == "x" * MESSAGE_LIMIT
