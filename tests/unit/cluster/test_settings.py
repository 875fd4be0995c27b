from pathlib import Path

import pytest

from cluster.settings import Network, Settings


@pytest.mark.parametrize(
    ("environ", "cache", "state"),
    [
        ({"HOME": "/home/a"}, "/home/a/.cache/sidecar-evaluation", "/home/a/.cache/sidecar-evaluation/cluster"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/sidecar-evaluation", "/x/sidecar-evaluation/cluster"),
        ({"HOME": "/h", "SIDECAR_CACHE": "/c"}, "/c", "/c/cluster"),
        ({"HOME": "/h", "SIDECAR_CACHE": "/c", "SIDECAR_STATE": "/s"}, "/c", "/s"),
        (
            {"HOME": "/h", "SIDECAR_CACHE": "", "SIDECAR_STATE": ""},
            "/h/.cache/sidecar-evaluation",
            "/h/.cache/sidecar-evaluation/cluster",
        ),
    ],
)
def test_folders_come_from_the_environment(environ: dict[str, str], cache: str, state: str) -> None:
    settings = Settings.from_environment(environ)
    assert (settings.cache, settings.state) == (Path(cache), Path(state))
    assert settings.kubeconfig == Path(state) / "admin.kubeconfig"


def test_link_names_fit_the_kernel() -> None:
    assert max(len(name) for name in (Network().host_link, Network().pod_link)) <= 15
