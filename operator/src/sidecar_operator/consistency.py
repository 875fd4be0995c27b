"""Whether the results speak of one thing: one code, one image, and files of the training that they are said to be of.

`status` asks for the condition ResultsConsistent. Pure. It is present only while there is something to say: what is
mixed and what to do about it, or that results were laid aside.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from sidecar_operator.conditions import Condition, Reason, Type
from sidecar_operator.kube_objects import format_time, parse_time, text_at
from sidecar_operator.resource_view import Result, SidecarEvaluation
from sidecar_operator.training_state import Training

CLOCK_SKEW = timedelta(seconds=60)
"""How far the clocks of the API server and of a file server may differ."""
_SHOWN = len("sha256:") + 12


def condition(evaluation: SidecarEvaluation, training: Training | None) -> Condition | None:
    """Return the condition ResultsConsistent, None where there is nothing to say."""
    findings = [*_older(evaluation, training), *_codes(evaluation), *_images(evaluation)]
    if findings:
        message = "; ".join(text for _, text in findings)
        return Condition(Type.RESULTS_CONSISTENT, findings[0][0], message, status=False)
    if began_anew := evaluation.results.began_anew_message:
        return Condition(Type.RESULTS_CONSISTENT, Reason.BEGAN_ANEW, began_anew, status=True)
    return None


def _older(evaluation: SidecarEvaluation, training: Training | None) -> Iterator[tuple[Reason, str]]:
    created_at = parse_time(training.created_at) if training else None
    if training is None or created_at is None:
        return
    for name, result in (("latest", evaluation.results.latest), ("best", evaluation.results.best)):
        if result.modified_at and result.modified_at < created_at - CLOCK_SKEW:
            yield (
                Reason.CHECKPOINTS_OLDER_THAN_TRAINING,
                f"the {name} result is of {result.checkpoint}, written at {format_time(result.modified_at)}, before "
                f"{training.ref} was created at {training.created_at}: if it is not of this training, let each "
                "training save to a directory of its own",
            )
            return


def _codes(evaluation: SidecarEvaluation) -> Iterator[tuple[Reason, str]]:
    digests = [text_at(result.raw, "codeDigest") for result in _results(evaluation)]
    codes = _distinct([*digests, evaluation.results.code_digest])
    if len(codes) > 1:
        name = text_at(evaluation.spec, "evaluator", "code", "configMap", "name")
        yield (
            Reason.CODE_CHANGED,
            f"ConfigMap {name} has changed: scores of {_listed(codes)} stand in one ranking; to evaluate again with "
            "the new code what still exists, set spec.evaluator.code.onChange: Restart, or create a new resource",
        )


def _images(evaluation: SidecarEvaluation) -> Iterator[tuple[Reason, str]]:
    identifiers = [text_at(result.raw, "imageID") for result in _results(evaluation)]
    images = _distinct(image.rpartition("@")[2] for image in [*identifiers, evaluation.image_id])
    if len(images) > 1:
        yield (
            Reason.IMAGE_CHANGED,
            f"the evaluator's image has changed: scores of {_listed(images)} stand in one ranking; to evaluate all "
            "with one image, name it by its digest in spec.evaluator.image of a new resource",
        )


def _results(evaluation: SidecarEvaluation) -> list[Result]:
    results = evaluation.results
    return [results.best, results.latest, results.last_settled]


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _listed(digests: list[str]) -> str:
    return " and ".join(digest[:_SHOWN] for digest in digests)
