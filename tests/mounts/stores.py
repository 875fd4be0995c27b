"""A bucket that training and the evaluator see through a mount each, as on two nodes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.programs import Programs
from mounts.mount import Mount
from mounts.servers import gcs, s3

# A training that saves Orbax steps renames directories, which gcsfuse allows on its own only on large machines.
_RENAMES = "--rename-dir-limit=200000"

MountBucket = Callable[[Path, Path], AbstractContextManager[Mount]]


@dataclass(frozen=True)
class Store:
    """One bucket, mounted twice."""

    name: str
    training: Path
    evaluator: Path


@contextmanager
def store(name: str, programs: Programs, folder: Path) -> Iterator[Store]:
    """Run the object store and mount its bucket on both sides, with the driver's own options unless named."""
    with ExitStack() as stack:
        mount = MOUNTS[name](stack, programs, folder)
        sides = [folder / side for side in ("training", "evaluator")]
        for side in sides:
            stack.enter_context(mount(side, folder / f"{side.name}.log"))
        yield Store(name, *sides)


def _gcsfuse(stack: ExitStack, programs: Programs, folder: Path) -> MountBucket:
    """Mount with the driver's defaults: what is known of a file stays known for 60 s, what is not there for 5 s."""
    server = stack.enter_context(gcs(programs, folder))
    return lambda place, log: server.mount(place, log, [_RENAMES])


def _gcsfuse_fresh(stack: ExitStack, programs: Programs, folder: Path) -> MountBucket:
    """Mount as the operator does: nothing about files is kept."""
    server = stack.enter_context(gcs(programs, folder))
    return lambda place, log: server.mount(place, log, ["--metadata-cache-ttl-secs=0", _RENAMES])


def _s3fs(stack: ExitStack, programs: Programs, folder: Path) -> MountBucket:
    """Mount so that what is known of a file is kept for a second: by itself s3fs keeps it for a quarter of an hour."""
    server = stack.enter_context(s3(programs, folder))
    return lambda place, log: server.mount(place, log, ["stat_cache_expire=1"])


MOUNTS: dict[str, Callable[[ExitStack, Programs, Path], MountBucket]] = {
    "gcsfuse": _gcsfuse,
    "gcsfuse-ttl-0": _gcsfuse_fresh,
    "s3fs": _s3fs,
}
