"""What the parts of one run have in common, without TensorFlow and without a cluster."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.commands import config, flags, session
from sidecar_evaluator.commands.session import Session
from sidecar_evaluator.discovery.obstacles import Obstacle
from sidecar_evaluator.results.evaluator_report import EvaluatorReport, ProblemReason
from sidecar_evaluator.results.ledger import Results
from support.waiting import DEADLINE, until
from unit.evaluator.support.fakes import FakeClock


class FakeResource:
    """A resource whose API server may be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.applied: list[dict[str, Any]] = []

    def read(self) -> dict[str, Any]:
        return {}

    def apply_results(self, results: dict[str, Any]) -> None:
        if self.is_away:
            raise ConnectionError("no route to host")
        self.applied.append(results)

    def changes(self) -> Iterator[dict[str, Any]]:
        return iter(())


Start = Callable[..., Session]


@pytest.fixture
def resource(monkeypatch: pytest.MonkeyPatch) -> FakeResource:
    fake = FakeResource()
    monkeypatch.setattr(session, "KubernetesResource", lambda _reference: fake)
    return fake


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Session] = []

    def make(*more: str) -> Session:
        arguments = ["run", f"--checkpoint-dir={tmp_path}", "--entrypoint=a:b", "--resource=team/mnist", *more]
        started.append(Session(config.from_arguments(flags.parser().parse_args(arguments))))
        return started[-1]

    yield make
    for opened in started:
        opened.stop.set()
        opened.writers.writer.close()
        opened.source.changes.close()


@pytest.mark.parametrize(("more", "has_ended"), [((), False), (("--follow-training",), True)])
def test_the_training_is_followed_where_that_is_asked_for(
    start: Start, resource: FakeResource, more: tuple[str, ...], has_ended: bool
) -> None:
    started = start(*more)
    for state in ("Running", "Succeeded"):
        started.on_change({"status": {"training": {"state": state}}})
    started.on_change({})
    assert started.training.has_ended() is has_ended


def test_it_is_not_ready_while_neither_results_nor_changes_can_pass(start: Start, resource: FakeResource) -> None:
    clock, started = FakeClock(), start()
    started.readiness.model_built.set()
    started.readiness.directory_seen.set()
    started.writers.publishing._now = clock.monotonic
    resource.is_away = True
    started.writers.introduce(EvaluatorReport("pod-1", 5.0), Results())
    until(lambda: started.writers.publishing._lost_at is not None)
    assert started.readiness.is_ready()
    clock.now += 60.0
    assert not started.readiness.is_ready()
    resource.is_away = False
    assert started.writers.writer.flush(DEADLINE)
    assert started.readiness.is_ready()
    assert resource.applied[-1]["evaluator"]["pod"] == "pod-1"


def test_a_lost_watch_makes_it_not_ready_although_there_is_nothing_to_publish(
    start: Start, resource: FakeResource
) -> None:
    clock, started = FakeClock(), start()
    started.readiness.model_built.set()
    started.readiness.directory_seen.set()
    started.watching._now = clock.monotonic
    started.watching.failed()
    clock.now += 60.0
    assert not started.readiness.is_ready()
    started.on_change({})
    assert started.readiness.is_ready()


def test_what_is_in_the_way_is_published_and_withdrawn(start: Start, resource: FakeResource) -> None:
    started = start()
    for obstacle in (Obstacle(ProblemReason.NO_CHECKPOINTS, "it is empty"), None):
        started.on_obstacle(obstacle)
        assert started.writers.writer.flush(DEADLINE)
    assert [results.get("problem", {}).get("message") for results in resource.applied] == ["it is empty", None]
