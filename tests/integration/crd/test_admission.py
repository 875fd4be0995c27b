"""Which specs the API server accepts and which it refuses, case by case from the YAML tables beside this file."""

from pathlib import Path

import pytest
import yaml

from cluster.client import ApiError
from integration.evaluations import Evaluations, Object


def cases(table: str) -> list[object]:
    """Return the cases of a table as pytest parameters, named as the table names them."""
    listed: list[Object] = yaml.safe_load(Path(__file__).with_name(table).read_text())
    return [pytest.param(case, id=case["case"]) for case in listed]


@pytest.mark.parametrize("case", cases("create_accepted.yaml"))
def test_created(evaluations: Evaluations, case: Object) -> None:
    created = evaluations.create(case.get("spec"), case.get("name", "mnist"))
    assert created["metadata"]["generation"] == 1


@pytest.mark.parametrize("case", cases("create_refused.yaml"))
def test_not_created(evaluations: Evaluations, case: Object) -> None:
    with pytest.raises(ApiError) as refusal:
        evaluations.create(case.get("spec"), case.get("name", "mnist"))
    assert refusal.value.status in {400, 422}
    assert case["message"] in str(refusal.value)


@pytest.mark.parametrize("case", cases("update_accepted.yaml"))
def test_updated(evaluations: Evaluations, case: Object) -> None:
    evaluations.create(case.get("given"))
    assert evaluations.update({"spec": case["change"]})["metadata"]["generation"] == 2


@pytest.mark.parametrize("case", cases("update_refused.yaml"))
def test_not_updated(evaluations: Evaluations, case: Object) -> None:
    before = evaluations.create(case.get("given"))
    with pytest.raises(ApiError) as refusal:
        evaluations.update({"spec": case["change"]})
    assert refusal.value.status in {400, 422}
    assert case["message"] in str(refusal.value)
    assert evaluations.read()["spec"] == before["spec"]
