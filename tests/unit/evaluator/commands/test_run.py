"""The command as a process: signals, deadlines, probes, the way out. A fake model spares it TensorFlow."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar_evaluator.commands import shutdown
from support.waiting import DEADLINE, until
from unit.evaluator.support.recorder import Recorder
from unit.evaluator.support.running import Process, free_port, read

Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def make(*flags: str) -> Process:
        started.append(Process(tmp_path, *flags))
        return started[-1]

    yield make
    for process in started:
        process.process.kill()
        process.process.communicate()


def test_it_exits_with_0_once_all_is_evaluated(start: Start) -> None:
    process = start("--selection=Every")
    process.save(1)
    process.save(2)
    process.finish()
    code, errors = process.wait()
    assert code == 0
    assert errors.count("End of evaluation. Metrics: loss=0.25") == 2


@pytest.mark.parametrize(("batches", "grace"), [("endless", 10 * DEADLINE), ("one that hangs", 0.1)])
def test_sigterm_ends_it_after_the_batch_in_hand_and_a_batch_that_hangs_after_the_grace_period(
    batches: str, grace: float, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRACE_SECONDS", str(grace))
    process = start(f"--parameter=batches={batches}")
    process.save(1)
    until((process.directory / "in-a-batch").exists)
    process.process.send_signal(signal.SIGTERM)
    code, errors = process.wait()
    assert code == 143
    assert "End of evaluation" not in errors


def test_the_grace_period_is_shorter_than_five_seconds() -> None:
    assert shutdown.GRACE_SECONDS < 5


def test_an_evaluation_past_its_limit_is_failed_and_the_process_ends(start: Start) -> None:
    process = start("--parameter=batches=one that hangs", "--evaluation-timeout=0.5")
    process.save(1)
    code, errors = process.wait()
    assert code == 1
    assert "Checkpoint ckpt-1 failed (TimedOut)" in errors


def test_it_is_ready_once_model_and_directory_are_there(start: Start) -> None:
    port = free_port()
    process = start(f"--port={port}")
    until(lambda: read(port, "/readyz") == "ok\n")
    assert read(port, "/healthz") == "ok\n"
    process.save(5)
    until(lambda: "sidecareval_checkpoint_step 5.0" in read(port, "/metrics"))
    process.finish()
    assert process.wait()[0] == 0


def test_a_directory_that_does_not_exist_yet_is_waited_for_and_not_ready(start: Start) -> None:
    port = free_port()
    process = start(f"--port={port}", "--checkpoint-dir=later")
    until(lambda: read(port, "/healthz") == "ok\n")
    until(lambda: 'phase="waiting"' in read(port, "/metrics"))
    assert read(port, "/readyz") == ""
    (process.directory / "later").mkdir()
    until(lambda: read(port, "/readyz") == "ok\n")


def test_a_checkpoint_that_training_writes_again_is_evaluated_again(start: Start) -> None:
    process = start("--output-dir=output", "--parameter=batches=none", "--selection=Every")
    for number in (1, 2):
        process.save(number)
    lines = process.directory / "output" / "results.jsonl"

    def settled() -> list[tuple[str, bool]]:
        entries = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
        return [(entry["checkpoint"], entry.get("writtenAgain", False)) for entry in entries]

    until(lambda: len(settled()) == 2)
    an_hour_later = time.time() + 3600
    os.utime(process.directory / "ckpt" / "ckpt-1.empty", (an_hour_later, an_hour_later))
    until(lambda: len(settled()) == 3)
    process.finish()
    assert process.wait()[0] == 0
    assert settled() == [("ckpt-1", False), ("ckpt-2", False), ("ckpt-1", True)]


def test_a_wrong_entry_point_exits_with_78_and_says_why(start: Start) -> None:
    process = start("--entrypoint=evaluate:bild")
    code, errors = process.wait()
    assert code == 78
    assert "has no bild" in process.log.read_text()
    assert "Traceback" not in errors


def test_without_a_cluster_a_resource_exits_with_78(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", json.dumps("/nonexistent"))
    code, errors = start("--resource=ns/name").wait()
    assert code == 78
    assert "--resource needs a cluster" in errors


def kubeconfig(server: Recorder, folder: Path) -> Path:
    """Write the configuration of a client of this server."""
    path = folder / "kubeconfig"
    cluster = {"clusters": [{"name": "c", "cluster": {"server": server.url}}], "users": [{"name": "u", "user": {}}]}
    context = {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **cluster, **context}))
    return path


def test_while_the_api_server_cannot_be_reached_it_is_not_ready(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = {
        "metadata": {"uid": "u-1", "resourceVersion": "7"},
        "type": "ADDED",
        "object": {},
    }  # a read, and an event
    with Recorder() as server:
        server.otherwise = (200, json.dumps(resource) + "\n")
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(server, tmp_path)))
        monkeypatch.setenv("POD_NAME", "pod-1")
        monkeypatch.setenv("SILENCE_SECONDS", "0.5")
        port = free_port()
        start(f"--port={port}", "--resource=ns/mnist")
        until(lambda: read(port, "/readyz") == "ok\n")
        until(lambda: any(request["method"] == "PATCH" for request in server.requests))
        written = next(request["body"] for request in server.requests if request["method"] == "PATCH")
        assert json.loads(written)["status"]["results"]["evaluator"]["pod"] == "pod-1"
        server.otherwise = (503, "{}")
        until(lambda: read(port, "/readyz") == "")
        assert read(port, "/healthz") == "ok\n"
        server.otherwise = (200, json.dumps(resource) + "\n")
        until(lambda: read(port, "/readyz") == "ok\n")
