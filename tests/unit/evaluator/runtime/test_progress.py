"""Progress is logged periodically during long evaluations, and never during short ones."""

import pytest

from sidecar_evaluator.runtime.progress import ProgressLog


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(1, 5, 100), (9, 50, 100), (9.9, 100, 100)], []),
        (
            [(1, 5, 100), (11, 25, 100), (15, 40, 100), (22, 50, 100), (44, 100, 100)],
            [
                "Evaluating: 25 of 100 batches (25 %), about 30 s left",
                "Evaluating: 50 of 100 batches (50 %), about 21 s left",
            ],
        ),
        ([(1, 5, None), (21, 40, None)], ["Evaluating: 40 batches in 20 s"]),
        ([(1, 50, 100), (9, 100, 100), (12, 10, 100), (25, 50, 100)], [
            "Evaluating: 50 of 100 batches (50 %), about 13 s left",
        ]),
    ],
)  # fmt: skip
def test_progress(
    steps: list[tuple[float, int, int | None]], expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    now = [1.0]
    progress = ProgressLog(now=lambda: now[0])
    progress(0, None)
    with caplog.at_level("INFO"):
        for now[0], done, total in steps:
            progress(done, total)
    assert caplog.messages == expected
