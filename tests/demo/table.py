"""Turn a SidecarEvaluation's status into the lines that the demo prints.

The demo's loop calls it at every look at the resource. It takes and returns values only: no printing, no cluster.
"""

from typing import Any

Status = dict[str, Any]

COLUMNS = "{checkpoint:<12} {step:>6} {scores:<34} {took:>7}  {best:<4} {backlog:>7}"
HEADER = COLUMNS.format(
    checkpoint="CHECKPOINT", step="STEP", scores="SCORES", took="TOOK", best="BEST", backlog="BACKLOG"
)


def new_rows(status: Status, shown: set[str]) -> list[str]:
    """Return a line for each settled checkpoint that `shown` does not name yet, oldest first."""
    results = status.get("results", {})
    fresh = [entry for entry in results.get("history", []) if entry["checkpoint"] not in shown]
    return [row(entry, results) for entry in reversed(fresh)]


def row(entry: dict[str, Any], results: dict[str, Any]) -> str:
    """Return the line of one checkpoint: its scores, or why it has none."""
    metrics = [f"{metric['name']}={float(metric['value']):.4f}" for metric in entry.get("metrics", [])]
    best = results.get("best", {}).get("checkpoint") == entry["checkpoint"]
    return COLUMNS.format(
        checkpoint=entry["checkpoint"],
        step=entry.get("step", "-"),
        scores=" ".join(metrics) or f"{entry['outcome']}: {entry.get('reason', '')}",
        took=f"{float(entry.get('durationSeconds', 0)):.1f} s",
        best="*" if best else "",
        backlog=results.get("backlog", 0),
    )


def condition(status: Status, kind: str) -> dict[str, Any] | None:
    """Return the condition of that type, or None while there is none."""
    return next((one for one in status.get("conditions", []) if one["type"] == kind), None)


def is_true(status: Status, kind: str) -> bool:
    """Say whether the condition of that type is True."""
    entry = condition(status, kind)
    return entry is not None and entry["status"] == "True"


def headline(status: Status) -> str:
    """Return one line on where the evaluation stands: the Ready condition's reason and message."""
    ready = condition(status, "Ready")
    return f"{ready['reason']}: {ready['message']}" if ready else "waiting for the operator"


def condition_lines(status: Status) -> list[str]:
    """Return a table of all conditions."""
    return [
        f"  {one['type']:<18} {one['status']:<7} {one['reason']}: {one['message']}"
        for one in status.get("conditions", [])
    ]


def scored_samples(exposition: str) -> list[str]:
    """Return those lines of a /metrics answer which a newcomer wants to see."""
    wanted = (
        "sidecareval_score",
        "sidecareval_best_score",
        "sidecareval_checkpoint",
        "sidecareval_phase_seconds",
    )
    return [line for line in exposition.splitlines() if line.startswith(wanted) and "_created" not in line]
