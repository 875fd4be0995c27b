"""The faulty file system does what its faults say; every other test of this folder relies on it."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.processes import ProcessRecord
from mounts.control import FaultyMount, faulty
from mounts.faults import Deed, Fail, Faults, Meanwhile, Operation, Slow, Times
from mounts.mount import is_mounted
from support.waiting import DEADLINE, until

CONTENT = b"x" * 10_000


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_somehow(file: Path) -> None:
    with suppress(OSError):
        file.read_bytes()


@pytest.fixture
def file(mount: FaultyMount) -> Path:
    """Return a file of the mount, written on the other side."""
    (mount.origin / "file").write_bytes(CONTENT)
    return mount.folder / "file"


def test_without_faults_it_is_the_folder_behind_it(mount: FaultyMount, file: Path) -> None:
    (mount.folder / "sub").mkdir(exist_ok=True)
    (mount.folder / "sub" / "other").write_bytes(b"written here")
    (mount.folder / "sub" / "other").rename(mount.folder / "sub" / "renamed")
    assert file.read_bytes() == CONTENT
    assert names(mount.folder / "sub") == ["renamed"]
    assert (mount.origin / "sub" / "renamed").read_bytes() == b"written here"
    with (mount.folder / "sub" / "renamed").open("ab") as appended:
        appended.write(b", and on")
    assert (mount.origin / "sub" / "renamed").read_bytes() == b"written here, and on"


def test_faults_survive_the_way_to_the_process() -> None:
    faults = Faults(
        fail=(Fail("EIO", (Operation.READ,), "*", 3),),
        slow=(Slow((Operation.OPEN,), 0.5),),
        meanwhile=(Meanwhile(Deed.DELETE, "a"),),
        times=Times.NOW,
    )
    assert Faults.from_json(faults.to_json()) == faults


def test_a_stale_mount_shows_what_was(mount: FaultyMount, file: Path) -> None:
    mount.switch(Faults(stale="*", stale_listing=True))
    (mount.origin / "later").write_bytes(b"later")
    (mount.origin / "file").write_bytes(b"written again")
    assert "later" not in names(mount.folder)
    assert not (mount.folder / "later").exists()
    assert (file.read_bytes(), file.stat().st_size) == (CONTENT, len(CONTENT))
    mount.switch(Faults())
    assert "later" in names(mount.folder)
    assert file.read_bytes() == b"written again"


def test_a_name_looked_for_in_vain_stays_missing_until_its_directory_is_listed(mount: FaultyMount) -> None:
    mount.switch(Faults(negative="vain*"))
    for name in ("vain", "other"):
        assert not (mount.folder / name).exists()
        (mount.origin / name).touch()
    assert (mount.folder / "other").exists()
    assert not (mount.folder / "vain").exists()
    assert "vain" in names(mount.folder)
    assert (mount.folder / "vain").exists()


@pytest.mark.parametrize(
    ("operation", "act"),
    [
        (Operation.READ, Path.read_bytes),
        (Operation.OPEN, Path.read_bytes),
        (Operation.LIST, lambda file: names(file.parent)),
    ],
)
def test_an_operation_fails_as_often_as_asked(
    mount: FaultyMount, file: Path, operation: Operation, act: Callable[[Path], object]
) -> None:
    file.stat()
    mount.switch(Faults(fail=(Fail("EIO", (operation,), times=2),)))
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output") as error:
            act(file)
        assert error.value.errno == errno.EIO
    act(file)
    assert mount.met()["EIO"] == 2


def test_training_acts_in_the_middle_of_a_read(mount: FaultyMount, file: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"n" * len(CONTENT))
    mount.switch(Faults(meanwhile=(Meanwhile(Deed.REPLACE, "file", str(tmp_path / "new")),)))
    read = file.read_bytes()
    assert read.startswith(b"x")
    assert read.endswith(b"n")
    (tmp_path / "more").write_bytes(b"more")
    mount.switch(Faults(meanwhile=(Meanwhile(Deed.APPEND, "file", str(tmp_path / "more")),)))
    assert file.read_bytes() == b"n" * len(CONTENT) + b"more"
    mount.switch(Faults(meanwhile=(Meanwhile(Deed.DELETE, "file"),)))
    with pytest.raises(OSError, match=r"Stale|No such file"):
        file.read_bytes()
    assert not (mount.origin / "file").exists()


def test_a_size_may_promise_more_than_there_is(mount: FaultyMount, file: Path) -> None:
    mount.switch(Faults(short="file"))
    assert (file.stat().st_size, len(file.read_bytes())) == (len(CONTENT), len(CONTENT) // 2)
    mount.switch(Faults(zeroed="file"))
    assert file.read_bytes() == CONTENT[: len(CONTENT) // 2] + bytes(len(CONTENT) // 2)


def test_times_and_inodes_may_be_odd(mount: FaultyMount, file: Path) -> None:
    os.utime(mount.origin / "file", ns=(10**18 + 1, 10**18 + 1))
    shown = {}
    for times in Times:
        mount.switch(Faults(times=times))
        shown[times] = file.stat().st_mtime_ns
    assert (shown[Times.TRUE], shown[Times.SECONDS], shown[Times.ZERO]) == (10**18 + 1, 10**18, 0)
    assert shown[Times.NOW] > 10**18 + 1
    mount.switch(Faults(changing_inodes=True))
    assert file.stat().st_ino != file.stat().st_ino


def test_a_read_hangs_until_the_faults_change(mount: FaultyMount, file: Path) -> None:
    mount.switch(Faults(slow=(Slow((Operation.READ,)),)))
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(file.read_bytes()))
    thread.start()
    until(lambda: mount.met().get("slow"))
    assert not read
    mount.switch(Faults())
    thread.join(DEADLINE)
    assert read == [CONTENT]


def test_a_killed_mount_is_not_connected_and_is_taken_away(tmp_path: Path) -> None:
    with faulty(tmp_path / "killed") as mount:
        (mount.origin / "file").write_bytes(CONTENT)
        mount.mount.kill()
        with pytest.raises(OSError, match="endpoint is not connected"):
            names(mount.folder)
        assert is_mounted(mount.folder)
    assert not is_mounted(mount.folder)


def test_a_hanging_mount_is_taken_away(tmp_path: Path) -> None:
    with faulty(tmp_path / "hanging") as mount:
        (mount.origin / "file").write_bytes(CONTENT)
        mount.switch(Faults(slow=(Slow((Operation.READ,)),)))
        thread = threading.Thread(target=read_somehow, args=(mount.folder / "file",))
        thread.start()
        until(lambda: mount.met().get("slow"))
    thread.join(DEADLINE)
    assert not is_mounted(mount.folder)


KILLED = """
import sys, time
from pathlib import Path
from mounts.control import faulty
from mounts.mount import own_namespace
own_namespace()
with faulty(Path(sys.argv[1])) as mount:
    print(mount.mount.process.pid, flush=True)
    time.sleep(3600)
"""


def test_a_test_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "left"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", KILLED, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        served = ProcessRecord.of(int(process.stdout.readline()))
        process.kill()
    until(lambda: not served.alive())
    assert not is_mounted(folder / "mount")
    assert list((folder / "mount").iterdir()) == []
