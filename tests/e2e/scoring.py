"""Score checkpoints a second time, outside the cluster, so that end-to-end tests have something to compare with.

The tests call it with the very files that the training pod wrote. It restores them with TensorFlow and Keras alone and
never imports the evaluator.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from demo.kubectl import Kubectl, Manifest

TOLERANCE = 1e-6


def claim_folder(kubectl: Kubectl, claim: str) -> Path:
    """Return the folder of this machine that stands behind a bound claim."""
    volume = kubectl.read("persistentvolumeclaim", claim)["spec"]["volumeName"]
    return Path(kubectl.read("persistentvolume", volume)["spec"]["hostPath"]["path"])


def checkpoint_names(folder: Path) -> list[str]:
    """Return the names of the TensorFlow checkpoints in a folder by number."""
    return sorted((file.stem for file in folder.glob("*.index")), key=lambda name: int(name.rpartition("-")[2]))


def evaluate_by_hand(entrypoint: Path, folder: Path, checkpoint: str, **parameters: Any) -> dict[str, float]:
    """Return what `model.evaluate` says of the checkpoint's weights; `entrypoint` is the sample's evaluate.py."""
    import tensorflow as tf

    module = load_module(entrypoint)
    evaluation = module.build(**parameters)
    tf.train.Checkpoint(model=evaluation.model).restore(str(folder / checkpoint)).expect_partial()
    scores: dict[str, float] = evaluation.model.evaluate(evaluation.data, return_dict=True, verbose=0)
    return {name: float(value) for name, value in scores.items()}


def load_module(path: Path) -> ModuleType:
    """Import a sample's file, with its neighbours."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.stem)


def scores_of(entry: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of one entry of `status.results` by name."""
    return {metric["name"]: float(metric["value"]) for metric in entry["metrics"]}


def scraped_scores(exposition: str) -> dict[str, float]:
    """Return the values of `sidecareval_score` in a /metrics answer by metric name."""
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(exposition)
    samples = [sample for family in families for sample in family.samples if sample.name == "sidecareval_score"]
    return {sample.labels["metric"]: sample.value for sample in samples}


def as_json(evaluation: Manifest) -> str:
    """Return a resource's status as a failing test prints it."""
    return json.dumps(evaluation.get("status", {}), indent=2)
