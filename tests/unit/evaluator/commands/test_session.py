"""What the parts of one run have in common, without TensorFlow and without a cluster."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.code_directory import digest_of
from sidecar_evaluator.commands import config, flags, session
from sidecar_evaluator.commands.earlier_results import earlier_results
from sidecar_evaluator.commands.session import Session
from sidecar_evaluator.discovery.obstacles import Obstacle
from sidecar_evaluator.results.evaluator_report import EvaluatorReport, ProblemReason
from sidecar_evaluator.results.ledger import Results, settle
from sidecar_evaluator.results.outcome import Provenance
from sidecar_evaluator.results.serialization import parse
from sidecar_evaluator.writers.interface import Report
from support.waiting import DEADLINE, until
from unit.evaluator.support.fakes import FakeClock, checkpoint, evaluated


class FakeResource:
    """A resource whose API server may be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.applied: list[dict[str, Any]] = []

    def read(self) -> dict[str, Any]:
        results = self.applied[-1] if self.applied else {}
        return {"metadata": {"uid": "uid-1"}, "status": {"results": results}}

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
        arguments = ["run", f"--checkpoint-dir={tmp_path}/ckpt", "--entrypoint=a:b", "--resource=team/mnist", *more]
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


def test_a_result_says_which_code_and_image_made_it(
    start: Start, resource: FakeResource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_NAME", "pod-2")
    (tmp_path / "evaluate.py").write_text("1")
    started = start(f"--code-dir={tmp_path}")
    assert started.provenance() == Provenance(digest_of(tmp_path))
    started.on_change({"status": {"evaluator": {"pod": "pod-1", "imageID": "sha256:old"}}})
    assert started.provenance().image_id == ""
    started.on_change({"status": {"evaluator": {"pod": "pod-2", "imageID": "sha256:new"}}})
    assert started.provenance() == Provenance(digest_of(tmp_path), "sha256:new")


def evaluate_with(started: Session, name: str, number: int, accuracy: float) -> None:
    """Go on from earlier results, and settle one checkpoint."""
    earlier = earlier_results(started).results
    outcome = evaluated(name, number=number, accuracy=accuracy, modified_at=5.0, provenance=started.provenance())
    results = settle(earlier, outcome, started.config.rules, pending=range(1, number))
    started.writers.writer.write(Report(outcome, results))
    assert started.writers.writer.flush(DEADLINE)


@pytest.mark.parametrize("has_output", [True, False])
@pytest.mark.parametrize(("on_change", "best"), [("Warn", "ckpt-1"), ("Restart", "ckpt-2")])
def test_other_code_stands_beside_the_results_so_far_or_begins_anew(
    start: Start, resource: FakeResource, tmp_path: Path, *, on_change: str, best: str, has_output: bool
) -> None:
    (tmp_path / "code").mkdir()
    flags = [f"--code-dir={tmp_path}/code", f"--on-code-change={on_change}", "--primary-metric=accuracy"]
    flags += [f"--output-dir={tmp_path}/output"] if has_output else []
    (tmp_path / "code" / "evaluate.py").write_text("old")
    evaluate_with(start(*flags), "ckpt-1", 1, accuracy=0.9)
    (tmp_path / "code" / "evaluate.py").write_text("new")
    changed = start(*flags)
    evaluate_with(changed, "ckpt-2", 2, accuracy=0.1)
    published = resource.applied[-1]
    assert published["best"]["checkpoint"] == best
    assert published["latest"]["codeDigest"] == published["evaluator"]["codeDigest"] == changed.code_digest
    again = earlier_results(start(*flags))
    settled = {name for name in ("ckpt-1", "ckpt-2") if again.settled.covers(checkpoint(name))}
    if on_change == "Restart":
        assert settled == {"ckpt-2"}
        assert published["counts"]["evaluated"] == 1
        assert published["beganAnew"]["reason"] == "CodeChanged"
        assert changed.code_digest[:19] in published["beganAnew"]["message"]
        assert again.results.began_anew == parse(published).began_anew
    else:
        assert settled == {"ckpt-1", "ckpt-2"}
        assert published["counts"]["evaluated"] == 2
        assert "beganAnew" not in published


def test_where_the_old_code_comes_back_its_journal_still_counts(
    start: Start, resource: FakeResource, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    flags = [f"--code-dir={tmp_path}/code", "--on-code-change=Restart", f"--output-dir={tmp_path}/output"]
    for content, number in (("old", 1), ("new", 2)):
        (tmp_path / "code" / "evaluate.py").write_text(content)
        evaluate_with(start(*flags), f"ckpt-{number}", number, accuracy=0.5)
    (tmp_path / "code" / "evaluate.py").write_text("old")
    earlier = earlier_results(start(*flags))
    assert earlier.results.latest is not None
    assert earlier.results.latest.checkpoint == "ckpt-1"
    assert not earlier.settled.covers(checkpoint("ckpt-2"))


@pytest.mark.parametrize(("has_results", "expected"), [(True, "run-41"), (False, "run-42")])
def test_after_a_restart_results_stay_with_the_directory_that_they_are_of(
    start: Start, resource: FakeResource, tmp_path: Path, has_results: bool, expected: str
) -> None:
    for name in ("run-41", "run-42"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ckpt-1.index").write_text("x")
    (tmp_path / "ckpt").symlink_to("run-41")
    first = start()
    earlier_results(first)
    first.on_look(first.source.directory.look())
    outcome = evaluated("ckpt-1", number=1)
    results = settle(Results(), outcome, first.config.rules) if has_results else Results()
    first.writers.writer.write(Report(outcome, results))
    assert first.writers.writer.flush(DEADLINE)
    assert resource.applied[-1]["evaluator"]["directory"] == str(tmp_path / "run-41")
    (tmp_path / "ckpt").unlink()
    (tmp_path / "ckpt").symlink_to("run-42")
    second = start()
    earlier_results(second)
    second.on_look(second.source.directory.look())
    assert second.source.directory.path == tmp_path / expected


def test_where_no_link_leads_to_the_directory_nothing_is_recorded(
    start: Start, resource: FakeResource, tmp_path: Path
) -> None:
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt" / "ckpt-1.index").write_text("x")
    started = start()
    assert started.source.directory.look().checkpoints
    assert not started.source.directory.is_bound
    assert started.source.directory.moved_to() is None
