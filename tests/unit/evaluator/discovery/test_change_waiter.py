"""The wait between two looks, on real directories and, without events, in time that the test makes."""

import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar_evaluator.discovery import change_waiter
from sidecar_evaluator.discovery.change_waiter import DirectoryWaiter, InotifyEvents, Waker, directory_waiter
from sidecar_evaluator.discovery.filesystems import file_system_of
from sidecar_evaluator.discovery.poll_interval import PollInterval
from support.waiting import once_inside, until
from unit.evaluator.support.fakes import FakeClock

LOCAL = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
REMOTE = "21 1 0:30 / / rw - fuse.gcsfuse bucket rw\n"


class Watched:
    """A directory below the test's own, and the waiters for its changes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "runs" / "ckpt"
        self.stop = threading.Event()
        self.table = folder / "mountinfo"
        self.table.write_text(LOCAL)
        self.waiters: list[DirectoryWaiter] = []

    def waiter(self) -> DirectoryWaiter:
        self.waiters.append(directory_waiter(self.path, self.stop, file_system_of(self.path, self.table)))
        return self.waiters[-1]

    def close(self) -> None:
        self.stop.set()
        for waiter in self.waiters:
            waiter.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.close()


def is_noticed(waiter: DirectoryWaiter) -> bool:
    """Tell whether the wait ends by a change: one that misses it ends by itself, and returns False."""
    return waiter.wait(60)


def write(path: Path) -> None:
    path.write_bytes(b"weights")


def replace(path: Path) -> None:
    temporary = path.parent.parent / "temporary"
    write(temporary)
    temporary.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is written": write,
    "a file is renamed to its name": replace,
    "a sentinel is touched": Path.touch,
    "a directory is made": Path.mkdir,
    "a link is made": lambda path: path.hardlink_to(path.parent / "old"),
    "a file is written again": lambda path: write(path.parent / "old"),
    "a file is made readable": lambda path: (path.parent / "old").chmod(0o644),
    "a file is deleted": lambda path: (path.parent / "old").unlink(),
    "a file is moved away": lambda path: (path.parent / "old").rename(path.parent.parent / "older"),
    "the directory is deleted": lambda path: shutil.rmtree(path.parent),
    "the directory is moved": lambda path: path.parent.rename(path.parent.parent / "elsewhere"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_ends_the_wait(watched: Watched, change: Callable[[Path], object]) -> None:
    watched.path.mkdir(parents=True)
    write(watched.path / "old")
    waiter = watched.waiter()
    assert not waiter.wait(0)
    change(watched.path / "new")
    assert is_noticed(waiter)
    waiter.wait(0)  # a directory that has gone is watched from above
    assert not waiter.wait(0)


def test_a_change_from_another_thread_ends_the_wait(watched: Watched) -> None:
    watched.path.mkdir(parents=True)
    waiter = watched.waiter()
    for number in range(5):
        with once_inside(Waker.wait, lambda: write(watched.path / f"ckpt-{number}")):  # noqa: B023 - called in the block
            until(lambda: is_noticed(waiter))
        while waiter.wait(0):
            pass


def test_reading_and_looking_end_no_wait(watched: Watched) -> None:
    watched.path.mkdir(parents=True)
    write(watched.path / "old")
    waiter = watched.waiter()
    (watched.path / "old").read_bytes()
    (watched.path / "old").stat()
    list(watched.path.iterdir())
    assert not waiter.wait(0)


def test_a_directory_that_does_not_exist_is_waited_for_with_all_above_it(watched: Watched) -> None:
    waiter = watched.waiter()
    with once_inside(Waker.wait, lambda: watched.path.mkdir(parents=True)):
        until(lambda: is_noticed(waiter) and watched.path.exists())
    while waiter.wait(0):
        pass
    write(watched.path / "new")
    assert is_noticed(waiter)


def test_a_directory_that_is_made_again_is_watched_again(watched: Watched) -> None:
    watched.path.mkdir(parents=True)
    waiter = watched.waiter()
    for _ in range(3):
        shutil.rmtree(watched.path.parent)
        watched.path.mkdir(parents=True)
        while waiter.wait(0):
            pass
        write(watched.path / "new")
        assert is_noticed(waiter)


def test_a_directory_above_that_is_replaced_is_noticed_at_the_next_wait(watched: Watched) -> None:
    watched.path.mkdir(parents=True)
    waiter = watched.waiter()
    watched.path.parent.rename(watched.path.parent.parent / "earlier")
    watched.path.mkdir(parents=True)
    assert is_noticed(waiter)
    while waiter.wait(0):
        pass
    write(watched.path / "new")
    assert is_noticed(waiter)


def test_ten_thousand_files_end_one_wait(watched: Watched) -> None:
    watched.path.mkdir(parents=True)
    waiter = watched.waiter()
    for number in range(10_000):
        (watched.path / str(number)).touch()  # three events each: more than the kernel keeps
    assert is_noticed(waiter)
    assert not waiter.wait(0)


class RestingWaker(Waker):
    """Waits for events as they come, and rests between two looks in the time that the test makes."""

    def __init__(self, clock: FakeClock, stop: threading.Event) -> None:
        self.clock, self.resting = clock, stop
        super().__init__(stop)

    def wait(self, seconds: float, *descriptors: int) -> bool:
        return super().wait(seconds, *descriptors) if descriptors else self.clock.wait(seconds, self.resting)


def test_a_flood_of_events_causes_few_looks(watched: Watched) -> None:
    watched.path.mkdir(parents=True)
    clock = FakeClock()
    waker, events = RestingWaker(clock, watched.stop), InotifyEvents(watched.path)
    waiter = DirectoryWaiter(waker, PollInterval(), events, now=clock.monotonic)
    watched.waiters.append(waiter)
    looks, done = 0, threading.Event()

    def flood() -> None:
        for number in range(5_000):
            (watched.path / str(number)).touch()
        done.set()
        (watched.path / "last").touch()  # ends the wait that may be running

    writer = threading.Thread(target=flood)
    writer.start()
    while not done.is_set():
        waiter.wait(60)
        waiter.looked(0.2, None)  # a slow look
        looks += 1
    writer.join()
    assert looks <= 5 + (clock.now - 1000.0)


@pytest.mark.parametrize("table", [LOCAL, REMOTE])
def test_a_stop_ends_the_wait_at_once(watched: Watched, table: str) -> None:
    watched.table.write_text(table)
    watched.path.mkdir(parents=True)
    waiter = watched.waiter()
    waiter.looked(30.0, None)  # the next look would be far away
    with once_inside(Waker.wait, watched.stop.set):
        until(lambda: waiter.wait(60))
    assert waiter.wait(60)


@pytest.mark.parametrize("table", [LOCAL, REMOTE])
def test_another_thread_can_end_a_wait_and_the_next_one_waits_again(watched: Watched, table: str) -> None:
    watched.table.write_text(table)
    waiter = watched.waiter()
    waiter.looked(30.0, None)
    waiter.wake()
    waiter.wake()
    assert is_noticed(waiter)
    assert not waiter.wait(0.01)


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_closing_is_clean_and_may_be_done_twice(watched: Watched) -> None:
    before = open_files()
    waiter = watched.waiter()
    waiter.close()
    waiter.close()
    waiter.wake()
    assert open_files() <= before
    watched.stop.set()


class LimitReached:
    """What an INotify raises where a limit of the kernel is reached."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, *_: object, **__: object) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("method", "number"), [("__init__", errno.EMFILE), ("add_watch", errno.ENOSPC), ("add_watch", errno.EACCES)]
)
def test_where_the_kernel_refuses_the_directory_is_polled(
    watched: Watched, method: str, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(f"inotify_simple.INotify.{method}", LimitReached(number))
    watched.path.mkdir(parents=True)
    waiter = watched.waiter()
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert os.strerror(number) in warning.message
    waiter.looked(1.0, None)
    with once_inside(Waker.wait, lambda: write(watched.path / "new")):
        until(lambda: is_noticed(waiter))


def test_a_watch_that_fails_later_is_replaced_by_polls(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watched.path.mkdir(parents=True)
    waiter = watched.waiter()
    monkeypatch.setattr("inotify_simple.INotify.add_watch", LimitReached(errno.ENOSPC))
    waiter.looked(0.001, None)
    for _ in range(3):
        assert not waiter.wait(0.01)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


class FakeWaker(Waker):
    """A waker in the test's own time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.stop = clock, threading.Event()

    def wait(self, seconds: float, *descriptors: int) -> bool:
        return self.clock.wait(seconds, self.stop)


def test_without_events_the_wait_is_as_long_as_the_pace_says() -> None:
    clock = FakeClock()
    waiter = DirectoryWaiter(FakeWaker(clock), PollInterval(0.1), now=clock.monotonic)
    for look, seconds in ((0.0001, 0.1), (0.0001, 0.1), (0.01, 0.1), (0.01, 0.5), (9.0, 0.5), (9.0, 5.0)):
        before = clock.now
        waiter.looked(look, None)
        assert not waiter.wait(60)
        assert clock.now - before == pytest.approx(seconds)
    before = clock.now
    assert not waiter.wait(0.02)
    assert clock.now - before == pytest.approx(0.02)


def test_a_changed_time_of_the_directory_ends_a_poll_early() -> None:
    clock = FakeClock()
    states = {"now": 1}
    waiter = DirectoryWaiter(FakeWaker(clock), PollInterval(0.02), state=lambda: states["now"], now=clock.monotonic)
    waiter.looked(1.0, None)
    clock.at(0.1, lambda: states.update(now=2))
    assert waiter.wait(60)
    assert clock.now == pytest.approx(1000.12, abs=0.021)
    assert not waiter.wait(0.5)
    assert clock.now == pytest.approx(1000.62, abs=0.03)


def test_a_directory_without_a_mount_table_is_polled_by_its_time(watched: Watched) -> None:
    watched.table = watched.path / "missing"
    waiter = watched.waiter()
    waiter.looked(1.0, None)
    with once_inside(Waker.wait, lambda: watched.path.mkdir(parents=True)):
        until(lambda: is_noticed(waiter))


def test_a_remote_directory_is_never_watched(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_waiter, "InotifyEvents", LimitReached(errno.EIO))
    watched.table.write_text(REMOTE)
    assert not watched.waiter().wait(0.01)


def test_the_place_of_a_link_decides(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    watched.table.write_text(LOCAL + f"22 21 0:30 / {tmp_path / 'mounted'} rw - nfs4 server:/x rw\n")
    watched.path.parent.mkdir()
    watched.path.symlink_to(tmp_path / "mounted")
    waiter = watched.waiter()
    write(tmp_path / "mounted" / "new")
    assert not waiter.wait(0.01)


def test_events_of_an_overflow_count_as_a_change(tmp_path: Path) -> None:
    events = InotifyEvents(tmp_path)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit // 3 + 10):
        path = tmp_path / str(number % 2)
        path.touch()
        path.unlink()
    assert events.drain()
    assert not events.drain()
    events.close()
