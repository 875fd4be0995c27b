"""How the whole command ends when the storage below it dies or hangs: with the exit code that replaces the pod.

No process can end while a file system in user space has taken up a question of its and does not answer: the kernel
waits. So a test that lets one hang looks at what the process publishes, lets the mount answer, and looks at its end.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.processes import poll
from mounts.checkpoints import Specimens
from mounts.control import FaultyMount, faulty
from mounts.faults import Fail, Faults, Operation, Slow
from mounts.process import Warm
from sidecar_evaluator.errors import ExitCode
from support.waiting import DEADLINE

Record = Callable[[str, object], None]
EVERYTHING = tuple(Operation)


@pytest.fixture
def breakable(tmp_path: Path) -> Iterator[FaultyMount]:
    """Return a faulty mount that this test alone may break."""
    with faulty(tmp_path / "own") as mount:
        (mount.origin / "run").mkdir()
        yield mount


@pytest.mark.parametrize("death", ["killed", "not-connected"])
def test_a_dead_mount_ends_the_process_so_that_the_pod_is_replaced(
    breakable: FaultyMount, warm: Warm, specimens: Specimens, tmp_path: Path, record_property: Record, *, death: str
) -> None:
    """The evaluator waits for the next checkpoint when the mount dies."""
    version, _ = specimens.of("TensorFlow")
    version.place(breakable.origin / "run", "ckpt-1")
    with warm.evaluator(breakable.folder / "run", tmp_path / "log", "--output-dir", str(tmp_path / "out")) as process:
        process.wait_for("End of evaluation.")
        began = time.monotonic()
        if death == "killed":
            breakable.mount.kill()
        else:
            breakable.switch(Faults(fail=(Fail("ENOTCONN", EVERYTHING),)))
        assert process.exit_code() == ExitCode.STORAGE_GONE, process.end_of_log()
        record_property("measured", f"mount {death}: process ended after {time.monotonic() - began:.2f} s with 75")
    assert [line["checkpoint"] for line in results(tmp_path / "out")] == ["ckpt-1"]


def test_a_mount_that_dies_while_a_checkpoint_is_read_ends_the_process(
    breakable: FaultyMount, warm: Warm, specimens: Specimens, tmp_path: Path
) -> None:
    version, _ = specimens.of("TensorFlow")
    version.place(breakable.origin / "run", "ckpt-1")
    breakable.switch(Faults(slow=(Slow((Operation.READ,), match=f"run/ckpt-1{version.pattern}"),)))
    with warm.evaluator(breakable.folder / "run", tmp_path / "log", "--output-dir", str(tmp_path / "out")) as process:
        assert poll(lambda: breakable.met().get("slow"), DEADLINE), process.end_of_log()
        breakable.mount.kill()
        assert process.exit_code() == ExitCode.STORAGE_GONE, process.end_of_log()
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_a_read_that_hangs_is_published_as_timed_out_and_the_process_ends(
    breakable: FaultyMount, warm: Warm, specimens: Specimens, tmp_path: Path
) -> None:
    """The next process goes on: what hung is not tried again, the rest is evaluated."""
    version, other = specimens.of("TensorFlow")
    flags = ("--output-dir", str(tmp_path / "out"), "--listing-age", "0.5")
    breakable.switch(Faults(slow=(Slow((Operation.READ,), match=f"run/ckpt-1{version.pattern}"),)))
    version.place(breakable.origin / "run", "ckpt-1")
    with warm.evaluator(breakable.folder / "run", tmp_path / "log", *flags, "--evaluation-timeout", "3") as process:
        assert poll((tmp_path / "out" / "results.jsonl").exists, DEADLINE), process.end_of_log()
        assert poll(process.is_leaving, DEADLINE), process.end_of_log()
        breakable.switch(Faults())
        assert process.exit_code() == ExitCode.ERROR, process.end_of_log()
    [line] = results(tmp_path / "out")
    assert (line["checkpoint"], line["outcome"], line["reason"]) == ("ckpt-1", "failed", "TimedOut")
    other.place(breakable.origin / "run", "ckpt-2")
    (breakable.origin / "run" / "training.finished").touch()
    with warm.evaluator(breakable.folder / "run", tmp_path / "second.log", *flags) as process:
        assert process.exit_code() == ExitCode.DRAINED, process.end_of_log()
    assert [line["checkpoint"] for line in results(tmp_path / "out")] == ["ckpt-1", "ckpt-2"]


def test_a_stop_while_a_listing_hangs_is_obeyed_once_the_mount_answers(
    breakable: FaultyMount, warm: Warm, specimens: Specimens, tmp_path: Path
) -> None:
    version, _ = specimens.of("TensorFlow")
    version.place(breakable.origin / "run", "ckpt-1")
    with warm.evaluator(breakable.folder / "run", tmp_path / "log", "--output-dir", str(tmp_path / "out")) as process:
        process.wait_for("End of evaluation.")
        breakable.switch(Faults(slow=(Slow((Operation.LIST, Operation.STAT)),)))
        assert poll(lambda: breakable.met().get("slow"), DEADLINE), process.end_of_log()
        process.signal(signal.SIGTERM)
        breakable.switch(Faults())
        assert process.exit_code() == ExitCode.TERMINATED, process.end_of_log()
    assert [line["checkpoint"] for line in results(tmp_path / "out")] == ["ckpt-1"]


def results(output: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (output / "results.jsonl").read_bytes().splitlines()]
