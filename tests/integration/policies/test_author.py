"""Who may write a SidecarEvaluation: whoever may run a Job in that namespace, since that is what comes of it."""

from collections.abc import Callable

import pytest

from cluster.api_server import ApiServer
from cluster.client import ApiError
from integration.evaluations import Evaluations, Object
from integration.policies.objects import bind

EDIT: Object = {
    "apiGroups": ["sidecareval.dev"],
    "resources": ["sidecarevaluations"],
    "verbs": ["get", "create", "update", "patch", "delete"],
}
RUN_JOBS: Object = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}
READ_JOBS: Object = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "update", "delete"]}
REFUSAL = (
    r"403: .*a SidecarEvaluation runs a Job, and system:serviceaccount:team-\d+:author"
    r" may not create jobs.batch in namespace team-\d+"
)

Author = Callable[..., Evaluations]


@pytest.fixture
def author(server: ApiServer, namespace: str) -> Author:
    """Return a function that makes the user `author` with the rules given, and returns what that user sees."""

    def make(*rules: Object) -> Evaluations:
        server.create_service_account("author", namespace)
        bind(server.client, namespace, "author", list(rules))
        return Evaluations(server.client_of(server.token("author", namespace)), namespace)

    return make


def test_author_who_may_run_jobs_is_accepted(author: Author) -> None:
    user = author(EDIT, RUN_JOBS)
    user.create()
    assert user.update({"spec": {"suspend": True}})["spec"]["suspend"] is True


@pytest.mark.parametrize("rules", [[EDIT], [EDIT, READ_JOBS]], ids=["no jobs", "other verbs on jobs"])
def test_author_who_may_not_run_jobs_is_refused(author: Author, evaluations: Evaluations, rules: list[Object]) -> None:
    with pytest.raises(ApiError, match=REFUSAL):
        author(*rules).create()
    with pytest.raises(ApiError, match="404"):
        evaluations.read()


def test_author_who_may_run_jobs_elsewhere_is_refused(server: ApiServer, author: Author, namespace: str) -> None:
    server.create_namespace(f"{namespace}-other")
    user = author(EDIT)
    bind(server.client, f"{namespace}-other", "author", [RUN_JOBS], home=namespace)
    with pytest.raises(ApiError, match=REFUSAL):
        user.create()


def test_change_by_someone_who_may_not_run_jobs_is_refused(author: Author, evaluations: Evaluations) -> None:
    evaluations.create()
    with pytest.raises(ApiError, match=REFUSAL):
        author(EDIT).update({"spec": {"evaluator": {"image": "mine"}}})
    assert "image" not in evaluations.read()["spec"]["evaluator"]


def test_labels_and_finalizers_may_be_written_without_running_jobs(author: Author, evaluations: Evaluations) -> None:
    evaluations.create()
    metadata = {"labels": {"team": "vision"}, "finalizers": ["foregroundDeletion"]}
    changed = author(EDIT).update({"metadata": metadata})["metadata"]
    assert (changed["labels"], changed["finalizers"]) == (metadata["labels"], metadata["finalizers"])


RESTART: Object = {"metadata": {"annotations": {"sidecareval.dev/restartedAt": "2026-01-02T03:04:05+01:00"}}}


def test_another_run_may_be_asked_for_by_who_may_run_jobs(author: Author, evaluations: Evaluations) -> None:
    evaluations.create()
    user = author(EDIT, RUN_JOBS)
    assert user.update(RESTART)["metadata"]["annotations"] == RESTART["metadata"]["annotations"]
    assert "annotations" not in user.update({"metadata": {"annotations": None}})["metadata"]


def test_another_run_may_not_be_asked_for_by_others(author: Author, evaluations: Evaluations) -> None:
    evaluations.create()
    user = author(EDIT)
    with pytest.raises(ApiError, match=REFUSAL):
        user.update(RESTART)
    assert user.update({"metadata": {"annotations": {"team": "vision"}}})["metadata"]["annotations"]


@pytest.mark.parametrize("value", ["now", "2026-01-02", "2026-01-02T03:04:05", "1767323045"])
def test_another_run_is_asked_for_by_a_time(author: Author, evaluations: Evaluations, value: str) -> None:
    evaluations.create()
    user = author(EDIT, RUN_JOBS)
    with pytest.raises(ApiError, match=r"restartedAt must be a time as of RFC 3339"):
        user.update({"metadata": {"annotations": {"sidecareval.dev/restartedAt": value}}})
