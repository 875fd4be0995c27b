"""One pass over one resource: observe, make the cluster what the spec says, report.

`controller` calls it for each key that a handler woke, after an error, and on every resync. It is level-triggered: it
looks at the present state only, never at events, so a pass may be repeated, interrupted or skipped. A pass that finds
nothing to change writes nothing. At most one status is written, at the end; Events follow once it is stored.
"""

import contextlib
import dataclasses
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from sidecar_operator import (
    evaluator_reports,
    events,
    manifests,
    pod_diagnosis,
    restarts,
    runs,
    status,
    training_pods,
    training_wait,
    verdict,
)
from sidecar_operator.cache import Cache
from sidecar_operator.child_objects import ChildApplier, ChildClient
from sidecar_operator.conditions import Type
from sidecar_operator.events import Transition
from sidecar_operator.following import TrainingClient, TrainingFollower
from sidecar_operator.kube_client import ApiError, ConflictError, NotFoundError
from sidecar_operator.kube_objects import (
    Job,
    JsonObject,
    Key,
    KubeObject,
    Pod,
    WarningEvent,
    conditions_in,
    format_time,
)
from sidecar_operator.manifests import Manifests
from sidecar_operator.pending_pods import PendingPods, PodClient
from sidecar_operator.resource_view import SidecarEvaluation, TrainingRef
from sidecar_operator.runs import Request
from sidecar_operator.seldom_reads import SeldomReads
from sidecar_operator.training_state import Training
from sidecar_operator.training_status import State
from sidecar_operator.verdict import Observed

logger = logging.getLogger(__name__)

DIAGNOSIS_SECONDS = 3.0
"""Age below which an object without progress is too young to diagnose."""
FAILURES_BEFORE_REPORT = 3
"""Passes that fail one after another before the status tells it: most errors are over by then."""
REFUSED_SECONDS = 60.0
"""How often a refused request is tried again."""


class ReconcileClient(ChildClient, PodClient, TrainingClient, Protocol):
    """The requests that a pass needs; `kube_client.KubeClient` has them."""

    async def read_evaluation(self, key: Key) -> JsonObject:
        """Read one resource."""

    async def apply_status(self, evaluation: KubeObject, status: JsonObject) -> JsonObject:
        """Write the operator's fields of the status."""

    async def publish_event(self, evaluation: KubeObject, transition: Transition) -> None:
        """Record a transition."""


class Reconciler:
    """Makes passes over resources."""

    def __init__(
        self,
        client: ReconcileClient,
        cache: Cache,
        default_image: str,
        request_watch: Callable[[TrainingRef], None] = lambda _: None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        is_rollover_due: Callable[[Job], bool] = lambda _job: False,
    ) -> None:
        self._client = client
        self._cache = cache
        self._children = ChildApplier(client, cache)
        self._default_image = default_image
        self._trainings = TrainingFollower(client, cache, request_watch)
        self._now = now
        self._pending_pods = PendingPods(client, lambda: now().timestamp())
        self._warnings = SeldomReads[WarningEvent](client.list_warnings, lambda: now().timestamp())
        self._is_rollover_due = is_rollover_due

    async def __call__(self, key: Key, failures: int = 0) -> float | None:
        """Make a pass; return the seconds after which to make another without being woken, None for never.

        Raises ApiError for what may succeed when it is tried again; after `failures` such passes the status says so.
        """
        try:
            return await self._pass(key)
        except ApiError as error:
            if failures + 1 >= FAILURES_BEFORE_REPORT:
                await self._report_error(key, error)
            raise

    async def _pass(self, key: Key) -> float | None:
        evaluation = self._cache.evaluations.get(key)
        if evaluation is None or evaluation.is_being_deleted:
            return None
        request = runs.requested(evaluation, self._now())
        if status.is_settled(evaluation, request.restarted_at):  # most resources, and nothing needs to be rendered
            return await self._finish(evaluation, request)
        wanted = manifests.render(evaluation, self._default_image, request.restarted_at)
        if status.is_done(evaluation, wanted.run):
            return await self._finish(evaluation, request)
        training = await self._explain_wait(evaluation, await self._follow(evaluation, is_done=False))
        if self._awaits(evaluation, training):
            observed = Observed(evaluation, awaits_training=True)
        else:
            observed = await self._converge(evaluation, wanted)
        observed = dataclasses.replace(observed, training=training, restart_problem=request.problem)
        if await self._report(observed):
            return 0
        await self._release(key)
        delays = (
            self._trainings.seconds_to_poll(training, is_over=False),
            self._seconds_to_explain(evaluation, training),
            self._seconds_to_diagnose(observed),
            self._seconds_to_start(observed),
            self._seconds_to_introduction(observed),
        )
        return _earliest(*delays)

    async def _finish(self, evaluation: SidecarEvaluation, request: Request) -> float | None:
        """Report on an evaluation that had ended before: only its training may still change."""
        training = await self._follow(evaluation, is_done=True)
        observed = Observed(evaluation, training=training, restart_problem=request.problem)
        if await self._write(observed, status.report_after_end(observed, self._timestamp())):
            return 0
        await self._release(evaluation.key)
        return self._trainings.seconds_to_poll(training, is_over=True)

    # ----------------------------------------------------------------------------------------------- the training

    async def _follow(self, evaluation: SidecarEvaluation, *, is_done: bool) -> Training | None:
        job = self._recorded_job(evaluation)
        has_evaluated = job is not None and job.has_true("Complete") and bool(evaluation.results.evaluated_count)
        return await self._trainings.follow(
            evaluation, self._timestamp(), is_over=is_done, keeps_end=is_done or has_evaluated
        )

    def _awaits(self, evaluation: SidecarEvaluation, training: Training | None) -> bool:
        """Tell whether the evaluator is to be started after the training; once it was started it stays."""
        if training is None or training.has_started or evaluation.starts_immediately:
            return False
        if evaluation.job_name or evaluation.run.attempt:  # a Job that has failed may be deleted before the next one
            return False
        return not any(job.is_owned_by(evaluation) for job in self._cache.jobs.of(evaluation.key))

    async def _explain_wait(self, evaluation: SidecarEvaluation, training: Training | None) -> Training | None:
        """Say why a training waits, once a pass before this one has seen it wait."""
        if training is None or {training.state, evaluation.training.state} != {State.WAITING}:
            return training
        try:
            words = await self._pending_pods.of(evaluation, self._age(evaluation))
        except ApiError as error:
            logger.warning("%s: the pods of %s cannot be read: %s", evaluation.key, training.ref, error)
            return dataclasses.replace(training, message=evaluation.training.message)
        is_evaluating = pod_diagnosis.newest_live(self._cache.pods.of(evaluation.key)) is not None
        return (
            training_wait.explain(training, *words[-1], evaluation, is_evaluating=is_evaluating) if words else training
        )

    def _seconds_to_explain(self, evaluation: SidecarEvaluation, training: Training | None) -> float | None:
        if training is None or training.state is not State.WAITING or not training_pods.label_of(training.ref):
            return None
        return self._pending_pods.seconds_until_due(evaluation)

    # ----------------------------------------------------------------------------------------------- the children

    async def _converge(self, evaluation: SidecarEvaluation, wanted: Manifests) -> Observed:
        """Make the children what they should be, as far as that is possible now, and observe them."""
        run = wanted.run
        if run.waits(self._now()):
            job = self._recorded_job(evaluation)
            return Observed(evaluation, job=job, pods=self._pods_of(job), run=run, next_run=run)
        applied = await self._children.apply(evaluation, wanted)
        observed = Observed(
            evaluation,
            job=applied.job,
            pods=self._pods_of(applied.job),
            is_replacing=applied.is_replacing,
            refusal=applied.refusal,
            now=self._now(),
            run=run,
        )
        observed = self._with_next_run(observed)
        blocked = _without_progress(observed)
        if blocked is None or self._age(blocked) < DIAGNOSIS_SECONDS:
            return observed
        return dataclasses.replace(observed, warnings=await self._read_warnings(blocked))

    async def _read_warnings(self, blocked: KubeObject) -> list[WarningEvent]:
        """Return the Warning events about an object; where events cannot be read now, those that were read last."""
        try:
            return await self._warnings.about(blocked, self._age(blocked))
        except ApiError as error:
            logger.warning("the events about %s %s cannot be read: %s", blocked.kind, blocked.key, error)
            return self._warnings.last(blocked)

    def _with_next_run(self, observed: Observed) -> Observed:
        """Add the run that follows where this one has failed and is not given up, or gets a new default image."""
        run, job, now = observed.run, observed.job, self._now().replace(microsecond=0)
        if run is None or job is None:
            return observed
        if self._is_rollover_due(job):
            return dataclasses.replace(observed, next_run=run.followed(now, rolled_over=True), is_replacing=True)
        taken_over_at = restarts.taken_over_at(run, observed.evaluation, job, observed.pods)
        if taken_over_at is not None and taken_over_at <= now:
            settled = observed.evaluation.results.settled_count
            fresh = run.followed(now, fruitless_attempts=0, failures=0, settled=settled)
            return dataclasses.replace(observed, next_run=fresh, is_replacing=True)
        next_run = restarts.successor(run, observed.evaluation, job, observed.pods, now)
        return dataclasses.replace(observed, next_run=next_run)

    async def _release(self, key: Key) -> None:
        """Stop what goes on in a pod after its evaluator has ended, once that end is recorded: it holds the GPU."""
        evaluation = self._cache.evaluations.get(key)
        job = self._recorded_job(evaluation) if evaluation else None
        if evaluation is None or job is None or job.is_being_deleted:
            return
        is_recorded = evaluation.has_true(Type.FINISHED) or (evaluation.run.attempt or 0) > job.attempt
        pods = [] if job.has_ended else self._pods_of(job)
        if is_recorded and any(pod.is_held_open or pod_diagnosis.has_ended_well(pod) for pod in pods):
            await self._client.delete_job(job)

    def _recorded_job(self, evaluation: SidecarEvaluation) -> Job | None:
        """Return the Job that the status names, while it exists."""
        job = self._cache.jobs.get(Key(evaluation.namespace, evaluation.job_name))
        return job if job is not None and job.is_owned_by(evaluation) else None

    def _pods_of(self, job: Job | None) -> list[Pod]:
        return [pod for pod in self._cache.pods.of(job.owner_key) if pod.is_owned_by(job)] if job else []

    def _seconds_to_start(self, observed: Observed) -> float | None:
        """Return how long the next run still waits, None where there is none."""
        run = observed.run
        starts_at = observed.next_run and observed.next_run.starts_at
        if run is not None and observed.next_run is None:
            starts_at = restarts.taken_over_at(run, observed.evaluation, observed.job, observed.pods)
        return max(0.0, (starts_at - self._now()).total_seconds()) if starts_at else None

    def _seconds_to_diagnose(self, observed: Observed) -> float | None:
        if observed.refusal is not None:
            return REFUSED_SECONDS
        blocked = _without_progress(observed)
        if blocked is None:
            return None
        young = self._age(blocked) < DIAGNOSIS_SECONDS
        return DIAGNOSIS_SECONDS if young else self._warnings.seconds_until_due(blocked)

    def _seconds_to_introduction(self, observed: Observed) -> float | None:
        """Return how long the first report of the evaluator may still take, None where none is awaited."""
        seconds = evaluator_reports.seconds_to_introduction(observed.evaluation, observed.live_pod, self._now())
        return seconds or None

    def _age(self, obj: KubeObject) -> float:
        return (self._now() - obj.created_at).total_seconds() if obj.created_at else math.inf

    # ------------------------------------------------------------------------------------------------- the report

    async def _report(self, observed: Observed) -> bool:
        """Write what was observed; tell whether the resource has changed meanwhile, so that it needs another pass."""
        decided = verdict.decide(observed)
        # What is not taken back is not decided on cached copies.
        if decided.has_ended or decided.runs_again or _has_failed(observed):
            try:
                latest = await self._observe_afresh(observed)
            except NotFoundError:
                return False
            if latest is None:
                return True
            observed, decided = latest, verdict.decide(latest)
        if decided.runs_again and observed.run is not None:
            run = observed.run.followed(self._now().replace(microsecond=0), fruitless_attempts=0, failures=0)
            observed = dataclasses.replace(observed, next_run=run)
        return await self._write(observed, status.report(observed, decided, self._timestamp())) or decided.runs_again

    async def _observe_afresh(self, observed: Observed) -> Observed | None:
        """Read the resource and the pods of its Job again; None where it is not the same resource or spec any more."""
        evaluation = observed.evaluation
        latest = SidecarEvaluation(await self._client.read_evaluation(evaluation.key))
        if (latest.uid, latest.generation) != (evaluation.uid, evaluation.generation):
            self._cache.evaluations.refresh(evaluation, latest.raw)
            return None
        if observed.job is not None and observed.job.has_true("Failed"):
            for pod in await self._client.list_children("Pod", evaluation.key):
                self._cache.pods.put(pod)
        return self._with_next_run(
            dataclasses.replace(observed, evaluation=latest, pods=self._pods_of(observed.job), next_run=None)
        )

    async def _report_error(self, key: Key, error: ApiError) -> None:
        """Let the status tell an error that persists; nothing is asked of the API server but to store that."""
        evaluation = self._cache.evaluations.get(key)
        if evaluation is None or evaluation.is_being_deleted:
            return
        request = runs.requested(evaluation, self._now())
        wanted = manifests.render(evaluation, self._default_image, request.restarted_at)
        if status.is_done(evaluation, wanted.run):
            return
        message = (
            f"a request for this resource has failed {FAILURES_BEFORE_REPORT} times or more: {error}; see to the "
            "webhook or service that this names, the request is repeated until it succeeds"
        )
        job = self._children.find_job(evaluation, wanted)
        observed = Observed(evaluation, job=job, pods=self._pods_of(job), run=wanted.run, error=message)
        observed = dataclasses.replace(observed, restart_problem=request.problem)
        report = status.report_error(observed, verdict.decide(observed), self._timestamp())
        with contextlib.suppress(ApiError):
            await self._write(observed, report)

    async def _write(self, observed: Observed, report: JsonObject) -> bool:
        """Write a status that differs; tell whether the resource has changed since it was read."""
        evaluation = observed.evaluation
        if not status.differs(evaluation, report):
            return False
        try:
            stored = SidecarEvaluation(await self._client.apply_status(evaluation, report))
        except NotFoundError:
            return False
        except ConflictError:
            return await self._has_changed(evaluation)
        self._cache.evaluations.update(stored.raw)
        for transition in events.transitions(evaluation.conditions, conditions_in(report)):
            await self._publish(evaluation, transition)
        return False

    async def _has_changed(self, evaluation: SidecarEvaluation) -> bool:
        """Take over what the resource is now; tell whether it still exists."""
        try:
            self._cache.evaluations.refresh(evaluation, await self._client.read_evaluation(evaluation.key))
        except NotFoundError:
            return False
        return True

    async def _publish(self, evaluation: SidecarEvaluation, transition: Transition) -> None:
        logger.info("%s: %s: %s", evaluation.key, transition.reason, transition.message)
        try:
            await self._client.publish_event(evaluation, transition)
        except ApiError as error:
            logger.warning("%s: the Event %s is not recorded: %s", evaluation.key, transition.reason, error)

    def _timestamp(self) -> str:
        return format_time(self._now().replace(microsecond=0))


def _without_progress(observed: Observed) -> KubeObject | None:
    """Return the object whose events alone can say why nothing runs, None where no object is without progress."""
    job, pod = observed.job, observed.live_pod
    if job is None or job.is_suspended or job.has_ended:
        return None
    if pod is None:
        return job
    return pod if pod_diagnosis.is_being_created(pod) else None


def _has_failed(observed: Observed) -> bool:
    """Tell whether the Job of the run has failed, and what follows is not recorded yet."""
    return observed.job is not None and observed.job.has_true("Failed") and observed.next_run != observed.run


def _earliest(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)
