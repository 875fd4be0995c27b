"""What docs/operations.md lists is what there is."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sidecar_evaluator.errors import ExitCode
from sidecar_evaluator.runtime.clock import SystemClock
from sidecar_evaluator.writers.prometheus import PrometheusWriter

DOCS = Path(__file__).resolve().parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()
SUFFIXES = {"counter": "_total", "info": "_info"}


def test_the_evaluators_metrics_are_listed() -> None:
    registry = CollectorRegistry()
    PrometheusWriter(registry, SystemClock())
    served = {family.name + SUFFIXES.get(family.type, "") for family in registry.collect()}
    evaluators = OPERATIONS[OPERATIONS.index("\n## Metrics") : OPERATIONS.index("\nOperator: the same scores")]
    assert set(re.findall(r"`(sidecareval_\w+)", evaluators)) == served


def test_the_evaluators_exit_codes_are_listed() -> None:
    listed = re.findall(r"^\| (\d+) \|", OPERATIONS, re.MULTILINE)
    assert [int(code) for code in listed] == sorted(ExitCode)


@pytest.mark.parametrize("link", re.findall(r"\]\(([\w./-]+)\)", OPERATIONS))
def test_links_lead_somewhere(link: str) -> None:
    assert (DOCS / link).exists()
