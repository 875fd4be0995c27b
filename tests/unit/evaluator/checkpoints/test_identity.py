"""Which checkpoint it is: by name, by time where the name holds no number, and in what order."""

from datetime import UTC, datetime

import pytest

from sidecar_evaluator.checkpoints.identity import CheckpointId, checkpoint_id


def identity(name: str, written_at: float = 1.0) -> CheckpointId:
    numbers = {"a-7": 7, "b-7": 7, "a-8": 8, "e-1-200": 200, "e-2-100": 100}
    return checkpoint_id(name, numbers.get(name), written_at)


@pytest.mark.parametrize(
    ("one", "other", "is_equal", "is_same_save"),
    [
        (identity("a-7"), identity("a-7"), True, True),
        (identity("a-7"), identity("a-7", 2.0), True, False),
        (identity("a-7"), identity("b-7"), False, False),
        (identity("best"), identity("best"), True, True),
        (identity("best"), identity("best", 2.0), False, False),
        (identity("best", 1.0000001), identity("best", 1.0), True, True),
    ],
)
def test_equality(one: CheckpointId, other: CheckpointId, is_equal: bool, is_same_save: bool) -> None:
    assert (one == other, one.is_same_save(other)) == (is_equal, is_same_save)
    assert (hash(one) == hash(other)) is is_equal


@pytest.mark.parametrize(
    ("older", "newer", "is_passed"),
    [
        (identity("a-7"), identity("a-8"), True),
        (identity("a-8"), identity("a-7"), False),
        (identity("a-7", 1.0), identity("b-7", 2.0), True),
        (identity("best", 1.0), identity("last", 2.0), True),
        (identity("best", 1.0), identity("a-8", 2.0), False),
        (identity("a-7", 1.0), identity("last", 2.0), False),
        (identity("e-1-200", 1.0), identity("e-2-100", 2.0), True),
        (identity("e-2-100", 2.0), identity("e-1-200", 1.0), False),
        (identity("e-1-200", 9.0), identity("e-2-100", 2.0), False),  # the time says the opposite
        (identity("e-1-200", 3.9), identity("e-2-100", 2.0), True),  # a file system with coarse times
        (identity("e-2-100", 1.0), identity("a-7", 2.0), False),
        (identity("a-7", 1.0), identity("e-2-100", 2.0), False),
    ],
)
def test_all_numbers_together_tell_the_order_of_names_with_equally_many(
    older: CheckpointId, newer: CheckpointId, is_passed: bool
) -> None:
    assert older.is_passed_by(newer) is is_passed


@pytest.mark.parametrize(
    ("one", "other", "is_after", "is_superseded"),
    [
        (identity("a-7", 9.0), identity("a-7", 1.0), True, False),
        (identity("a-7", 1.0), identity("a-7", 9.0), False, True),
        (identity("a-8", 1.0), identity("a-7", 9.0), False, True),
        (identity("a-7", 1.0), identity("a-8", 9.0), False, False),
        (identity("a-8", 9.0), identity("a-7", 1.0), True, False),
        (identity("a-7", 2.9), identity("a-7", 1.0), False, False),  # a file system with coarse times
        (identity("best", 1.0), identity("a-7", 9.0), False, False),
    ],
)
def test_where_training_goes_back_it_leaves_behind_what_was_written_before_from_there_on(
    one: CheckpointId, other: CheckpointId, is_after: bool, is_superseded: bool
) -> None:
    assert (one.is_written_after(other), one.is_superseded_by(other)) == (is_after, is_superseded)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1753600000.1234565, 1753600000.9999996, 1753600000.0000005])
def test_times_are_rounded_as_a_rendered_time_is(seconds: float) -> None:
    rendered = datetime.fromtimestamp(seconds, UTC)
    read_back = checkpoint_id("best", None, rendered.timestamp())
    assert read_back.written_us == checkpoint_id("best", None, seconds).written_us
