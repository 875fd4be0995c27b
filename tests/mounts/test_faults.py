"""The evaluator on a mount that fails: each fault in turn, for each format, with real checkpoints and a real model.

Whatever the mount does, a score is that of one whole checkpoint, the loop goes on, the checkpoint is evaluated once the
fault has ended, and where it does not end the outcome says why.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mounts.checkpoints import SAVES, Specimens, Version
from mounts.control import FaultyMount
from mounts.evaluating import SENTINEL, Running, Scorer, scores_of
from mounts.faults import Deed, Fail, Faults, Meanwhile, Operation, Slow, Times
from sidecar_evaluator.results.ledger import EndReason
from sidecar_evaluator.results.outcome import OutcomeKind, Reason

NUMBERS = itertools.count()
LIST, STAT, OPEN, READ = Operation.LIST, Operation.STAT, Operation.OPEN, Operation.READ
LOOKS = 5
LATE = {"TensorFlow": 5, "KerasWeights": 30, "Keras": 30, "Orbax": 2}
"""A read in the midst of the weights."""


@dataclass(frozen=True)
class Scene:
    """One evaluation of one directory, seen by training (`origin`) and through the mount (`folder`)."""

    mount: FaultyMount
    name: str
    format_name: str
    first: Version
    second: Version
    running: Running

    @property
    def origin(self) -> Path:
        return self.mount.origin / self.name

    def pattern(self, name: str, suffix: str = "*") -> str:
        return f"{self.name}/{name}{suffix}"

    def weights(self, name: str) -> str:
        """Return the pattern of the files that hold the weights."""
        return self.pattern(name, self.first.pattern)

    def expect(self, name: str, version: Version) -> None:
        """Wait for a checkpoint's outcome: exactly this version's scores."""
        assert scores_of(self.running.outcome(name)) == pytest.approx(version.scores, abs=1e-6)

    def have_looked(self) -> None:
        """Wait until the evaluator has looked a few times more."""
        seen = self.mount.met().get(LIST, 0)
        self.running.wait(lambda: self.mount.met().get(LIST, 0) >= seen + LOOKS, "looks at the directory")

    def have_met(self, fault: str, times: int = 1) -> None:
        """Wait until the evaluator has run into the fault."""
        self.running.wait(lambda: self.mount.met().get(fault, 0) >= times, f"a meeting with {fault}")

    def end(self) -> None:
        """Go on with a good checkpoint and the end of training: nothing is stuck, nothing is counted twice."""
        self.mount.switch(Faults())
        self.first.place(self.origin, "ckpt_9")
        self.expect("ckpt_9", self.first)
        (self.origin / SENTINEL).touch()
        results = self.running.finish()
        assert results.ended is not None
        assert results.ended.reason is EndReason.TRAINING_FINISHED
        names = [outcome.checkpoint for outcome in self.running.outcomes]
        assert len(names) == len(set(names)), names


@pytest.fixture(autouse=True)
def _bridged_listings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let listings fail for as long as the test wants."""
    monkeypatch.setattr("sidecar_evaluator.discovery.directory._BRIDGED_SECONDS", Running.patience)


@pytest.fixture
def patience() -> float:
    """Return for how long an unreadable checkpoint is tried: until the test ends, unless it says otherwise."""
    return Running.patience


@pytest.fixture(params=SAVES)
def scene(
    request: pytest.FixtureRequest, mount: FaultyMount, specimens: Specimens, scorer: Scorer, patience: float
) -> Iterator[Scene]:
    """Return a running evaluation in one format that has evaluated a first checkpoint."""
    name = f"run-{next(NUMBERS)}"
    first, second = specimens.of(request.param)
    (mount.origin / name).mkdir()
    with Running(mount.folder / name, scorer, patience=patience) as running:
        scene = Scene(mount, name, request.param, first, second, running)
        second.place(scene.origin, "ckpt_1")
        scene.expect("ckpt_1", second)
        yield scene
        mount.switch(Faults())


def test_a_stale_listing_only_delays(scene: Scene) -> None:
    scene.mount.switch(Faults(stale_listing=True))
    scene.first.place(scene.origin, "ckpt_2")
    scene.have_looked()
    assert not scene.running.of("ckpt_2")
    scene.mount.switch(Faults())
    scene.expect("ckpt_2", scene.first)
    scene.end()


def test_names_that_are_listed_and_not_found_only_delay(scene: Scene) -> None:
    missing = Fail("ENOENT", (STAT, OPEN), scene.pattern("ckpt_2"))
    scene.mount.switch(Faults(fail=(missing,)))
    scene.first.place(scene.origin, "ckpt_2")
    scene.have_met("ENOENT", LOOKS)
    assert not scene.running.of("ckpt_2")
    scene.mount.switch(Faults())
    scene.expect("ckpt_2", scene.first)
    scene.end()


def test_a_directory_that_was_looked_for_in_vain_is_found_once_it_is_there(
    mount: FaultyMount, specimens: Specimens, scorer: Scorer
) -> None:
    """The evaluator is there before the training, on a mount that remembers what is not."""
    version, _ = specimens.of("TensorFlow")
    mount.switch(Faults(negative="*"))
    with Running(mount.folder / "later" / "checkpoints", scorer) as running:
        running.wait(lambda: mount.met().get("negative", 0) >= LOOKS, "looks in vain")
        version.place(mount.origin / "later" / "checkpoints", "ckpt_1")
        assert scores_of(running.outcome("ckpt_1")) == pytest.approx(version.scores, abs=1e-6)


@pytest.mark.parametrize("error", ["ESTALE", "EIO"])
@pytest.mark.parametrize("operation", [OPEN, READ, STAT])
def test_an_error_that_passes_only_delays(scene: Scene, operation: Operation, error: str) -> None:
    scene.mount.switch(Faults(fail=(Fail(error, (operation,), scene.pattern("ckpt_2"), 3),)))
    scene.first.place(scene.origin, "ckpt_2")
    scene.expect("ckpt_2", scene.first)
    assert scene.mount.met()[error] == 3
    scene.end()


@pytest.mark.parametrize("error", ["ESTALE", "EIO"])
def test_listings_that_fail_for_a_while_only_delay(scene: Scene, error: str) -> None:
    scene.mount.switch(Faults(fail=(Fail(error, (LIST,), times=6),)))
    scene.first.place(scene.origin, "ckpt_2")
    scene.expect("ckpt_2", scene.first)
    assert scene.mount.met()[error] == 6
    scene.end()


@pytest.mark.parametrize("error", ["ESTALE", "EIO"])
@pytest.mark.parametrize("operation", [OPEN, READ])
@pytest.mark.parametrize("patience", [0.0], ids=["impatient"])
def test_an_error_that_stays_fails_this_checkpoint_alone(scene: Scene, operation: Operation, error: str) -> None:
    scene.mount.switch(Faults(fail=(Fail(error, (operation,), scene.weights("ckpt_2")),)))
    scene.first.place(scene.origin, "ckpt_2")
    scene.first.place(scene.origin, "ckpt_3")
    scene.expect("ckpt_3", scene.first)
    (scene.origin / SENTINEL).touch()  # what is only half there may come as long as training goes on
    outcome = scene.running.outcome("ckpt_2")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, Reason.UNREADABLE)
    assert outcome.message
    assert scene.running.finish().counts.failed == 1


def test_slow_reads_only_delay(scene: Scene) -> None:
    scene.mount.switch(Faults(slow=(Slow((OPEN, READ, STAT), 0.02, scene.pattern("ckpt_2")),)))
    scene.first.place(scene.origin, "ckpt_2")
    scene.expect("ckpt_2", scene.first)
    assert scene.mount.met()["slow"] > 1
    scene.end()


@pytest.mark.parametrize("fault", ["short", "zeroed"])
def test_a_size_that_comes_before_the_content_only_delays(scene: Scene, fault: str) -> None:
    weights = scene.weights("ckpt_2")
    scene.mount.switch(Faults(short=weights) if fault == "short" else Faults(zeroed=weights))
    scene.first.place(scene.origin, "ckpt_2")
    scene.have_met(fault)
    scene.mount.switch(Faults())
    scene.expect("ckpt_2", scene.first)
    scene.end()


def test_a_file_that_grows_is_waited_for(scene: Scene) -> None:
    halves = {suffix: content[: len(content) // 2] for suffix, content in scene.first.weights.items()}
    replace(scene.first, files=scene.first.files | halves).place(scene.origin, "ckpt_2")
    scene.have_looked()
    assert not scene.running.of("ckpt_2")
    for suffix, content in scene.first.weights.items():
        with (scene.origin / f"ckpt_2{suffix}").open("ab") as file:
            for start in range(len(content) // 2, len(content), 1000):
                file.write(content[start : start + 1000])
                file.flush()
    scene.expect("ckpt_2", scene.first)


@pytest.mark.parametrize("times", [Times.TRUE, Times.ZERO])
@pytest.mark.parametrize("late", [False, True])
def test_what_is_replaced_while_it_is_read_is_never_a_mix(
    scene: Scene, tmp_path: Path, times: Times, *, late: bool
) -> None:
    """Training writes the file anew between two reads; the rest of the checkpoint follows a moment later.

    Without true times the new file cannot be told from the old one: size and time are the same.
    """
    reads = LATE[scene.format_name] if late else 1
    other = tmp_path / "other"
    other.write_bytes(max(scene.second.weights.values(), key=len))
    replaced = Meanwhile(Deed.REPLACE, scene.weights("ckpt_2"), str(other), reads)
    scene.mount.switch(Faults(meanwhile=(replaced,), times=times))
    scene.first.place(scene.origin, "ckpt_2")
    scene.have_met(Deed.REPLACE)
    scene.mount.switch(Faults(times=times))
    scene.second.place(scene.origin, "ckpt_2")
    scene.expect("ckpt_2", scene.second)
    scene.end()


@pytest.mark.parametrize("scene", ["TensorFlow", "KerasWeights", "Keras"], indirect=True)  # Orbax has numbers alone
@pytest.mark.parametrize("stale", ["all of it", "the weights"])
def test_a_fixed_name_that_is_overwritten_is_seen_once_the_mount_shows_it(scene: Scene, stale: str) -> None:
    """A mount may show one file as it was and another as it is: that is no checkpoint at all."""
    scene.first.place(scene.origin, "best")
    scene.expect("best", scene.first)
    old = scene.pattern("best") if stale == "all of it" else scene.weights("best")
    scene.mount.switch(Faults(stale=old))
    scene.second.place(scene.origin, "best")
    scene.have_looked()
    assert len(scene.running.of("best")) == 1
    scene.mount.switch(Faults())
    scene.running.wait(lambda: len(scene.running.of("best")) > 1, "the second version")
    assert [scores_of(outcome)["loss"] for outcome in scene.running.of("best")] == pytest.approx(
        [scene.first.scores["loss"], scene.second.scores["loss"]], abs=1e-6
    )


def test_what_grows_while_it_is_read_is_never_a_mix(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "more").write_bytes(b"more" * 100)
    grows = Meanwhile(Deed.APPEND, scene.weights("ckpt_2"), str(tmp_path / "more"))
    scene.mount.switch(Faults(meanwhile=(grows,)))
    scene.first.place(scene.origin, "ckpt_2")
    scene.have_met(Deed.APPEND)
    scene.mount.switch(Faults())
    scene.first.place(scene.origin, "ckpt_2")
    scene.expect("ckpt_2", scene.first)
    scene.end()


def test_what_is_deleted_while_it_is_read_is_gone(scene: Scene) -> None:
    scene.mount.switch(Faults(meanwhile=(Meanwhile(Deed.DELETE, scene.weights("ckpt_2")),)))
    scene.first.place(scene.origin, "ckpt_2")
    scene.have_met(Deed.DELETE)
    scene.first.remove(scene.origin, "ckpt_2")
    assert scene.running.outcome("ckpt_2").kind is OutcomeKind.GONE
    scene.end()


@pytest.mark.parametrize("times", [Times.SECONDS, Times.ZERO])
def test_odd_times_and_inodes_change_nothing(scene: Scene, times: Times) -> None:
    scene.mount.switch(Faults(times=times, changing_inodes=True))
    scene.first.place(scene.origin, "ckpt_2")
    scene.expect("ckpt_2", scene.first)
    scene.have_looked()
    assert len(scene.running.of("ckpt_2")) == 1
    scene.end()


@pytest.mark.parametrize("patience", [0.0], ids=["impatient"])
def test_a_mount_without_true_times_keeps_nothing_busy_for_ever(scene: Scene) -> None:
    """Every look tells that the files have just changed, so that they cannot be known to be whole."""
    scene.mount.switch(Faults(times=Times.NOW))
    scene.first.place(scene.origin, "ckpt_2")
    (scene.origin / SENTINEL).touch()
    outcome = scene.running.outcome("ckpt_2")
    if outcome.kind is OutcomeKind.EVALUATED:
        scene.expect("ckpt_2", scene.first)
    else:
        assert (outcome.reason, outcome.message != "") == (Reason.UNREADABLE, True)
    scene.running.finish()
