"""Which checkpoint it is: by name, by time where the name holds no number, and in what order."""

from datetime import UTC, datetime

import pytest

from sidecar_evaluator.checkpoints.identity import CheckpointId, checkpoint_id, number_in


def identity(name: str, written_at: float = 1.0) -> CheckpointId:
    numbers = {"a-7": 7, "b-7": 7, "a-8": 8}
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
    ],
)
def test_one_with_a_number_and_one_without_have_no_order(
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


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ckpt-7", 7),
        ("ckpt-0003", 3),
        ("ckpt-0", 0),
        ("weights.05-0.32", 5),
        ("weights.05.0.32", 5),
        ("12", 12),
        ("step_00000120", 120),
        ("epoch_10_val", 10),
        ("cp-0001.ckpt", 1),
        ("ckpt-3-val0.91", 3),
        ("epoch_03-valacc_0.912", 3),
        ("ckpt-12-3.21e-02", 12),
        ("ckpt-12-1e-05", 12),
        ("ckpt-3--0.25", 3),
        ("model.h5-2", 2),
        ("ckpt-07-0.25", 7),
        ("resnet-50-0001", 1),
        ("run-42-ckpt-7", 7),
        ("v1.2-ckpt-0005", 5),
        ("2024-01-31_ckpt-7", 7),
        ("best", None),
        ("run2", None),
        ("v2.ckpt", None),
        ("model-v2.1.3", None),
        ("ckpt-0.25", None),
        ("ckpt-99999999999999999999", None),
    ],
)
def test_numbers(name: str, number: int | None) -> None:
    assert number_in(name) == number
