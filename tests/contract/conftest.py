"""The CRD as the contract tests read it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

Schema = dict[str, Any]
CRD = Path(__file__).resolve().parents[2] / "crds" / "sidecarevaluations.yaml"


@pytest.fixture(scope="session")
def schema() -> Schema:
    """Return the schema of the resource, closed: a field that it does not name is an error."""
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    closed = close(version["schema"]["openAPIV3Schema"])
    assert isinstance(closed, dict)
    return closed


def close(schema: Any) -> Any:
    """Return the schema with every object closed, as the API server prunes what is not in it."""
    if isinstance(schema, list):
        return [close(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: close(value) for key, value in schema.items()}
    is_object = "properties" in schema and schema.get("type") == "object"
    return {**closed, "additionalProperties": False} if is_object else closed
