"""Follow a SidecarEvaluation live: a line when its state changes, a row when a checkpoint is settled.

The demo calls `follow` after it has applied its manifests. It only reads the cluster, and returns when the resource is
Finished or raises when that does not happen in time.
"""

import time
from dataclasses import dataclass, field

from demo import table
from demo.kubectl import Kubectl, KubectlError, Manifest

PODS = "--selector=sidecareval.dev/name={name}"


@dataclass
class Screen:
    """What has been shown so far, so that nothing is shown twice."""

    started: float
    rows: set[str] = field(default_factory=set)
    headline: str = ""
    metrics: list[str] = field(default_factory=list)

    def show(self, status: table.Status, now: float) -> None:
        """Print what is new in this status."""
        self._show_rows(status)
        headline = table.headline(status)
        if headline != self.headline:
            print(f"  [{now - self.started:5.1f} s] {headline}", flush=True)
            self.headline = headline

    def _show_rows(self, status: table.Status) -> None:
        for line in table.new_rows(status, self.rows):
            if not self.rows:
                print(f"\n  {table.HEADER}")
            print(f"  {line}", flush=True)
            self.rows.add(line.split()[0])


def follow(kubectl: Kubectl, name: str, seconds: float) -> tuple[Manifest, Screen]:
    """Show the evaluation until it is Finished; return it and what was shown. Raise TimeoutError after `seconds`."""
    screen = Screen(started=time.monotonic())
    while True:
        evaluation = kubectl.read("sidecarevaluation", name)
        status = evaluation.get("status", {})
        screen.show(status, time.monotonic())
        if table.is_true(status, "Finished"):
            return evaluation, screen
        if time.monotonic() - screen.started > seconds:
            raise TimeoutError(f"{name} was not Finished within {seconds:.0f} s: {table.headline(status)}")
        screen.metrics = sample_metrics(kubectl, name) or screen.metrics
        time.sleep(0.5)


def sample_metrics(kubectl: Kubectl, name: str) -> list[str]:
    """Return the score lines of the evaluator pod's /metrics; none while it cannot answer."""
    for pod in kubectl.items("pods", PODS.format(name=name), "--field-selector=status.phase=Running"):
        try:
            return table.scored_samples(kubectl.scrape(pod["metadata"]["name"], seconds=3))
        except KubectlError:
            continue  # not started yet, or just gone: the next look will tell
    return []
