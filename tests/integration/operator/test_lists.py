"""Lists come page by page, and the memory that they take is that of one page."""

import pytest

from cluster.api_server import ApiServer
from integration.evaluations import Evaluations
from sidecar_operator import names
from sidecar_operator.cache import Cache
from sidecar_operator.kube_client import FIRST_PAGE, KubeClient, connected

COUNT = FIRST_PAGE * 2 + 5


@pytest.fixture
def crowd(evaluations: Evaluations) -> list[str]:
    """Create more resources than a page has; return their names in order."""
    created = [f"e{number:03}" for number in range(COUNT)]
    for name in created:
        evaluations.create({"suspend": True}, name)
    return created


async def test_a_list_is_read_page_by_page(
    server: ApiServer, namespace: str, crowd: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    location = "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"  # read when it is imported
    monkeypatch.setattr(location, str(server.kubeconfig))
    cache = Cache()
    async with connected() as api_client:
        pages = [page async for page in KubeClient(api_client, [namespace]).list_pages(names.KIND)]
    assert len(pages) > 1
    assert len(pages[0].objects) == FIRST_PAGE
    assert [page.is_first for page in pages] == [True] + [False] * (len(pages) - 1)
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert len({page.version for page in pages}) == 1
    for page in pages:
        cache.evaluations.take_page(page)
    assert sorted(key.name for key in cache.evaluations.all_keys()) == crowd
