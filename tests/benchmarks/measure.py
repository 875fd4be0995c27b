"""Measuring so that noise hits all sides alike: the sides take turns, round by round.

The groups call it. Times are of the monotonic clock, which all processes of a machine share, so that a moment noted
in one process can be compared with one noted in another.
"""

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.rows import Figure

Side = Callable[[], object]


def seconds(action: Side) -> float:
    """Return how long the action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def interleaved(sides: Mapping[str, Side], rounds: int, warm_up: int = 1) -> dict[str, Figure]:
    """Time every side once a round, starting with another one each round; rounds to warm up are not counted."""
    for number in range(warm_up):
        for name in turn(list(sides), number):
            sides[name]()
    return in_turn({name: partial(seconds, side) for name, side in sides.items()}, rounds)


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Figure]:
    """Call every side once a round, starting with another one each round; sum up what each returns."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in turn(list(sides), number):
            taken[name].append(sides[name]())
    return {name: Figure.of(values) for name, values in taken.items()}


def turn(names: list[str], number: int) -> list[str]:
    """Return the names in this round's order: nobody always comes right after the same other."""
    start = number % len(names)
    ordered = names[start:] + names[:start]
    return ordered[::-1] if number // len(names) % 2 else ordered


def until(condition: Callable[[], bool], limit: float, pause: float = 0.01) -> None:
    """Wait until the condition holds.

    Raises TimeoutError: it does not hold within `limit` seconds.
    """
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"nothing came within {limit:g} s")
        time.sleep(pause)


def peak_memory(status: Iterable[str] | None = None) -> float:
    """Return the most memory this process ever held, in MiB; what it shares with other processes counts."""
    lines = Path("/proc/self/status").read_text().splitlines() if status is None else status
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
