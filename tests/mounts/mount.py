"""One mount in user space, from the start of its process until the kernel has forgotten it.

Whatever happens in between (a hung file system, a killed process, a failing test) `mounted` takes the mount away; where
the test process itself is killed, the kernel does: processes die with their parent, and mounts with `own_namespace`.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import mounts
from cluster.commands import succeeds
from cluster.errors import ClusterError
from cluster.processes import log_end, poll, require_running, spawn
from support.waiting import DEADLINE

_GRACE_SECONDS = 5.0
"""How long a file system may take to write what it holds before it is taken away by force."""

_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x00020000, 0x4000, 1 << 18


@dataclass(frozen=True)
class Mount:
    """A mounted folder and the process that serves it."""

    folder: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End the process as a crash does: the folder's transport endpoint is not connected any more."""
        self.process.kill()
        self.process.wait()


@contextmanager
def mounted(
    argv: Sequence[str | Path], folder: Path, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Mount]:
    """Run a program that mounts the folder and stays in the foreground; take both away at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = Mount(folder, spawn(argv, log, die_with_parent=True, env=env))
    try:
        _wait(mount, log)
        yield mount
    finally:
        _unmount(mount)


def own_namespace() -> None:
    """Give this thread, and all that it starts, a view of the mounts of its own, which ends with them.

    Raises OSError: the machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        number = ctypes.get_errno()
        raise OSError(number, f"mounts of one's own: {os.strerror(number)}")


def is_mounted(folder: Path) -> bool:
    """Ask the kernel's table; the folder itself may hang."""
    return bool(mounts.below(folder, mounts.MOUNTINFO.read_text()))


def _wait(mount: Mount, log: Path) -> None:
    def settled() -> bool:
        require_running(mount.process, f"the mount of {mount.folder}", log)
        return is_mounted(mount.folder)

    if not poll(settled, DEADLINE):
        raise ClusterError(f"{mount.folder} was not mounted in time; the end of {log}:\n{log_end(log)}")


def _unmount(mount: Mount) -> None:
    """Let the file system write what it holds, if it still can; then take it away by force."""
    if not (is_mounted(mount.folder) and succeeds(["timeout", str(_GRACE_SECONDS), "fusermount3", "-u", mount.folder])):
        mount.process.terminate()
    try:
        mount.process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        mount.kill()
    if is_mounted(mount.folder):
        succeeds(["fusermount3", "-u", "-z", mount.folder])
    if not poll(lambda: not is_mounted(mount.folder), DEADLINE):
        raise ClusterError(f"{mount.folder} is still mounted", f"umount --lazy {mount.folder}")
