from pathlib import Path

import pytest

from images.__main__ import COMMANDS, main


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_CACHE", str(tmp_path))
    monkeypatch.setenv("CLUSTER", "local")
    monkeypatch.delenv("CONTAINER_TOOL", raising=False)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert set(COMMANDS) <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize("argv", [[], ["bake"], ["build", "database"]])
def test_what_it_does_not_know_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["list", "sizes"])
def test_what_does_not_hold_is_one_plain_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 1
    assert capsys.readouterr().err.startswith("images: sidecar-operator has not been built")


def test_clean_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "images" / "oci").mkdir(parents=True)
    assert main(["clean"]) == 0
    assert not (tmp_path / "images").exists()
