"""Do a checkpoint's variables fit a model's? One question for every format, one answer to read.

A model that is restored in part gives a score that looks right and is wrong, so anything but an
exact fit is refused, naming the first variables that differ.
"""

from collections.abc import Mapping, Sequence

from sidecar_evaluator.errors import CheckpointIncompatible

Shape = tuple[int, ...]
_NAMED = 3


def require_same(found: Mapping[str, tuple[Shape, Shape | None]], excess: Sequence[str]) -> None:
    """Compare each variable's shape in the model with that in the checkpoint, None where absent.

    Raises CheckpointIncompatible: they differ, or the checkpoint holds variables in excess.
    """
    problems = [_problem(name, *shapes) for name, shapes in found.items() if shapes[0] != shapes[1]]
    problems += [f"{name} is not in the model" for name in excess]
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise CheckpointIncompatible(
            "The checkpoint was saved from another architecture than the entry point's model: "
            f"{'; '.join(problems[:_NAMED])}{more}."
        )


def _problem(name: str, in_model: Shape, in_checkpoint: Shape | None) -> str:
    shown = name.partition("@")[0]
    if in_checkpoint is None:
        return f"{shown} is not in the checkpoint"
    return f"{shown} is {list(in_model)} in the model and {list(in_checkpoint)} in the checkpoint"
