import pytest

from cluster.errors import ClusterError
from cluster.training_operator import renamed

MANIFESTS = """\
kind: CustomResourceDefinition
                                  image:
                                    description: Container image name.
---
kind: Deployment
        image: ghcr.io/kubeflow/training-v1/training-operator:v1-d6eb98e
        livenessProbe: {}
"""


def test_the_published_image_is_replaced_and_nothing_else() -> None:
    changed = renamed(MANIFESTS, "localhost/training-operator:x")
    assert "        image: localhost/training-operator:x\n" in changed
    assert (
        changed.replace("localhost/training-operator:x", "ghcr.io/kubeflow/training-v1/training-operator:v1-d6eb98e")
        == MANIFESTS
    )


@pytest.mark.parametrize("manifests", ["kind: Deployment\n", MANIFESTS + MANIFESTS])
def test_manifests_that_are_not_as_expected_are_refused(manifests: str) -> None:
    with pytest.raises(ClusterError, match="not once"):
        renamed(manifests, "localhost/training-operator:x")
