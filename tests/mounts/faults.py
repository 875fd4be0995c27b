"""What is wrong with a faulty mount, as a value: a test writes it down, the file system's process obeys it.

Paths are matched by shell patterns against the path below the mount, without a leading slash. Everything here goes
through JSON, since the file system runs in a process of its own.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

FOR_EVER = None


class Operation(StrEnum):
    """What a program asks of a file system; CREATE is asked for a new file, and OPEN for one that is there."""

    LIST = "list"
    STAT = "stat"
    OPEN = "open"
    READ = "read"
    CREATE = "create"
    WRITE = "write"


class Times(StrEnum):
    """What the file system tells of the time of a file's last change."""

    TRUE = "true"
    SECONDS = "seconds"
    ZERO = "zero"
    NOW = "now"


class Deed(StrEnum):
    """What a training does to a file that is being read."""

    REPLACE = "replace"
    DELETE = "delete"
    APPEND = "append"


@dataclass(frozen=True)
class Fail:
    """An operation fails with an error (its name, such as ESTALE), so many times."""

    error: str
    on: tuple[Operation, ...]
    match: str = "*"
    times: int | None = FOR_EVER


@dataclass(frozen=True)
class Slow:
    """An operation takes so many seconds; for ever means until the faults change."""

    on: tuple[Operation, ...]
    seconds: float | None = FOR_EVER
    match: str = "*"


@dataclass(frozen=True)
class Meanwhile:
    """After so many reads of a file, training does something to it, once; `source` is a file elsewhere."""

    do: Deed
    match: str
    source: str = ""
    reads: int = 1


@dataclass(frozen=True)
class Faults:
    """All that is wrong at one time.

    `stale` files and a `stale_listing` are shown as they were when these faults began; what was not there then, is not.
    A name that matches `negative` and was looked for in vain stays missing until its directory is listed.
    `short` files tell their whole size and hold only half of it, `zeroed` ones read as zeros from there on.
    """

    fail: tuple[Fail, ...] = ()
    slow: tuple[Slow, ...] = ()
    meanwhile: tuple[Meanwhile, ...] = ()
    stale: str = ""
    stale_listing: bool = False
    negative: str = ""
    short: str = ""
    zeroed: str = ""
    times: Times = Times.TRUE
    changing_inodes: bool = False

    def to_json(self) -> str:
        """Return the faults as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Faults":
        """Return the faults that a line of JSON names."""
        read: dict[str, Any] = json.loads(text)
        kinds: dict[str, Callable[..., Any]] = {"fail": Fail, "slow": Slow, "meanwhile": Meanwhile}
        return cls(**{name: _parsed(kinds.get(name), value) for name, value in read.items()})


def matches(path: str, pattern: str) -> bool:
    """Tell whether a pattern is meant for this path; an empty one is meant for none."""
    return bool(pattern) and fnmatchcase(path.lstrip("/"), pattern)


def _parsed(kind: Callable[..., Any] | None, value: Any) -> Any:
    if kind is None:
        return value
    entries = (
        {name: tuple(part) if isinstance(part, list) else part for name, part in fields.items()} for fields in value
    )
    return tuple(kind(**entry) for entry in entries)
