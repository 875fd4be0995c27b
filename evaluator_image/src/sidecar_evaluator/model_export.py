"""`SidecarEvaluatorModelExport`: saves the model whenever an evaluation is the best so far.

For users of the Keras 2 callback of this name, with its arguments; given to `SidecarEvaluator` or
`Evaluation` among the callbacks, for models of either Keras. The evaluation tells it which checkpoint
is scored and calls it after each evaluation; the best value so far is kept in a file beside the
export, so that a restart goes on from it. It imports no Keras: it becomes a callback of the model's.
"""

import contextlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.checkpoints.model_variables import is_tf_keras
from sidecar_evaluator.results.outcome import DEFAULT_DATASET

_log = logging.getLogger(__name__)

_MODES = ("auto", "min", "max")
_RISING = ("acc", "auc", "precision", "recall", "f1", "fmeasure", "r2")
_VALIDATION = "val_"  # what `fit` puts before the metrics of an evaluation, and an evaluation does not


class SidecarEvaluatorModelExport:
    """Saves the model, or its weights alone, when `monitor` is better than in every evaluation before.

    `export_filepath` is where it is saved; `{epoch}` is filled with the number in the evaluated
    checkpoint's name, `{step}` with the training iterations, `{checkpoint}` with the name, and any
    metric's name, with or without `val_`, with its value. Keras 3 demands an ending, which is added
    where it is missing. `checkpoint_filepath` is not needed: the evaluation knows which checkpoint it
    is. With several datasets, `monitor` may be `dataset/metric`; a bare metric is that of the first.

    `filepath`, `monitor`, `verbose`, `save_weights_only` and `best`, the best value so far, are attributes
    as in Keras 2. Setting `best` makes the export go on from that value.
    """

    save_best_only = True

    evaluated_checkpoint: Checkpoint | None = None
    evaluated_dataset: str = DEFAULT_DATASET

    def __init__(
        self,
        export_filepath: str | os.PathLike[str],
        checkpoint_filepath: str | os.PathLike[str] | None = None,  # noqa: ARG002 - as in Keras 2
        *,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "eval",  # noqa: ARG002 - it is always after an evaluation
        initial_value_threshold: float | None = None,
        options: Any = None,
    ) -> None:
        if mode not in _MODES:
            raise ValueError(f"The mode {mode!r} must be one of {', '.join(_MODES)}.")
        self.filepath = os.fspath(export_filepath)
        self.monitor = monitor
        self.verbose = verbose
        self.save_weights_only = save_weights_only
        self._rising = mode == "max" or (mode == "auto" and any(word in monitor for word in _RISING))
        self._options = options
        self._first_dataset: str | None = None
        self.best: float | None = _better_of(initial_value_threshold, self._recorded(), rising=self._rising)

    def callback_for(self, keras: Any) -> Any:
        """Return a callback of the given Keras that does this object's work."""
        export = self

        class ModelExport(keras.callbacks.Callback):  # type: ignore[misc]
            def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
                export.evaluated(self.model, logs or {})

        return ModelExport()

    def evaluated(self, model: Any, logs: Mapping[str, Any]) -> None:
        """Save the model if these scores are the best so far."""
        value = self._monitored(logs)
        if value is None or not math.isfinite(value):
            return
        if self.best is not None and not (value > self.best if self._rising else value < self.best):
            return
        path = self._path(model, logs)
        self._save(model, path)
        if self.verbose:
            _log.info("%s improved from %s to %s: saved %s", self.monitor, self.best, value, path)
        self.best = value
        self._record(value, path)

    def _monitored(self, logs: Mapping[str, Any]) -> float | None:
        self._first_dataset = self._first_dataset or self.evaluated_dataset
        dataset, _, metric = self.monitor.rpartition("/")
        if self.evaluated_dataset != (dataset or self._first_dataset):
            return None
        found = logs.get(metric, logs.get(metric.removeprefix(_VALIDATION)))
        if found is None:
            _log.warning("No model is exported: there is no metric %s, only %s.", metric, ", ".join(logs))
        return None if found is None else float(found)

    def _path(self, model: Any, logs: Mapping[str, Any]) -> Path:
        checkpoint = self.evaluated_checkpoint
        number = checkpoint.number if checkpoint else None
        step = int(model.optimizer.iterations) if model.optimizer is not None else 0
        checkpoint_name = checkpoint.name if checkpoint else ""
        fields = {"step": step, "epoch": step if number is None else number, "checkpoint": checkpoint_name}
        name = self.filepath.format(**{**_by_both_names(logs), **fields})
        return Path(name + self._missing_ending(model, name))

    def _missing_ending(self, model: Any, name: str) -> str:
        if is_tf_keras(model):
            return ""
        ending = ".weights.h5" if self.save_weights_only else ".keras"
        return "" if name.endswith((ending, ".h5")) else ending

    def _save(self, model: Any, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {} if self._options is None else {"options": self._options}
        save = model.save_weights if self.save_weights_only else model.save
        if not self.save_weights_only:
            _build_optimizer(model)
        with _replacing(path) as target:
            save(str(target), overwrite=True, **options)

    @property
    def _record_path(self) -> Path:
        """Name the record after what is exported and by which metric, for several may share a folder."""
        template = Path(self.filepath)
        plain = re.sub(r"\{[^}]*\}", "", template.name).strip("-_.") or "model"
        folders = [part for part in template.parent.parts if "{" not in part]
        return Path(*folders) / f"{plain}.best-{self.monitor.replace('/', '-')}.json"

    def _recorded(self) -> float | None:
        try:
            value = float(json.loads(self._record_path.read_text())["value"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("The best value so far cannot be read from %s: %s", self._record_path, error)
            return None
        return value if math.isfinite(value) else None

    def _record(self, value: float, path: Path) -> None:
        checkpoint = self.evaluated_checkpoint.name if self.evaluated_checkpoint else None
        text = json.dumps({"monitor": self.monitor, "value": value, "checkpoint": checkpoint, "path": str(path)})
        with _replacing(self._record_path) as target:
            target.write_text(text + "\n")


def _by_both_names(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics under their names in an evaluation and under those that `fit` gives them."""
    return {**{_VALIDATION + name: value for name, value in logs.items()}, **logs}


def _build_optimizer(model: Any) -> None:
    """Let Keras 3 save an optimizer with all its variables, without which it does not load the model again."""
    optimizer = model.optimizer
    if optimizer is not None and not is_tf_keras(model) and not optimizer.built:
        optimizer.build(model.trainable_variables)


def _better_of(one: float | None, other: float | None, *, rising: bool) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return (max(known) if rising else min(known)) if known else None


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a name to write to; what is one file then takes its place at once, whole."""
    if not path.suffix:  # formats of several files, which no rename can put in place together
        yield path
        return
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_file():
            temporary.unlink()
