"""Print each long step of the demo as it starts and as it ends, with the seconds it took.

Everything that makes the user wait goes through `step`, so that nobody looks at a silent terminal.
"""

import contextlib
import time
from collections.abc import Iterator


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Say that a step begins, and how long it took once it is done."""
    print(f"» {title} …", flush=True)
    started = time.monotonic()
    yield
    print(f"  done in {time.monotonic() - started:.1f} s", flush=True)
