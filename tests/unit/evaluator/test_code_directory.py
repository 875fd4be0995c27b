"""The user's code on the module search path: found, and in nobody's way."""

import subprocess
import sys
from pathlib import Path

import pytest

from sidecar_evaluator.code_directory import add_to_path, digest_of
from sidecar_evaluator.errors import ConfigurationError

SITE = "/opt/venv/lib/python3.11/site-packages"


@pytest.fixture(autouse=True)
def search_path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    path = ["/usr/lib/python311.zip", "/usr/lib/python3.11", SITE, "/opt/more"]
    monkeypatch.setattr(sys, "path", path)
    return path


def test_modules_are_found_after_pythons_own_and_before_what_is_installed(
    tmp_path: Path, search_path: list[str]
) -> None:
    for _ in range(2):
        add_to_path(tmp_path)
        assert search_path == ["/usr/lib/python311.zip", "/usr/lib/python3.11", str(tmp_path), SITE, "/opt/more"]


def test_where_nothing_is_installed_they_come_last(tmp_path: Path, search_path: list[str]) -> None:
    search_path[2:] = []
    add_to_path(tmp_path)
    assert search_path[-1] == str(tmp_path)


@pytest.mark.parametrize("name", ["types.py", "queue.py", "tokenize.py", "random.cpython-311-x86_64-linux-gnu.so"])
def test_a_file_with_the_name_of_a_module_of_pythons_own_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "evaluate.py").touch()
    with pytest.raises(ConfigurationError, match=rf"{name} .* Python's own module {name.partition('.')[0]}.*rename"):
        add_to_path(tmp_path)


@pytest.mark.parametrize("name", ["types.json", "queue", "my_queue.py", "evaluate.py", "..data"])
def test_other_files_are_in_nobodys_way(tmp_path: Path, name: str, search_path: list[str]) -> None:
    (tmp_path / name).touch()
    add_to_path(tmp_path)
    assert str(tmp_path) in search_path


def test_a_directory_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory; check --code-dir"):
        add_to_path(tmp_path / "code")


@pytest.mark.parametrize("name", ["types.py", "queue.py", "tokenize.py"])
def test_the_command_starts_beside_such_a_file_and_exits_with_78(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("raise SystemExit(1)")
    flags = [f"--checkpoint-dir={tmp_path}", "--entrypoint=evaluate:build", f"--code-dir={tmp_path}", "--port=0"]
    command = [sys.executable, "-P", "-m", "sidecar_evaluator", "run", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 78, ended.stderr
    assert f"The file {name} in {tmp_path}" in ended.stderr


def test_the_digest_tells_names_and_contents_apart_and_nothing_else(tmp_path: Path) -> None:
    def made(name: str, **files: str) -> str:
        directory = tmp_path / name
        directory.mkdir()
        for file, content in files.items():
            (directory / file).write_text(content)
        return digest_of(directory)

    first = made("first", a="1", b="2")
    assert first.startswith("sha256:")
    assert len(first) == 71
    assert made("same", b="2", a="1") == first
    others = {made("other", a="1", b="3"), made("less", a="1"), made("moved", a="12", b="")}
    others.add(made("renamed", a="1", c="2"))
    assert len(others - {first}) == 4
    assert digest_of(None) == digest_of(tmp_path / "not-there") == ""


def test_the_digest_of_a_mounted_config_map_is_that_of_its_keys(tmp_path: Path) -> None:
    def mounted(name: str, version: str) -> str:
        directory = tmp_path / name
        (directory / f"..{version}").mkdir(parents=True)
        (directory / f"..{version}" / "evaluate.py").write_text("def build(): ...")
        (directory / "..data").symlink_to(f"..{version}")
        (directory / "evaluate.py").symlink_to("..data/evaluate.py")
        return digest_of(directory)

    assert mounted("one", "2026_01_01") == mounted("other", "2026_02_02")
