"""One command at a time on one cluster: `up`, `down` and what changes the node take this lock or are refused.

It is the kernel's lock on an open file, so it ends with its holder, however that ends, and is never stale.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import ClusterError


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Hold the lock of the cluster in this folder, or raise naming the process that holds it."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ClusterError(
                f"another command (process {file.read().strip() or 'unknown'}) is changing the cluster in {state}",
                "wait until it has finished, then try again",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
