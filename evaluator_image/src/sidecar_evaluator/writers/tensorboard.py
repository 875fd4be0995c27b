"""Scores as TensorBoard summaries, for `tensorboard --logdir OUTPUT`.

The tags and the `validation` directory are those that Keras's own TensorBoard callback writes in an
evaluation, so that both show in the same charts. Several datasets get a directory each below it.
"""

from pathlib import Path
from typing import Any

from sidecar_evaluator.outcome import DEFAULT_DATASET, Outcome, Score
from sidecar_evaluator.writers.interface import Report


class TensorBoardWriter:
    """Writes event files below `<directory>/validation`.

    With `closes_files` each report has a file of its own: a bucket shows a file only once it is closed.
    """

    def __init__(self, directory: Path, *, closes_files: bool = False) -> None:
        self._directory = directory / "validation"
        self._closes_files = closes_files
        self._writers: dict[str, Any] = {}

    def write(self, report: Report) -> None:
        """Write each score at the checkpoint's step; without a step there is no place on the axis."""
        if report.outcome is None or _step(report.outcome) is None:
            return
        import tensorflow as tf

        for score in report.outcome.scores:
            with self._writer(score.dataset).as_default(step=_step(report.outcome)):
                tf.summary.scalar(tag(score), score.value)
        self.flush(0)
        if self._closes_files:
            self.close()

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - the interface's signature
        """Push what is buffered to the files."""
        for writer in self._writers.values():
            writer.flush()
        return True

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, dataset: str) -> Any:
        import tensorflow as tf

        if dataset not in self._writers:
            place = self._directory if dataset == DEFAULT_DATASET else self._directory / dataset
            self._writers[dataset] = tf.summary.create_file_writer(str(place))
        return self._writers[dataset]


def tag(score: Score) -> str:
    """Return the summary's name for a metric."""
    return f"evaluation_{score.name}_vs_iterations"


def _step(outcome: Outcome) -> int | None:
    return outcome.step if outcome.step is not None else outcome.number
