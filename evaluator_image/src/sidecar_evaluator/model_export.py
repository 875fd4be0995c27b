"""`SidecarEvaluatorModelExport`: a callback that saves the model whenever an evaluation is the best so far.

It has the name and arguments of the Keras 2 callback and works with Keras 3 and tf_keras; users pass it to
`SidecarEvaluator` or `Evaluation` among the callbacks. `engine.scoring` sets the checkpoint being evaluated and
converts it to a callback of the model's Keras, so this module must not import Keras. The best value is stored
in a file next to the export, so that a restarted evaluator does not replace a better model by a worse one.
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
_MAXIMIZED = ("acc", "auc", "precision", "recall", "f1", "fmeasure", "r2")
_VALIDATION = "val_"  # the prefix of validation metrics in `fit`; `evaluate` reports metrics without it


class SidecarEvaluatorModelExport:
    """Saves the model, or only its weights, when `monitor` is better than in every earlier evaluation.

    `export_filepath` is a format string: `{epoch}` is replaced by the number in the name of the evaluated
    checkpoint, `{step}` by the training iterations, `{checkpoint}` by the name, and a metric's name, with or
    without `val_`, by its value. Keras 3 requires a file extension, which is added if it is missing.
    `checkpoint_filepath` is accepted for compatibility and ignored. With several datasets, `monitor` may be
    `dataset/metric`; without a dataset it is a metric of the first one.

    `filepath`, `monitor`, `verbose`, `save_weights_only` and `best`, the best value so far, are attributes
    as in Keras 2. After `best` is set, the model is saved only if it is better than that value.
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
        save_freq: str | int = "eval",  # noqa: ARG002 - always after an evaluation
        initial_value_threshold: float | None = None,
        options: Any = None,
    ) -> None:
        if mode not in _MODES:
            raise ValueError(f"The mode {mode!r} must be one of {', '.join(_MODES)}.")
        self.filepath = os.fspath(export_filepath)
        self.monitor = monitor
        self.verbose = verbose
        self.save_weights_only = save_weights_only
        self._maximize = mode == "max" or (mode == "auto" and any(word in monitor for word in _MAXIMIZED))
        self._options = options
        self._first_dataset: str | None = None
        self.best: float | None = _better_of(initial_value_threshold, self._load_best(), maximize=self._maximize)

    def callback_for(self, keras: Any) -> Any:
        """Return a callback of this Keras that calls `evaluated` at the end of each evaluation."""
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
        if self.best is not None and not (value > self.best if self._maximize else value < self.best):
            return
        path = self._path(model, logs)
        self._save(model, path)
        if self.verbose:
            _log.info("%s improved from %s to %s: saved %s", self.monitor, self.best, value, path)
        self.best = value
        self._store_best(value, path)

    def _monitored(self, logs: Mapping[str, Any]) -> float | None:
        self._first_dataset = self._first_dataset or self.evaluated_dataset
        dataset, _, metric = self.monitor.rpartition("/")
        if self.evaluated_dataset != (dataset or self._first_dataset):
            return None
        value = logs.get(metric, logs.get(metric.removeprefix(_VALIDATION)))
        if value is None:
            _log.warning(
                "No model is exported, because the evaluation has no metric %s; set monitor to one of %s.",
                metric,
                ", ".join(logs),
            )
        return None if value is None else float(value)

    def _path(self, model: Any, logs: Mapping[str, Any]) -> Path:
        checkpoint = self.evaluated_checkpoint
        number = checkpoint.number if checkpoint else None
        step = int(model.optimizer.iterations) if model.optimizer is not None else 0
        checkpoint_name = checkpoint.name if checkpoint else ""
        fields = {"step": step, "epoch": step if number is None else number, "checkpoint": checkpoint_name}
        name = self.filepath.format(**{**_by_both_names(logs), **fields})
        return Path(name + self._missing_extension(model, name))

    def _missing_extension(self, model: Any, name: str) -> str:
        if is_tf_keras(model):
            return ""
        extension = ".weights.h5" if self.save_weights_only else ".keras"
        return "" if name.endswith((extension, ".h5")) else extension

    def _save(self, model: Any, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {} if self._options is None else {"options": self._options}
        save = model.save_weights if self.save_weights_only else model.save
        if not self.save_weights_only:
            _build_optimizer(model)
        with _atomic_replace(path) as target:
            save(str(target), overwrite=True, **options)

    @property
    def _best_path(self) -> Path:
        """The file of the best value, named after export and metric: several exports may share a directory."""
        template = Path(self.filepath)
        plain = re.sub(r"\{[^}]*\}", "", template.name).strip("-_.") or "model"
        folders = [part for part in template.parent.parts if "{" not in part]
        return Path(*folders) / f"{plain}.best-{self.monitor.replace('/', '-')}.json"

    def _load_best(self) -> float | None:
        try:
            value = float(json.loads(self._best_path.read_text())["value"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("The best value so far cannot be read from %s: %s", self._best_path, error)
            return None
        return value if math.isfinite(value) else None

    def _store_best(self, value: float, path: Path) -> None:
        checkpoint = self.evaluated_checkpoint.name if self.evaluated_checkpoint else None
        text = json.dumps({"monitor": self.monitor, "value": value, "checkpoint": checkpoint, "path": str(path)})
        with _atomic_replace(self._best_path) as target:
            target.write_text(text + "\n")


def _by_both_names(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics by their names in an evaluation, and by the names that `fit` gives them."""
    return {**{_VALIDATION + name: value for name, value in logs.items()}, **logs}


def _build_optimizer(model: Any) -> None:
    """Create all variables of a Keras 3 optimizer before it is saved: without them the model cannot be loaded."""
    optimizer = model.optimizer
    if optimizer is not None and not is_tf_keras(model) and not optimizer.built:
        optimizer.build(model.trainable_variables)


def _better_of(first: float | None, second: float | None, *, maximize: bool) -> float | None:
    values = [value for value in (first, second) if value is not None]
    return (max(values) if maximize else min(values)) if values else None


@contextlib.contextmanager
def _atomic_replace(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename the file to `path` afterwards."""
    if not path.suffix:  # a format of several files, which cannot be renamed atomically
        yield path
        return
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_file():
            temporary.unlink()
