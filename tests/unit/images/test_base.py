from pathlib import Path

import pytest

from cluster.errors import ClusterError
from images import base


@pytest.mark.parametrize("name", base.RELEASES)
def test_the_base_is_of_the_machines_own_release(tmp_path: Path, name: str) -> None:
    file = tmp_path / "os-release"
    file.write_text(f'ID=some\nVERSION_CODENAME="{name}"\n')
    assert base.release(file) == name


@pytest.mark.parametrize("text", ["ID=fedora\n", "VERSION_CODENAME=jammy\n", ""])
def test_another_machine_is_told_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "os-release"
    file.write_text(text)
    with pytest.raises(ClusterError, match="BASE_IMAGE="):
        base.release(file)


def test_a_machine_without_os_release_is_told_too(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="something else"):
        base.release(tmp_path / "none")


def test_the_name_of_the_base_follows_what_it_is_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    first = base.reference("bookworm")
    assert first == base.reference("bookworm")
    assert first != base.reference("trixie")
    monkeypatch.setattr(base, "PACKAGES", ("python3",))
    assert first != base.reference("bookworm")


def test_the_root_has_no_package_manager_and_no_compiler() -> None:
    command = base.command("bookworm", Path("root.tar"))
    assert "--variant=essential" in command
    assert not {"apt", "gcc", "g++", "build-essential"} & set(base.PACKAGES)
    assert command[-2:] == ["bookworm", "root.tar"]
