"""The loop with a fake model: outcomes, retries, deadlines, restarts; no TensorFlow, no sleep."""

import errno
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.discovery.iterator import CheckpointIterator, Policy
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.errors import (
    CheckpointGone,
    CheckpointIncompatible,
    CheckpointUnreadable,
    ConfigurationError,
    IterationsMissingError,
    ModelCodeError,
    Stopped,
    StorageGoneError,
)
from sidecar_evaluator.evaluator import Loaded
from sidecar_evaluator.loop import Loop
from sidecar_evaluator.results.ledger import Counts, EndReason, Results, Rules
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason, Score
from sidecar_evaluator.results.ranking import Goal, Primary
from sidecar_evaluator.results.resume import resume
from sidecar_evaluator.results.serialization import parse, render
from sidecar_evaluator.runtime.heartbeat import Heartbeat
from sidecar_evaluator.writers.interface import Phase
from support.waiting import until
from unit.evaluator.support.fakes import FakeChangeWaiter, FakeClock, FakeDirectory, FakeWriter, checkpoint

RULES = Rules(Primary("accuracy", Goal.MAXIMIZE))


class FakeModel:
    """Scores a checkpoint by its number; `trouble` names checkpoints that raise."""

    def __init__(self, trouble: dict[str, Any] | None = None, scale: float = 0.001) -> None:
        self.trouble, self.scale = trouble or {}, scale
        self.restored: list[str] = []
        self.passes: list[int] = []
        self.during: Callable[[], None] = lambda: None

    def read(self, candidate: Checkpoint) -> Weights:
        self.restored.append(candidate.name)
        error = self.trouble.get(candidate.name)
        if isinstance(error, list):
            error = error.pop(0) if error else None
        if error:
            raise error
        return Weights((), None if candidate.number is None else candidate.number * 100)

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        self.during()
        self.passes.append(len(loaded))
        error = self.trouble.get("score")
        if error == "nothing":
            return [() for _ in loaded]
        if error:
            raise error
        return [(Score("accuracy", (one.step or 0) * self.scale),) for one in loaded]

    def export(self, weights: Weights, path: Path) -> None:
        path.touch()


class Scene:
    """A loop over a directory in memory, after the end of training."""

    def __init__(
        self,
        *names: str,
        model: FakeModel | None = None,
        results: Results | None = None,
        selection: Selection = Selection.EVERY,
        maximum: int | None = None,
    ) -> None:
        self.clock, self.writer, self.stop = FakeClock(), FakeWriter(), threading.Event()
        self.directory = FakeDirectory(*(checkpoint(name) for name in names))
        self.model = model or FakeModel()
        earlier = resume(results or Results(), None, RULES)
        self.loop = Loop(
            checkpoints=CheckpointIterator(
                directory=self.directory,
                policy=Policy(selection, maximum),
                clock=self.clock,
                stop=self.stop,
                changes=FakeChangeWaiter(self.clock, self.stop),
                training_finished=lambda _listing: True,
                settled=earlier.settled,
            ),
            evaluator=self.model,
            writer=self.writer,
            clock=self.clock,
            rules=RULES,
            results=earlier.results,
            heartbeat=Heartbeat(self.clock.monotonic),
            timeout=60.0,
            prefetcher=Prefetcher(self.model.read, has_room=lambda _size: False),
        )

    def outcomes(self) -> list[tuple[str, OutcomeKind, Reason | None]]:
        self.loop.run()
        outcomes = [report.outcome for report in self.writer.reports if report.outcome]
        return [(outcome.checkpoint, outcome.kind, outcome.reason) for outcome in outcomes]


def test_every_checkpoint_is_evaluated_and_written_once() -> None:
    scene = Scene("ckpt-1", "ckpt-2")
    assert scene.outcomes() == [("ckpt-1", OutcomeKind.EVALUATED, None), ("ckpt-2", OutcomeKind.EVALUATED, None)]
    last = scene.writer.reports[-1]
    assert last.outcome is None
    assert last.results.ended is not None
    assert last.results.ended.reason is EndReason.TRAINING_FINISHED
    assert len(scene.writer.reports) == 3


def test_the_backlog_in_a_report_is_what_is_left() -> None:
    scene = Scene("ckpt-1", "ckpt-2", "ckpt-3")
    scene.loop.run()
    assert [report.results.backlog for report in scene.writer.reports] == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("error", "kind", "reason", "reads"),
    [
        (CheckpointUnreadable("damaged"), OutcomeKind.FAILED, Reason.UNREADABLE, 5),
        (CheckpointIncompatible("other shape"), OutcomeKind.FAILED, Reason.INCOMPATIBLE, 1),
        (CheckpointGone("not found, and listed all the same"), OutcomeKind.GONE, None, 5),
        (ValueError("odd"), OutcomeKind.FAILED, Reason.EVALUATION_ERROR, 1),
        (ModelCodeError("a layer raised"), OutcomeKind.FAILED, Reason.EVALUATION_ERROR, 1),
    ],
)
def test_a_bad_checkpoint_gets_its_outcome_and_stops_no_other(
    error: Exception, kind: OutcomeKind, reason: Reason | None, reads: int
) -> None:
    model = FakeModel({"ckpt-2": error})
    scene = Scene("ckpt-1", "ckpt-2", "ckpt-3", model=model)
    outcomes = scene.outcomes()
    assert sorted(outcomes)[1] == ("ckpt-2", kind, reason)
    assert [outcome[1] for outcome in sorted(outcomes)[::2]] == [OutcomeKind.EVALUATED] * 2
    assert model.restored.count("ckpt-2") == reads


def test_it_is_said_loudly_that_nothing_could_be_evaluated(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene("ckpt-1", "ckpt-2", model=FakeModel({"score": ValueError("shapes differ")}))
    scene.loop.run()
    (error,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert error.message.startswith("No checkpoint could be evaluated, ")
    assert error.message.endswith("The last one, ckpt-2: ValueError: shapes differ")


def test_a_checkpoint_deleted_while_it_is_read_is_gone_at_once() -> None:
    scene = Scene("ckpt-1", "ckpt-2")

    def read(candidate: Checkpoint) -> Weights:
        scene.directory.remove(candidate.name)
        raise CheckpointGone("deleted")

    scene.loop.prefetcher = Prefetcher(read, has_room=lambda _size: False)
    assert [kind for _, kind, _ in scene.outcomes()] == [OutcomeKind.GONE, OutcomeKind.GONE]
    assert scene.clock.now - 1000 < 0.5


def test_a_checkpoint_that_is_not_found_at_first_is_evaluated() -> None:
    scene = Scene("ckpt-1", model=FakeModel({"ckpt-1": [CheckpointGone("remembered as absent")]}))
    assert scene.outcomes() == [("ckpt-1", OutcomeKind.EVALUATED, None)]


def test_several_are_evaluated_in_one_pass_and_settled_one_by_one() -> None:
    scene = Scene(*(f"ckpt-{number}" for number in range(1, 6)))
    scene.loop.checkpoints.group_limit = lambda waiting: min(waiting, 3)
    assert [name for name, _, _ in scene.outcomes()] == [f"ckpt-{number}" for number in range(1, 6)]
    assert scene.model.passes == [3, 2]
    assert [report.results.counts.evaluated for report in scene.writer.reports] == [1, 2, 3, 4, 5, 5]


def test_where_a_pass_over_several_fails_each_is_tried_alone() -> None:
    scene = Scene("ckpt-1", "ckpt-2", "ckpt-3")
    scene.loop.checkpoints.group_limit = lambda waiting: waiting
    score = scene.model.score

    def score_or_fail(loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        if any(one.step == 200 for one in loaded):
            raise ValueError("NaN in the weights")
        return score(loaded)

    scene.model.score = score_or_fail  # type: ignore[method-assign]
    assert scene.outcomes() == [
        ("ckpt-1", OutcomeKind.EVALUATED, None),
        ("ckpt-2", OutcomeKind.FAILED, Reason.EVALUATION_ERROR),
        ("ckpt-3", OutcomeKind.EVALUATED, None),
    ]


def test_the_bad_ones_of_a_group_stop_no_other() -> None:
    model = FakeModel({"ckpt-1": CheckpointIncompatible("other"), "ckpt-2": CheckpointUnreadable("damaged")})
    scene = Scene("ckpt-1", "ckpt-2", "ckpt-3", model=model)
    scene.loop.checkpoints.group_limit = lambda waiting: waiting
    assert {name: kind for name, kind, _ in scene.outcomes()} == {
        "ckpt-1": OutcomeKind.FAILED,
        "ckpt-2": OutcomeKind.FAILED,
        "ckpt-3": OutcomeKind.EVALUATED,
    }
    assert model.passes == [1]


def test_an_overdue_group_loses_its_first_only() -> None:
    scene = Scene("ckpt-1", "ckpt-2", "ckpt-3")
    scene.loop.checkpoints.group_limit = lambda waiting: waiting
    scene.model.during = scene.loop.abandon
    outcomes = scene.outcomes()
    assert outcomes[0] == ("ckpt-1", OutcomeKind.FAILED, Reason.TIMED_OUT)
    assert [name for name, kind, _ in outcomes if kind is OutcomeKind.EVALUATED] == ["ckpt-2", "ckpt-3"]


def test_a_checkpoint_read_ahead_is_evaluated_although_it_was_deleted() -> None:
    scene = Scene("ckpt-1", "ckpt-2")
    prefetcher = scene.loop.prefetcher = Prefetcher(scene.model.read)

    def delete_once_read_ahead() -> None:
        waiting = scene.directory.checkpoints.get("ckpt-2")
        if waiting:
            until(lambda: prefetcher.holds(waiting))
        scene.directory.checkpoints.pop("ckpt-2", None)

    scene.model.during = delete_once_read_ahead
    assert [kind for _, kind, _ in scene.outcomes()] == [OutcomeKind.EVALUATED] * 2


def test_each_new_best_is_kept_and_may_be_written_from_memory(tmp_path: Path) -> None:
    scene, kept = Scene("ckpt-1", "ckpt-2", "ckpt-3"), list[str]()

    def keep(candidate: Checkpoint, outcome: Outcome, export: Callable[[Path], None]) -> None:
        assert scene.writer.reports[-1].results.best is outcome
        kept.append(candidate.name)
        export(tmp_path / candidate.name)

    scene.loop.keep_best = keep
    scene.loop.rules = Rules(Primary("accuracy", Goal.MINIMIZE))
    scene.loop.run()
    assert kept == ["ckpt-1"]
    assert (tmp_path / "ckpt-1").exists()


def test_the_final_checkpoint_is_retried_until_it_reads() -> None:
    flaky = [CheckpointUnreadable("being written"), CheckpointUnreadable("stale handle")]
    scene = Scene("ckpt-9", model=FakeModel({"ckpt-9": flaky}))
    assert scene.outcomes() == [("ckpt-9", OutcomeKind.EVALUATED, None)]
    assert scene.clock.now - 1000 >= 1.5


@pytest.mark.parametrize("trouble", ["nothing", RuntimeError("no memory"), ModelCodeError("a layer raised")])
def test_an_evaluation_without_scores_fails(trouble: Any) -> None:
    reason = Reason.NO_METRICS if trouble == "nothing" else Reason.EVALUATION_ERROR
    scene = Scene("ckpt-1", model=FakeModel({"score": trouble}))
    assert scene.outcomes() == [("ckpt-1", OutcomeKind.FAILED, reason)]


def test_missing_iterations_stop_a_run_that_has_evaluated_nothing() -> None:
    scene = Scene("ckpt-1", model=FakeModel({"ckpt-1": IterationsMissingError("/ckpt-1")}))
    with pytest.raises(IterationsMissingError, match="`iterations` cannot be loaded from the checkpoint"):
        scene.loop.run()
    assert scene.writer.reports == []


def test_missing_iterations_later_on_fail_one_checkpoint() -> None:
    scene = Scene("ckpt-1", "ckpt-2", model=FakeModel({"ckpt-2": IterationsMissingError("/ckpt-2")}))
    assert scene.outcomes()[1] == ("ckpt-2", OutcomeKind.FAILED, Reason.ITERATIONS_MISSING)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_died_mount_ends_the_run(wrapped: bool) -> None:
    dead: Exception = OSError(errno.ENOTCONN, "Transport endpoint is not connected")
    if wrapped:
        dead = CheckpointUnreadable("FailedPreconditionError: /x; Transport endpoint is not connected")
    scene = Scene("ckpt-1", model=FakeModel({"ckpt-1": dead}))
    with pytest.raises(StorageGoneError):
        scene.loop.run()
    assert scene.writer.reports == []


def test_a_stop_between_batches_settles_nothing() -> None:
    scene = Scene("ckpt-1", "ckpt-2", model=FakeModel({"score": Stopped()}))
    assert scene.outcomes() == []
    assert scene.loop.results == Results()


def test_an_overdue_evaluation_is_settled_from_outside_and_only_once() -> None:
    scene = Scene("ckpt-1")
    seen = []

    def hang() -> None:
        scene.clock.now += 61
        seen.append(scene.loop.heartbeat.is_overdue())
        scene.loop.abandon()

    scene.model.during = hang
    assert scene.outcomes() == [("ckpt-1", OutcomeKind.FAILED, Reason.TIMED_OUT)]
    assert seen == [True]
    assert "limit of 60 s" in scene.loop.results.history[0].message


def test_nothing_is_abandoned_between_evaluations() -> None:
    scene = Scene()
    scene.loop.abandon()
    assert scene.writer.reports == []


@pytest.mark.parametrize("killed_after", [0, 1, 2, 3])
def test_a_restart_at_any_moment_repeats_nothing_and_loses_nothing(killed_after: int) -> None:
    names = [f"ckpt-{number}" for number in range(1, 5)]
    first = Scene(*names, model=FakeModel({"ckpt-2": CheckpointIncompatible("other")}))
    first.loop.run()
    published = [render(Results()), *(render(report.results) for report in first.writer.reports)][killed_after]
    second = Scene(*names, results=parse(published))
    second.loop.run()
    assert second.model.restored == names[killed_after:]
    counts = second.loop.results.counts
    assert counts.evaluated + counts.failed == 4
    assert second.loop.results.watermark == 4


def test_a_broken_newest_checkpoint_does_not_hide_the_good_one_before_it() -> None:
    model = FakeModel({"ckpt-2": CheckpointIncompatible("other model")})
    scene = Scene("ckpt-1", "ckpt-2", model=model, selection=Selection.LATEST)
    assert [(name, kind) for name, kind, _ in scene.outcomes()] == [
        ("ckpt-2", OutcomeKind.FAILED),
        ("ckpt-1", OutcomeKind.EVALUATED),
    ]
    assert scene.loop.results.counts == Counts(evaluated=1, failed=1)


def test_user_code_that_leaves_the_process_fails_one_checkpoint() -> None:
    scene = Scene("ckpt-1", "ckpt-2", model=FakeModel({"ckpt-1": SystemExit(0)}))
    assert [kind for _, kind, _ in scene.outcomes()] == [OutcomeKind.FAILED, OutcomeKind.EVALUATED]


def test_best_survives_a_restart() -> None:
    first = Scene("ckpt-1", "ckpt-2", "ckpt-3")
    first.loop.run()
    second = Scene("ckpt-4", model=FakeModel(scale=0.0001), results=parse(render(first.loop.results)))
    second.loop.run()
    best = second.loop.results.best
    assert best is not None
    assert best.checkpoint == "ckpt-3"
    assert second.loop.results.counts == Counts(evaluated=4)


@pytest.mark.parametrize("selection", list(Selection))
def test_the_results_after_a_night_that_reused_the_names_are_those_of_that_night(selection: Selection) -> None:
    first = Scene("ckpt-1", "ckpt-2", "ckpt-3", selection=selection)
    first.loop.run()
    second = Scene("ckpt-3", results=parse(render(first.loop.results)), selection=selection)
    second.directory.add(checkpoint("ckpt-1", modified=9100.0), checkpoint("ckpt-2", modified=9200.0))
    second.loop.run()
    latest, best = second.loop.results.latest, second.loop.results.best
    assert latest is not None
    assert best is not None
    assert (latest.checkpoint, latest.modified_at) == (best.checkpoint, best.modified_at) == ("ckpt-2", 9200.0)
    expected = {Selection.EVERY: ["ckpt-1", "ckpt-2"], Selection.LATEST: ["ckpt-2"]}[selection]
    assert second.model.restored == expected
    third = Scene(results=parse(render(second.loop.results)), selection=selection)
    third.directory.add(*second.directory.checkpoints.values())
    third.loop.run()
    assert third.model.restored == []
    assert third.loop.results.latest == latest


def test_phases_follow_each_other() -> None:
    scene, phases = Scene("ckpt-1"), list[Phase]()
    scene.loop.enter = phases.append
    scene.loop.run()
    assert phases == [Phase.WAITING, Phase.RESTORING, Phase.EVALUATING, Phase.PUBLISHING, Phase.WAITING]


def test_a_primary_metric_that_no_score_has_stops_the_run_after_the_first_result() -> None:
    scene = Scene("ckpt-1", "ckpt-2")
    scene.loop.rules = Rules(Primary("acuracy", Goal.MAXIMIZE))
    with pytest.raises(ConfigurationError, match=r"no metric acuracy; name one of: accuracy in spec.metrics.primary"):
        scene.loop.run()
    assert scene.loop.results.counts == Counts(evaluated=1)
