"""kill -9 at every point of a run, then a restart: nothing repeated, nothing lost, best kept.

Each test enumerates: for each kind of touch of the outside world it kills the first run at the
first, second, third, ... of that kind, until a run comes to its end by itself.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from unit.evaluator.support import crashing
from unit.evaluator.support.crashing import World

IN_ORDER = {"ckpt-1": 0.3, "extra": 0.1, "ckpt-2": float("nan"), "ckpt-3": 0.7, "ckpt-4": 0.6}
WITH_LATE_ONES = {"ckpt-2": 0.3, "ckpt-4": float("nan"), "extra": 0.1, "ckpt-1": 0.7}
STATUS = ("--resource=default/mnist", "--history-limit=50")
OUTPUT = ("--output-dir={root}/output",)
COPIES = ("--keep-best=1",)
PRIMARY = ("--primary-metric=accuracy",)

EVERYWHERE = {"look", "read", "score", "scored"}
BY_STATUS = {"apply", "applied"}
BY_OUTPUT = {"open", "write", "torn-write", "fsync", "mkdir"}
BY_COPIES = {"unlink", "rmdir"}


Lives = Callable[..., bool]


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    """Run lives in children of a fresh process: one that other tests let import JAX must not fork."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda *arguments: pool.submit(crashing.lives, *arguments).result()


def published(world: World) -> set[str]:
    """Return the names that somebody outside the process may have seen settled."""
    return {entry["checkpoint"] for entry in (*world.status().get("history", ()), *world.lines())}


def enumerate_kills(
    lives: Lives, root: Path, accuracies: dict[str, float], flags: tuple[str, ...], points: set[str]
) -> Iterator[World]:
    """Kill at each point in turn, restart, and yield what was left after the restart."""
    for kind in sorted(points):
        for number in count(1):
            place = root / f"{kind}-{number}"
            (place / "ckpt").mkdir(parents=True)
            world = World(place, accuracies, tuple(flag.format(root=place) for flag in flags))
            went_to_its_end = lives(world, (kind, number))
            before, scored = published(world), len(world.scored())
            assert went_to_its_end or lives(world)
            assert not before & set(world.scored()[scored:]), "what was published is evaluated again"
            yield world
            if went_to_its_end:
                assert number > 1, f"never killed at {kind}"
                assert world.points() == points
                break


def check_journal(world: World, selected: set[str]) -> None:
    lines = world.lines()
    assert Counter(line["checkpoint"] for line in lines) == Counter(selected)
    assert {line["outcome"] for line in lines} == {"evaluated"}


def check_status(world: World, selected: set[str], best: str) -> None:
    status = world.status()
    assert Counter(entry["checkpoint"] for entry in status["history"]) == Counter(selected)
    assert status["ended"]["reason"] == "TrainingFinished"
    assert (status["counts"]["evaluated"], status["counts"]["failed"], status["counts"]["gone"]) == (
        len(selected),
        0,
        0,
    )
    assert status["best"]["checkpoint"] == best


def check_copy(world: World, best: str) -> None:
    """Check that there is one copy, of the best, and no part of another."""
    marked = [path.parent for path in (world.output / "best").glob("*/.sidecar-evaluator")]
    assert [place.name for place in marked] == [best]
    manifest: dict[str, Any] = json.loads((marked[0] / "manifest.json").read_text())
    assert manifest["checkpoint"] == best
    for file in manifest["files"]:
        content = (marked[0] / file["name"]).read_bytes()
        assert content == (world.checkpoints / file["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


def best_of(names: set[str], accuracies: dict[str, float]) -> str:
    return max((name for name in names if math.isfinite(accuracies[name])), key=lambda name: accuracies[name])


@pytest.mark.parametrize(
    ("accuracies", "flags", "points"),
    [
        (WITH_LATE_ONES, STATUS + OUTPUT + COPIES, EVERYWHERE | BY_STATUS | BY_OUTPUT | BY_COPIES),
        (WITH_LATE_ONES, OUTPUT, EVERYWHERE | BY_OUTPUT),
        (IN_ORDER, STATUS, EVERYWHERE | BY_STATUS),
    ],
    ids=["status and output", "output alone", "status alone"],
)
def test_every_checkpoint_is_settled_once(
    lives: Lives, accuracies: dict[str, float], flags: tuple[str, ...], points: set[str], tmp_path: Path
) -> None:
    selected, best = set(accuracies), best_of(set(accuracies), accuracies)
    for world in enumerate_kills(lives, tmp_path, accuracies, ("--selection=Every", *PRIMARY, *flags), points):
        if OUTPUT[0] in flags:
            check_journal(world, selected)
        if COPIES[0] in flags:
            check_copy(world, best)
        if STATUS[0] in flags:
            check_status(world, selected, best)
            assert world.status()["counts"]["skipped"] == 0


@pytest.mark.parametrize(
    ("flags", "points"),
    [(STATUS + OUTPUT, EVERYWHERE | BY_STATUS | BY_OUTPUT), (STATUS, EVERYWHERE | BY_STATUS)],
    ids=["status and output", "status alone"],
)
def test_the_newest_is_settled_once_and_each_other_counted_once(
    lives: Lives, flags: tuple[str, ...], points: set[str], tmp_path: Path
) -> None:
    for world in enumerate_kills(lives, tmp_path, IN_ORDER, ("--selection=Latest", *PRIMARY, *flags), points):
        status = world.status()
        settled = {entry["checkpoint"] for entry in status["history"]}
        best = best_of(settled, IN_ORDER)
        check_status(world, settled, best)
        assert "ckpt-4" in settled
        assert status["counts"]["evaluated"] + status["counts"]["skipped"] == len(IN_ORDER)
        if OUTPUT[0] in flags:
            check_journal(world, settled)
            assert sum(line["skipped"] for line in world.lines()) == status["counts"]["skipped"]
