"""Results as status and back: nothing is lost, every bound of the schema is kept."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sidecar_evaluator.results.ledger import Counts, Ended, EndReason, Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason, Score
from sidecar_evaluator.results.ranking import Goal, Primary
from sidecar_evaluator.results.serialization import parse, render, render_value
from sidecar_evaluator.results.status_bounds import METRICS_SIZE, metric_size
from unit.evaluator.support.fakes import evaluated

CRD = Path(__file__).parents[4] / "crds" / "sidecarevaluations.yaml"


def full_results() -> Results:
    first = evaluated("ckpt-1", number=1, step=100, modified_at=9.5)
    results = settle(Results(), first, Rules(Primary("accuracy", Goal.MAXIMIZE)))
    failed = Outcome("ckpt-2", OutcomeKind.FAILED, 2, 1.5, 2.5, reason=Reason.UNREADABLE, message="damaged")
    results = settle(results, failed, Rules())
    again = evaluated("ckpt-1", number=1, step=100, modified_at=99.5, is_written_again=True)
    results = settle(results, again, Rules())
    results = settle(results, evaluated("ckpt-2-100", number=100, modified_at=199.5), Rules())
    return replace(results, backlog=3, ended=Ended(EndReason.TRAINING_FINISHED, 1234.5))


def test_results_survive_the_way_through_the_status() -> None:
    results = full_results()
    assert parse(json.loads(json.dumps(render(results)))) == results


def test_nothing_yet_renders_and_parses() -> None:
    assert render(Results()) == {"history": [], "counts": Counts().__dict__, "backlog": 0}
    assert parse({}) == Results()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9312, "0.9312"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (1e-07, "1e-07"),
        (0.39453125, "0.39453125"),
        (0.1 + 0.2, "0.30000000000000004"),
        (5e-324, "5e-324"),
        (np.float64(0.25), "0.25"),
        (np.float32(0.1), "0.10000000149011612"),
    ],
)
def test_values_are_text_that_reads_back(value: float, text: str) -> None:
    assert render_value(value) == text
    assert render_value(float(text)) == text


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((Score("accuracy", 0.93123),), "accuracy=0.9312"),
        ((Score("loss", 1.23e-7),), "loss=1.23e-07"),
        ((Score("loss", 0.0),), "loss=0.0000"),
        ((Score("loss", float("nan")),), "loss=NaN"),
        ((Score("accuracy", 1.0, "val"),), "val/accuracy=1.0000"),
    ],
)
def test_the_score_for_reading(scores: tuple[Score, ...], expected: str) -> None:
    assert render(Results(latest=replace(evaluated("a"), scores=scores)))["latest"]["score"] == expected


def test_the_score_for_reading_is_the_primary_metric() -> None:
    primary = Primary("loss", Goal.MINIMIZE)
    assert render(Results(latest=evaluated("a", accuracy=0.75)), primary)["latest"]["score"] == "loss=0.2500"


def test_unknown_words_of_a_later_version_are_left_out() -> None:
    entry = {"checkpoint": "a", "outcome": "failed", "reason": "New"}
    parsed = parse({"latest": {"checkpoint": "a", "outcome": "new"}, "history": [entry], "ended": {"reason": "New"}})
    assert (parsed.latest, parsed.ended) == (None, None)
    assert parsed.history[0].reason is None


def test_every_bound_of_the_schema_is_kept() -> None:
    scores = tuple(Score("m" * 300 + str(at), 0.1 * at, "d" * 300) for at in range(100))
    scores += tuple(Score(f"m{at}", 1e300 * at) for at in range(100))
    long = Outcome(
        "c" * 2000, OutcomeKind.FAILED, 1, 1.0, 2.0, scores=scores, reason=Reason.TIMED_OUT, message="m" * 9999
    )
    entry = render(Results(latest=long, history=(long,)))["latest"]
    assert_fits(entry, _schema())
    assert METRICS_SIZE - 100 < sum(map(metric_size, entry["metrics"])) <= METRICS_SIZE
    assert len(entry["message"]) == 512


def test_full_results_fit_the_schema() -> None:
    assert_fits(render(full_results()), _results_schema())


def _results_schema() -> dict[str, Any]:
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["results"]
    return schema


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = _results_schema()["properties"]["latest"]
    return schema


def assert_fits(value: Any, schema: dict[str, Any]) -> None:
    """Check the part of OpenAPI that the results' schema uses."""
    if isinstance(value, dict):
        assert value.keys() <= schema["properties"].keys()
        assert set(schema.get("required", ())) <= value.keys()
        for name, part in value.items():
            assert_fits(part, schema["properties"][name])
    elif isinstance(value, list):
        assert len(value) <= schema["maxItems"]
        for part in value:
            assert_fits(part, schema["items"])
    elif isinstance(value, str):
        assert schema["type"] == "string"
        assert len(value) <= schema.get("maxLength", 10**9)
        assert value in schema.get("enum", [value])
        assert re.search(schema.get("pattern", ""), value)
    else:
        assert schema["type"] == ("boolean" if isinstance(value, bool) else "integer")
