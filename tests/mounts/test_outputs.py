"""What the evaluator leaves in its output directory, through each kind of mount: nothing lost, nothing twice.

The whole command runs, is stopped in the middle and started again; training's side of the store is what counts.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.processes import poll
from cluster.programs import Programs
from mounts.checkpoints import Specimens, Version
from mounts.control import faulty
from mounts.evaluating import SENTINEL
from mounts.faults import Fail, Faults, Operation, Slow
from mounts.process import Evaluator, Warm, lines, summaries
from mounts.stores import store
from mounts.training import model_factory, small_model
from sidecar_evaluator.errors import ExitCode
from support.waiting import DEADLINE


@dataclass(frozen=True)
class Place:
    """Where the output goes, as the evaluator sees it and as everybody else does; training saves to `training`."""

    output: Path
    seen: Path
    checkpoints: Path
    training: Path


@contextmanager
def in_bucket(name: str, programs: Programs, folder: Path) -> Iterator[Place]:
    """Read checkpoints from a bucket and write the output to it, on the evaluator's mount."""
    with store(name, programs, folder) as bucket:
        run = Path("run")
        (bucket.training / run).mkdir()
        yield Place(bucket.evaluator / "out", bucket.training / "out", bucket.evaluator / run, bucket.training / run)


@contextmanager
def once(folder: Path, *allowed: str) -> Iterator[Place]:
    """Write the output to a mount with the rules of Mountpoint for S3, read checkpoints from a local folder."""
    with faulty(folder / "once", "--write-once", *allowed) as mount:
        run = folder / "run"
        run.mkdir()
        yield Place(mount.folder / "out", mount.origin / "out", run, run)


PLACES: dict[str, Callable[[Programs, Path], AbstractContextManager[Place]]] = {
    "gcsfuse": lambda programs, folder: in_bucket("gcsfuse", programs, folder),
    "s3fs": lambda programs, folder: in_bucket("s3fs", programs, folder),
    "mountpoint": lambda programs, folder: once(folder),
    "mountpoint-allowing": lambda programs, folder: once(folder, "--overwrite", "--delete"),
}


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, programs: Programs, tmp_path: Path) -> Iterator[Place]:
    """Return each kind of output in turn."""
    with PLACES[request.param](programs, tmp_path) as place:
        yield place


def started(warm: Warm, place: Place, log: Path) -> AbstractContextManager[Evaluator]:
    best = ("--primary-metric", "loss", "--goal", "Minimize", "--keep-best", "1")
    return warm.evaluator(place.checkpoints, log, "--output-dir", str(place.output), "--listing-age", "0.5", *best)


def await_lines(place: Place, process: Evaluator, count: int) -> None:
    """Wait until others see so many results."""
    poll(lambda: len(lines(place.seen)) >= count or process.has_ended(), DEADLINE)
    assert len(lines(place.seen)) >= count, process.end_of_log()


def test_nothing_is_lost_and_nothing_comes_twice(
    place: Place, warm: Warm, specimens: Specimens, tmp_path: Path
) -> None:
    first, second = specimens.of("TensorFlow")
    assert second.scores["loss"] < first.scores["loss"]
    saved = {"ckpt-1": first, "ckpt-2": second, "ckpt-3": first, "ckpt-4": first}
    first.place(place.training, "ckpt-1")
    with started(warm, place, tmp_path / "first.log") as process:
        await_lines(place, process, 1)
        second.place(place.training, "ckpt-2")
        await_lines(place, process, 2)
        shows = poll(lambda: len(summaries(place.seen)) == 4, DEADLINE)
        assert shows, f"TensorBoard shows {summaries(place.seen)} while the evaluator runs"
        process.signal(signal.SIGTERM)
        assert process.exit_code() == ExitCode.TERMINATED, process.end_of_log()
    with started(warm, place, tmp_path / "second.log") as process:
        first.place(place.training, "ckpt-3")
        await_lines(place, process, 3)
        first.place(place.training, "ckpt-4")
        (place.training / SENTINEL).touch()
        assert process.exit_code() == ExitCode.DRAINED, process.end_of_log()
    entries = lines(place.seen)
    assert [line["checkpoint"] for line in entries] == list(saved)
    assert [line["outcome"] for line in entries] == ["evaluated"] * 4
    assert_best(place.seen / "best", second)
    assert_summaries(place.seen, saved)


def assert_best(folder: Path, version: Version) -> None:
    """Load the newest copy as its manifest says, and score it."""
    manifests = [(json.loads(path.read_bytes()), path.parent) for path in folder.glob("*/manifest.json")]
    manifest, copy = max(manifests, key=lambda entry: str(entry[0]["copiedAt"]))
    assert manifest["checkpoint"] == "ckpt-2"
    assert model_factory().score(loaded(manifest, copy)) == pytest.approx(version.scores, abs=1e-6)


def loaded(manifest: dict[str, Any], copy: Path) -> Any:
    import tensorflow as tf

    model = small_model()
    tf.train.Checkpoint(model=model).restore(str(copy / manifest["path"])).expect_partial()
    return model


def assert_summaries(output: Path, saved: dict[str, Version]) -> None:
    """Two checkpoints of one step share a place on TensorBoard's axis."""
    expected = sorted({version.scores["loss"] for version in saved.values()})
    shown = sorted(value for (tag, _), value in summaries(output).items() if tag == "evaluation_loss_vs_iterations")
    assert shown == pytest.approx(expected, abs=1e-6)


CREATE, WRITE = Operation.CREATE, Operation.WRITE
TROUBLES = {
    "no-space": Faults(fail=(Fail("ENOSPC", (CREATE, WRITE)),)),
    "read-only": Faults(fail=(Fail("EROFS", (CREATE, WRITE)),)),
    "error": Faults(fail=(Fail("EIO", (WRITE,)),)),
    "hanging": Faults(slow=(Slow((CREATE, WRITE)),)),
}


@pytest.mark.parametrize("trouble", sorted(TROUBLES))
def test_an_output_in_trouble_holds_up_no_evaluation_and_loses_nothing(
    warm: Warm, specimens: Specimens, tmp_path: Path, trouble: str
) -> None:
    first, second = specimens.of("TensorFlow")
    run = tmp_path / "run"
    with faulty(tmp_path / "faulty") as mount:
        place = Place(mount.folder / "out", mount.origin / "out", run, run)
        mount.switch(TROUBLES[trouble])
        first.place(run, "ckpt-1")
        with started(warm, place, tmp_path / "log") as process:
            process.wait_for("ckpt-1")
            second.place(run, "ckpt-2")
            process.wait_for("Evaluation starts: loading " + str(run / "ckpt-2"))
            first.place(run, "ckpt-3")
            process.wait_for("Checkpoint ckpt-3 at")
            mount.switch(Faults())
            await_lines(place, process, 3)
            (run / SENTINEL).touch()
            assert process.exit_code() == ExitCode.DRAINED, process.end_of_log()
    assert [line["checkpoint"] for line in lines(place.seen)] == ["ckpt-1", "ckpt-2", "ckpt-3"]
    assert_best(place.seen / "best", second)
    assert_summaries(place.seen, {"ckpt-1": first, "ckpt-2": second})
