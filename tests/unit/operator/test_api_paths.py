import pytest

from sidecar_operator.api_paths import path_of


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("v1", "pods", "team"), "/api/v1/namespaces/team/pods"),
        (("batch/v1", "jobs"), "/apis/batch/v1/jobs"),
        (("batch/v1", "jobs", "team", "a"), "/apis/batch/v1/namespaces/team/jobs/a"),
        (("kubeflow.org/v1",), "/apis/kubeflow.org/v1"),
    ],
)
def test_paths(parts: tuple[str, ...], path: str) -> None:
    assert path_of(*parts) == path
