from pathlib import Path

import pytest

from benchmarks import __main__, group, place
from benchmarks.page import BEGIN, END
from benchmarks.processes import ChildError
from benchmarks.rows import Figure, Row, Unit

ROW = Row("a row", Unit.SECONDS, Figure(1.0))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the measuring; return the names of the groups that were asked for."""
    asked: list[str] = []

    def rows(name: str, scratch: Path) -> tuple[str, list[Row]]:
        asked.append(name)
        if name == "memory":
            raise ChildError("memory failed")
        return name, [ROW]

    monkeypatch.setattr(__main__, "_rows", rows)
    monkeypatch.setattr(place, "describe", lambda: "on a machine")
    return asked


def test_groups_are_chosen_by_name(measured: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--only=restoring,detection"]) == 0
    assert measured == ["restoring", "detection"]
    assert "| a row |" in capsys.readouterr().out


def test_a_group_that_fails_stops_no_other_and_ends_the_run_as_failed(
    measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main([]) == 1
    assert measured == list(group.NAMES)
    printed = capsys.readouterr()
    assert "**detection**" in printed.out
    assert "**memory**" not in printed.out
    assert "failed: memory" in printed.err


def test_an_unknown_group_is_refused(measured: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--only=detektion"]) == 2
    assert measured == []
    assert "no such group: detektion" in capsys.readouterr().err


def test_the_table_goes_into_a_file_and_into_a_page(measured: list[str], tmp_path: Path) -> None:
    page, file = tmp_path / "page.md", tmp_path / "table.md"
    page.write_text(f"above\n{BEGIN}\n{END}\nbelow\n")
    assert __main__.main(["--only=detection", f"--output={file}", f"--write={page}"]) == 0
    assert file.read_text().startswith("on a machine\n")
    assert file.read_text().strip() in page.read_text()


def test_a_page_keeps_its_table_when_a_group_failed(measured: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\nold\n{END}\n")
    assert __main__.main(["--only=memory", f"--write={page}"]) == 1
    assert "old" in page.read_text()


def test_every_group_is_a_module_that_can_be_found() -> None:
    folder = Path(group.__file__).parent
    assert [name for name in group.NAMES if not (folder / f"{name}.py").exists()] == []
