import json
from pathlib import Path
from typing import Any

from cluster import volumes


class Api:
    """Answers the three kubectl commands that the pool uses, and remembers what they asked for."""

    def __init__(self, phases: dict[str, str]) -> None:
        self.phases = phases
        self.deleted: list[str] = []
        self.created: list[dict[str, Any]] = []

    def __call__(self, verb: str, *arguments: str, stdin: str = "") -> str:
        match verb:
            case "get":
                items = [{"metadata": {"name": n}, "status": {"phase": p}} for n, p in self.phases.items()]
                return json.dumps({"items": items})
            case "delete":
                self.deleted += arguments[1:]
            case "create":
                self.created += json.loads(stdin)["items"]
        return ""


def test_an_empty_cluster_gets_the_whole_pool(tmp_path: Path) -> None:
    api = Api({})
    volumes.fill_pool(api, tmp_path)
    assert len(api.created) == volumes.POOL_SIZE
    assert {folder.stat().st_mode & 0o777 for folder in tmp_path.iterdir()} == {0o777}


def test_a_released_volume_is_emptied_and_offered_again(tmp_path: Path) -> None:
    (tmp_path / "00").mkdir()
    (tmp_path / "00" / "ckpt-1.index").touch()
    (tmp_path / "01").mkdir()
    (tmp_path / "01" / "ckpt-1.index").touch()
    phases = {f"local-{number:02}": "Available" for number in range(volumes.POOL_SIZE)}
    api = Api({**phases, "local-00": "Released", "local-01": "Bound"})
    volumes.fill_pool(api, tmp_path)
    assert api.deleted == ["local-00"]
    assert [item["metadata"]["name"] for item in api.created] == ["local-00"]
    assert not list((tmp_path / "00").iterdir())
    assert list((tmp_path / "01").iterdir())


def test_a_full_pool_is_left_alone(tmp_path: Path) -> None:
    api = Api({f"local-{number:02}": "Bound" for number in range(volumes.POOL_SIZE)})
    volumes.fill_pool(api, tmp_path)
    assert not api.deleted
    assert not api.created
