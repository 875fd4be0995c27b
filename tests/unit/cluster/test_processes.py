import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.processes import ProcessRecord, Records, naming, require_running, spawn, stop
from support.waiting import until


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "3600"])
    yield process
    process.kill()
    process.wait()


def test_a_recorded_process_is_known_again(sleeper: subprocess.Popen[bytes]) -> None:
    assert ProcessRecord.of(sleeper.pid).alive()


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}])
def test_another_process_with_the_same_id_is_never_touched(
    sleeper: subprocess.Popen[bytes], change: dict[str, object]
) -> None:
    stranger = replace(ProcessRecord.of(sleeper.pid), **change)  # type: ignore[arg-type]
    assert not stranger.alive()
    stop(stranger, grace=0.1)
    assert sleeper.poll() is None


def test_a_zombie_does_not_run(sleeper: subprocess.Popen[bytes]) -> None:
    record = ProcessRecord.of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not record.alive()


def test_stop_kills_what_ignores_the_first_signal(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(3600)"
    )
    process = spawn([sys.executable, "-c", script], tmp_path / "log")
    until(lambda: (tmp_path / "log").read_text() == "on\n")
    stop(ProcessRecord.of(process.pid), grace=0.2)
    assert process.wait() == -signal.SIGKILL


def test_processes_are_found_by_name_and_folder(tmp_path: Path) -> None:
    program = tmp_path / "etcd"
    program.symlink_to("/bin/sleep")
    (tmp_path / "log").mkdir()
    ours = spawn([program, "3600"], tmp_path / "log" / "etcd.log")
    try:
        until(lambda: naming(tmp_path, ["etcd"]) == [ProcessRecord.of(ours.pid)])
        assert not naming(tmp_path, ["kubelet"])
        assert not naming(tmp_path / "elsewhere", ["etcd"])
    finally:
        ours.kill()
        ours.wait()


def test_records_outlive_their_writer_and_half_written_ones_count_as_none(tmp_path: Path) -> None:
    records = Records(tmp_path / "run")
    assert records.read() == {}
    record = ProcessRecord(1, 2, "boot", "/bin/etcd")
    records.write("etcd", record)
    (tmp_path / "run" / "kubelet.json").write_text('{"pid": 1')
    (tmp_path / "run" / "coredns.json").write_text(json.dumps({"id": 1}))
    assert records.read() == {"etcd": record}


def test_an_ended_program_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn(["/bin/sh", "-c", "echo no such flag; exit 3"], log)
    process.wait()
    with pytest.raises(ClusterError, match=r"(?s)etcd ended with code 3.*no such flag"):
        require_running(process, "etcd", log)


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"""
import sys, time
from pathlib import Path
from cluster.processes import spawn
print(spawn(["/bin/sleep", "3600"], Path({str(log)!r}), die_with_parent=True).pid, flush=True)
time.sleep(3600)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        until(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        record = ProcessRecord.of(child)
        parent.kill()
    until(lambda: not record.alive())
