"""Memory: what the evaluator takes beyond a bare `model.evaluate` of the same model and data.

Each side is a process of its own that evaluates ten times; the figure is the most memory that it ever held. Ours is the
command `run` as in a pod, with its HTTP server and an output directory. The bare process imports the same Keras, builds
the same model and calls `model.evaluate`; it is shown as the limit.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from benchmarks import measure, peer, processes, workload
from benchmarks.rows import Bound, Budget, Row, Unit
from benchmarks.workload import TENSORFLOW, WRITTEN_AS

TITLE = "Peak memory of a process that evaluates ten times; limit: bare `model.evaluate`"
EVALUATIONS = 10
ROUNDS = 1  # memory hardly varies from run to run
BUDGETS = (Budget(Bound.OVER_LIMIT, 60),)
DEFAULT = "by default"
MODES: dict[str, dict[str, list[str]]] = {
    "tf_keras": {DEFAULT: []},
    "keras": {DEFAULT: [], "data kept in host memory": ["--data-in-memory=Host"]},
}


def rows(scratch: Path) -> Iterator[Row]:
    """Measure with Keras 3 and tf_keras, the sides in turn."""
    for keras in workload.KERASES:
        directory = _with_an_end(workload.checkpoints(scratch, keras, TENSORFLOW), scratch)
        ours = partial(processes.call, "benchmarks.memory:run", keras=keras, directory=directory)
        sides = {name: partial(ours, flags=flags) for name, flags in MODES[keras].items()}
        sides["bare"] = partial(processes.call, "benchmarks.memory:bare", keras=keras)
        if keras == "tf_keras":
            sides["peer"] = partial(processes.call, "benchmarks.memory:peers", directory=directory)
        figures = measure.in_turn(sides, ROUNDS)
        for name in MODES[keras]:
            what, budgets = f"{WRITTEN_AS[keras]}, {name}", BUDGETS if name == DEFAULT else ()
            yield Row(what, Unit.MEBIBYTES, figures[name], figures.get("peer"), figures["bare"], budgets)


def bare(report: processes.Report, keras: str) -> None:
    """Evaluate again and again with nothing around it."""
    evaluation = workload.evaluation(keras)
    for _ in range(EVALUATIONS):
        peer.score(evaluation.model, evaluation.data)
    report(measure.peak_memory())


def peers(report: processes.Report, directory: str) -> None:
    """Evaluate by tf_keras's SidecarEvaluator: it takes the newest checkpoint only, so it is asked ten times."""
    from tf_keras.utils import SidecarEvaluator

    evaluation = workload.evaluation("tf_keras")
    for _ in range(EVALUATIONS):
        SidecarEvaluator(evaluation.model, evaluation.data, directory, max_evaluations=EVALUATIONS).start()
    report(measure.peak_memory())


def run(report: processes.Report, keras: str, directory: str, flags: list[str]) -> None:
    """Evaluate ten checkpoints by the command."""
    from sidecar_evaluator.commands import main

    arguments = [
        *("run", f"--checkpoint-dir={directory}", "--entrypoint=benchmarks.workload:evaluation"),
        *(f"--parameter=keras={keras}", "--selection=Every", "--checkpoints-per-pass=1"),
        *(f"--port={measure.free_port()}", f"--output-dir={mkdtemp(dir=directory)}", *flags),
    ]
    code = main.main(arguments)
    assert code == 0, f"exit code {code}"
    report(measure.peak_memory())


def _with_an_end(checkpoints: Path, scratch: Path) -> str:
    """Return a directory with ten of the checkpoints, of a training that has ended."""
    directory = Path(mkdtemp(dir=scratch))
    for number in range(1, EVALUATIONS + 1):
        for file in checkpoints.glob(f"ckpt-{number}.*"):
            (directory / file.name).hardlink_to(file)
    (directory / "checkpoint").write_text(f'model_checkpoint_path: "ckpt-{EVALUATIONS}"\n')
    (directory / "training.finished").touch()
    return str(directory)
