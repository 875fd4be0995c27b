from pathlib import Path
from textwrap import dedent

import pytest

from checks import source
from checks.source import Source


def parsed(text: str, name: str = "module.py") -> Source:
    return Source.parse(Path(name), dedent(text))


def names(text: str) -> list[str]:
    return [binding.name for binding in parsed(text).bindings]


def lengths(text: str) -> dict[str, int]:
    return {function.name: function.lines for function in parsed(text).functions}


def test_a_function_is_as_long_as_its_body_without_docstring_and_decorators() -> None:
    text = '''
        @decorated
        @twice
        def function(
            argument,
        ):
            """Do it.

            In three lines.
            """
            first()
            second()
    '''
    assert lengths(text) == {"function": 5}


def test_methods_coroutines_and_inner_functions_are_functions() -> None:
    text = """
        class Class:
            async def method(self):
                def inner():
                    pass
                return inner
    """
    assert lengths(text) == {"method": 4, "inner": 2}


def test_a_string_that_is_no_docstring_counts() -> None:
    assert lengths('def function():\n    x = 1\n    """\n    text\n    """\n') == {"function": 5}


@pytest.mark.parametrize(
    "statement",
    [
        "name = 1",
        "name: int = 1",
        "name += 1",
        "(_.x, [name, *_.y]) = value",
        "for name in value: pass",
        "with value as name: pass",
        "with value as (name, _.x): pass",
        "print(name := value)",
        "[0 for name in value]",
        "{0: 0 for name in value}",
        "try: pass\nexcept ValueError as name: pass",
        "match value:\n    case [1, name]: pass",
        "match value:\n    case [1, *name]: pass",
        "match value:\n    case {1: 1, **name}: pass",
    ],
)
def test_what_binds_a_name(statement: str) -> None:
    assert names(statement) == ["name"]
    assert names("def function():\n" + "\n".join(f"    {line}" for line in statement.splitlines())) == ["name"]


@pytest.mark.parametrize(
    "statement", ["print(name)", "value.name = 1", "value[name] = 1", "f(name=1)", "def name(): 0"]
)
def test_what_binds_none(statement: str) -> None:
    assert names(statement) == []


def test_attributes_of_a_class_and_parameters_are_none_but_the_methods_locals_are() -> None:
    text = """
        class Class:
            attribute: int = 1
            other = 2

            def method(self, parameter):
                local = parameter
    """
    assert names(text) == ["local"]


def test_documentation() -> None:
    assert parsed('"""Documented."""\n').documented
    assert parsed("").documented
    assert not parsed("# A comment.\nimport os\n").documented


@pytest.mark.parametrize(("name", "is_test"), [("test_a.py", True), ("conftest.py", True), ("samples.py", False)])
def test_tests_are_told_by_their_names(name: str, is_test: bool) -> None:
    assert parsed("", name).is_test is is_test


def test_files_are_read_below_a_folder_and_hidden_folders_left_out(tmp_path: Path) -> None:
    for name in ("folder/a.py", "folder/inner/b.py", "folder/.venv/c.py", "folder/d.txt", "e.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    assert [str(read.path) for read in source.read(tmp_path, "folder")] == ["folder/a.py", "folder/inner/b.py"]
    assert [str(read.path) for read in source.read(tmp_path, "folder/.venv")] == ["folder/.venv/c.py"]
