"""A status is written for one version of one object: the API server compares the resourceVersion, but no uid."""

import pytest

from cluster.api_server import ApiServer
from integration.evaluations import Evaluations
from sidecar_operator.kube_client import ConflictError, KubeClient, connected
from sidecar_operator.kube_objects import KubeObject


async def test_a_status_is_written_for_the_object_and_the_version_that_it_was_decided_on(
    server: ApiServer, evaluations: Evaluations, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"  # read when it is imported
    monkeypatch.setattr(location, str(server.kubeconfig))
    first = evaluations.create()
    evaluations.client.request("DELETE", evaluations.path("mnist"))
    second = evaluations.create()
    async with connected() as api_client:
        client = KubeClient(api_client)
        with pytest.raises(ConflictError):
            await client.apply_status(KubeObject(first), {"job": "of-the-first"})
        evaluations.update({"metadata": {"annotations": {"example.dev/note": "changed"}}})
        with pytest.raises(ConflictError):
            await client.apply_status(KubeObject(second), {"job": "of-an-earlier-version"})
        await client.apply_status(KubeObject(evaluations.read()), {"job": "of-this-version"})
    assert evaluations.read()["status"]["job"] == "of-this-version"
